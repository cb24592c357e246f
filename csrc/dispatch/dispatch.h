// The kernels in use, chosen once, at import. PYNN_ISA names another instruction set.
#pragma once

#include <string>
#include <vector>

#include "kernels/kernel_table.h"

namespace pynn {

struct InstructionSet {
    const KernelTable* table;
    bool (*supported)();
};

// The sets built into this module, from the baseline to the widest.
const std::vector<InstructionSet>& instruction_sets_built();

// The widest set that this machine supports, or the one named. Throws std::runtime_error listing
// the supported ones if that set is not built or not supported here.
const KernelTable& choose_table(const std::string& forced);

void use_table(const KernelTable& table);
const KernelTable& active_table();

template <class T>
const Kernels<T>& kernels();
template <>
inline const Kernels<float>& kernels<float>() {
    return active_table().f32;
}
template <>
inline const Kernels<double>& kernels<double>() {
    return active_table().f64;
}

}  // namespace pynn
