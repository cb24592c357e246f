// The losses as functions of arrays that pynn/ops/losses.py has prepared.
#include <memory>
#include <optional>

#include "bindings/dataset.h"
#include "bindings/loss.h"
#include "bindings/module.h"
#include "bindings/without_gil.h"
#include "dispatch/dispatch.h"

namespace pynn {
namespace {

// Return the sum of the rows' losses, weighted if there are weights. Write the gradient of the
// (weighted) mean to `gradient`.
double loss_into(const py::dict& loss_dict, const py::array& outputs, const py::array& target,
                 const std::optional<py::array>& weights, py::array gradient) {
    const LossSettings settings = loss_settings(loss_dict);
    return with_type(outputs, [&](auto zero) {
        using T = decltype(zero);
        require(outputs.ndim() == 2, "expected a matrix of outputs");
        const index_t m = outputs.shape(0), n = outputs.shape(1);
        const T* const z = contiguous<T>(outputs, "outputs");
        Target<T> t;
        const int64_t* given_labels = nullptr;
        if (py::isinstance<py::array_t<int64_t>>(target)) {
            given_labels = vector_of<int64_t>(target, m, "labels");
        } else {
            require(target.size() == m * n, "expected targets of the outputs' shape");
            t.values = contiguous<T>(target, "target");
        }
        const double* const of_rows = weights ? vector_of<double>(*weights, m, "weights") : nullptr;
        require(gradient.size() == m * n, "gradient and outputs differ in size");
        T* const g = writable<T>(gradient, "gradient");
        require(
            settings.name != "pinball" || settings.quantiles.size() == static_cast<std::size_t>(n),
            "expected a quantile for each output");
        const std::unique_ptr<Loss<T>> loss = make_loss<T>(settings);
        double sum = 0;
        const double flops = flops_per_element * static_cast<double>(m) * static_cast<double>(n);
        Pins pins;
        if (flops > min_flops_to_release_gil) {
            pins.add(outputs.ptr());
            pins.add(target.ptr());
            if (weights) pins.add(weights->ptr());
        }
        without_gil(flops, [&] {
            Buffer<T> losses, room, own_weights;
            Buffer<int64_t> own_labels;
            if (given_labels) {
                int64_t* const labels = own_labels.reserve(m);
                const index_t classes = loss->classes(n);
                if (!read_labels(given_labels, nullptr, 0, m, 1, classes, labels)) {
                    const index_t row = find_bad_label(labels, m, classes);
                    throw py::value_error(bad_label("target", labels[row], row, classes));
                }
                t.labels = labels;
            }
            SampleWeights<T> w{static_cast<double>(m)};
            if (of_rows) {
                w.total = sum_weights(of_rows, nullptr, 0, m).value();
                T* const rounded = own_weights.reserve(m);
                for (index_t i = 0; i < m; ++i) rounded[i] = static_cast<T>(of_rows[i]);
                w.weights = rounded;
            }
            loss->evaluate(z, t, m, n, w, g, losses.reserve(m), room.reserve(m * n));
            sum = kernels<T>().sum(losses.data(), m);
        });
        return sum;
    });
}

// Convert outputs to predictions, in place.
void predict_into(const py::dict& loss_dict, py::array outputs) {
    const LossSettings settings = loss_settings(loss_dict);
    with_type(outputs, [&](auto zero) {
        using T = decltype(zero);
        require(outputs.ndim() == 2, "expected a matrix of outputs");
        const index_t m = outputs.shape(0), n = outputs.shape(1);
        T* const values = writable<T>(outputs, "outputs");
        const std::unique_ptr<Loss<T>> loss = make_loss<T>(settings);
        without_gil(flops_per_element * static_cast<double>(m) * static_cast<double>(n),
                    [&] { loss->predict(values, m, n); });
    });
}

}  // namespace

void bind_losses(py::module_& m) {
    m.def("loss_into", &loss_into, py::arg("loss"), py::arg("outputs"), py::arg("target"),
          py::arg("weights"), py::arg("gradient"));
    m.def("predict_into", &predict_into, py::arg("loss"), py::arg("outputs"));
}

}  // namespace pynn
