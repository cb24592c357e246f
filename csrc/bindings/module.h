// The functions that each file of bindings defines.
#pragma once

#include <pybind11/pybind11.h>

namespace pynn {

void bind_runtime(pybind11::module_& m);
void bind_products(pybind11::module_& m);
void bind_layers(pybind11::module_& m);
void bind_activations(pybind11::module_& m);
void bind_losses(pybind11::module_& m);
void bind_builtins(pybind11::module_& m);
void bind_optimizers(pybind11::module_& m);
void bind_access(pybind11::module_& m);
void bind_network(pybind11::module_& m);

}  // namespace pynn
