#include "dispatch/dispatch.h"

#include <stdexcept>

#include "dispatch/cpu.h"

namespace pynn {

// instruction_sets.inc has one line PYNN_ROW(name) for each row of the table in CMakeLists.txt.
#define PYNN_ROW(name) extern const KernelTable kernel_table_##name;
#include "instruction_sets.inc"
#undef PYNN_ROW

const std::vector<InstructionSet>& instruction_sets_built() {
    static const std::vector<InstructionSet> all = {
#define PYNN_ROW(name) {&kernel_table_##name, cpu::supports_##name},
#include "instruction_sets.inc"
#undef PYNN_ROW
    };
    return all;
}

const KernelTable& choose_table(const std::string& forced) {
    const KernelTable* widest = nullptr;
    std::string possible;
    for (const InstructionSet& set : instruction_sets_built()) {
        if (!set.supported()) continue;
        if (forced == set.table->name) return *set.table;
        possible += (possible.empty() ? "" : ", ") + std::string(set.table->name);
        widest = set.table;
    }
    if (!forced.empty()) {
        throw std::runtime_error("PYNN_ISA='" + forced +
                                 "' is not possible on this machine; possible are: " + possible);
    }
    if (!widest) throw std::runtime_error("no instruction set built into pynn runs here");
    return *widest;
}

namespace {
const KernelTable* active = nullptr;
}

void use_table(const KernelTable& table) { active = &table; }
const KernelTable& active_table() { return *active; }

}  // namespace pynn
