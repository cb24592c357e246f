// The fully connected layer as functions of arrays, which src/pynn/ops/layers.py prepares.
#include <pybind11/stl.h>

#include <optional>
#include <string>

#include "bindings/module.h"
#include "bindings/views.h"
#include "bindings/without_gil.h"
#include "dispatch/dispatch.h"
#include "nn/activation.h"
#include "nn/dense.h"
#include "nn/product.h"

namespace pynn {
namespace {

void column_sums_into(const py::array& x, py::array out) {
    with_type(out, [&](auto zero) {
        using T = decltype(zero);
        require(x.ndim() == 2 && x.shape(1) == out.size(), "shapes do not fit");
        const T* const source = contiguous<T>(x, "x");
        T* const target = writable<T>(out, "out");
        const index_t m = x.shape(0), n = x.shape(1);
        without_gil(static_cast<double>(x.size()),
                    [&] { kernels<T>().column_sums(source, n, target, m, n); });
    });
}

// out = activation(x w + b); x has any strides, the others are contiguous.
void linear_into(const py::array& x, const py::array& w, const std::optional<py::array>& b,
                 const std::string& activation, py::array out) {
    with_type(out, [&](auto zero) {
        using T = decltype(zero);
        require(is_plain(x.ptr()) && x.ndim() == 2 && w.ndim() == 2 && out.ndim() == 2 &&
                    x.shape(1) == w.shape(0) && out.shape(0) == x.shape(0) &&
                    out.shape(1) == w.shape(1) && (!b || b->size() == w.shape(1)),
                "shapes do not fit");
        require(same_type(x, out), "all arrays must have one float type");
        const View<T> vx = view<T>(as_array(x.ptr()), true);
        const T* const weights = contiguous<T>(w, "w");
        const T* const bias = b ? contiguous<T>(*b, "b") : nullptr;
        T* const y = writable<T>(out, "out");
        const Activation f = activation_named(activation);
        const index_t n = w.shape(1);
        without_gil(operations(vx.rows, n, vx.columns), [&] {
            product(dense_forward<T>(vx.data, vx.row, vx.column, weights, bias, y, vx.rows,
                                     vx.columns, n, f));
            activate(pending_activation(f, bias != nullptr), y, vx.rows * n);
        });
    });
}

}  // namespace

void bind_layers(py::module_& m) {
    m.def("column_sums_into", &column_sums_into, py::arg("x"), py::arg("out"));
    m.def("linear_into", &linear_into, py::arg("x"), py::arg("w"), py::arg("b"),
          py::arg("activation"), py::arg("out"));
}

}  // namespace pynn
