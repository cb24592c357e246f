#include "nn/layers/dropout.h"

#include <algorithm>
#include <cmath>

#include "dispatch/dispatch.h"

namespace pynn {
namespace {

template <class T>
class Dropout final : public Layer<T> {
public:
    Dropout(double rate, uint32_t number)
        : threshold_(static_cast<uint32_t>(std::min(std::round(rate * 0x1p32), 0x1p32 - 1))),
          factor_(static_cast<T>(1 / (1 - rate))),
          number_(number) {}

    Shape output_shape(const Shape& in) const override { return in; }
    double flops(const Shape&) const override { return 0; }
    bool active_in_inference() const override { return false; }

    void forward(const LayerIo<T>& io, Scratch<T>& scratch) const override {
        drop(io.x, io.y, io.rows, io.shape->in_size, scratch.rng);
    }

    // The mask is drawn once more: that takes less time than storing and loading it.
    void backward(const LayerIo<T>& io, Scratch<T>& scratch) const override {
        const index_t size = io.shape->in_size;
        drop(io.delta, io.dx, io.rows, size, scratch.rng);
        differentiate_flushed(io.x_activation, io.x, io.dx, io.rows * size);
    }

    void forward_sparse_row(const SparseRow<T>& x, index_t row, index_t size, const RngPosition& at,
                            T* y) const override {
        if (!at.training) {
            std::copy(x.values, x.values + x.count, y);
            return;
        }
        const RngStream stream{at.key, at.step, number_};
        for (index_t e = 0; e < x.count; ++e) {
            kernels<T>().dropout(stream, threshold_, factor_, x.values + e, y + e,
                                 row * size + x.columns[e], 1);
        }
    }

private:
    void drop(const T* x, T* y, index_t rows, index_t size, const RngPosition& at) const {
        if (!at.training) {
            std::copy(x, x + rows * size, y);
            return;
        }
        const RngStream stream{at.key, at.step, number_};
        kernels<T>().dropout(stream, threshold_, factor_, x, y, at.first_row * size, rows * size);
    }

    uint32_t threshold_;
    T factor_;
    uint32_t number_;
};

}  // namespace

template <class T>
std::unique_ptr<Layer<T>> make_dropout(double rate, uint32_t number) {
    return std::make_unique<Dropout<T>>(rate, number);
}

template std::unique_ptr<Layer<float>> make_dropout(double, uint32_t);
template std::unique_ptr<Layer<double>> make_dropout(double, uint32_t);

}  // namespace pynn
