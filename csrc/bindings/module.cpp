#define PYNN_IMPORTS_NUMPY
#include "bindings/module.h"

#include "bindings/arrays.h"

namespace {

// (In a function, because NumPy's macro contains a return.)
int import_numpy() {
    import_array1(-1);
    return 0;
}

}  // namespace

PYBIND11_MODULE(_core, m, pybind11::mod_gil_not_used()) {
    m.doc() = "pynn's compiled core; the public interface is the package's.";
    if (import_numpy() < 0) throw pybind11::error_already_set();
    pynn::bind_runtime(m);  // first: it chooses the kernels
    pynn::bind_products(m);
    pynn::bind_layers(m);
    pynn::bind_activations(m);
    pynn::bind_losses(m);
    pynn::bind_builtins(m);
    pynn::bind_optimizers(m);
    pynn::bind_access(m);
    pynn::bind_network(m);
}
