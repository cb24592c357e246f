// Instruction sets and threads for Python.
#include <pybind11/stl.h>

#include <cstdlib>

#include "bindings/module.h"
#include "bindings/without_gil.h"
#include "dispatch/dispatch.h"
#include "threads/team.h"

namespace pynn {
namespace {

namespace py = pybind11;

void choose_kernels() {
    const char* forced = std::getenv("PYNN_ISA");
    try {
        use_table(choose_table(forced ? forced : ""));
    } catch (const std::runtime_error& error) {
        throw py::import_error(error.what());
    }
}

py::dict config() {
    py::list built, usable;
    for (const InstructionSet& set : instruction_sets_built()) {
        built.append(set.table->name);
        if (set.supported()) usable.append(set.table->name);
    }
    py::dict out;
    out["compiler"] = PYNN_COMPILER;
    out["isa"] = active_table().name;
    out["isas_built"] = built;
    out["isas_usable"] = usable;
    out["fused_multiply_add"] = active_table().fused;
    out["openmp"] = has_openmp();
    out["threads"] = get_num_threads();
    return out;
}

}  // namespace

void bind_runtime(py::module_& m) {
    choose_kernels();
    m.def("config", &config);
    m.def("set_num_threads", &set_num_threads, py::arg("n"));
    m.def("get_num_threads", &get_num_threads);
    m.def("requested_num_threads", &requested_num_threads);
    m.def("warn_of_thread_shortage", [] {
        note_thread_shortage(ThreadShortage::no_threads);
        warn_of_shortage();
    });
    m.def("set_thread_limit", &set_thread_limit, py::arg("n"));
}

}  // namespace pynn
