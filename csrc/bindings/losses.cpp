// The losses as functions of arrays, which src/pynn/ops/losses.py prepares.
#include <memory>
#include <string>

#include "bindings/arrays.h"
#include "bindings/module.h"
#include "bindings/without_gil.h"
#include "dispatch/dispatch.h"
#include "nn/buffer.h"
#include "nn/loss.h"

namespace pynn {
namespace {

// The loss's mean over the rows; its gradient goes to `gradient`.
double loss_into(const std::string& name, const py::array& outputs, const py::array& target,
                 py::array gradient) {
    return with_type(outputs, [&](auto zero) {
        using T = decltype(zero);
        require(outputs.ndim() == 2, "expected a matrix of outputs");
        const index_t m = outputs.shape(0), n = outputs.shape(1);
        const T* const z = contiguous<T>(outputs, "outputs");
        Target<T> t;
        if (py::isinstance<py::array_t<int64_t>>(target)) {
            require(target.size() == m && (target.flags() & py::array::c_style),
                    "expected a label a row");
            t.labels = static_cast<const int64_t*>(target.data());
        } else {
            require(target.size() == m * n, "expected targets of the outputs' shape");
            t.values = contiguous<T>(target, "target");
        }
        require(gradient.size() == m * n, "gradient and outputs differ in size");
        T* const g = writable<T>(gradient, "gradient");
        const std::unique_ptr<Loss<T>> loss = make_loss<T>(name);
        double sum = 0;
        without_gil(operations_per_element * static_cast<double>(m) * static_cast<double>(n), [&] {
            Buffer<T> losses;
            losses.reserve(m);
            loss->rows(z, t, m, n, m, g, losses.data());
            sum = kernels<T>().sum(losses.data(), m);
        });
        return sum / static_cast<double>(m);
    });
}

}  // namespace

void bind_losses(py::module_& m) {
    m.def("loss_into", &loss_into, py::arg("name"), py::arg("outputs"), py::arg("target"),
          py::arg("gradient"));
}

}  // namespace pynn
