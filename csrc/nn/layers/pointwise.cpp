#include "nn/layers/pointwise.h"

#include <algorithm>

#include "dispatch/dispatch.h"

namespace pynn {
namespace {

template <class T>
class Pointwise final : public Layer<T> {
public:
    explicit Pointwise(Activation f) : f_(f) {}

    Shape output_shape(const Shape& in) const override { return in; }
    double flops(const Shape&) const override { return 0; }
    Activation activation() const override {
        return derivative_from_output(f_) ? f_ : Activation::identity;
    }

    void forward(const LayerIo<T>& io, Scratch<T>&) const override {
        activate_flushed(f_, io.x, io.y, io.rows * io.shape->in_size);
    }
    void backward(const LayerIo<T>& io, Scratch<T>&) const override {
        const index_t n = io.rows * io.shape->in_size;
        if (derivative_from_output(f_)) {  // (Already in delta.)
            std::copy(io.delta, io.delta + n, io.dx);
        } else {
            differentiate_flushed(f_, io.x, io.delta, io.dx, n);
        }
        differentiate_flushed(io.x_activation, io.x, io.dx, n);
    }

private:
    Activation f_;
};

template <class T>
class Softmax final : public Layer<T> {
public:
    Shape output_shape(const Shape& in) const override { return in; }
    double flops(const Shape&) const override { return 0; }

    void forward(const LayerIo<T>& io, Scratch<T>&) const override {
        const Shape& shape = io.shape->in;
        kernels<T>().softmax(io.x, io.y, io.rows * shape.positions(), shape.channels);
    }
    void backward(const LayerIo<T>& io, Scratch<T>&) const override {
        const Shape& shape = io.shape->in;
        const index_t rows = io.rows * shape.positions(), n = shape.channels;
        kernels<T>().softmax(io.x, io.dx, rows, n);
        kernels<T>().softmax_backward(io.delta, io.dx, io.dx, rows, n);
        differentiate_flushed(io.x_activation, io.x, io.dx, rows * n);
    }
};

}  // namespace

template <class T>
std::unique_ptr<Layer<T>> make_pointwise(Activation f) {
    return std::make_unique<Pointwise<T>>(f);
}
template <class T>
std::unique_ptr<Layer<T>> make_softmax() {
    return std::make_unique<Softmax<T>>();
}

template std::unique_ptr<Layer<float>> make_pointwise(Activation);
template std::unique_ptr<Layer<double>> make_pointwise(Activation);
template std::unique_ptr<Layer<float>> make_softmax();
template std::unique_ptr<Layer<double>> make_softmax();

}  // namespace pynn
