// Which kernels are in use. Chosen once, at import; the name can be forced by PYNN_ISA.
#pragma once

#include <string>
#include <vector>

#include "kernels/kernel_table.h"

namespace pynn {

struct InstructionSet {
    const KernelTable* table;
    bool (*supported)();
};

// Those built into this module, from the plainest to the widest.
const std::vector<InstructionSet>& instruction_sets_built();

// The widest that this machine supports, or the one named. Throws std::runtime_error, naming the
// possible ones, if that is not built or not supported here.
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
