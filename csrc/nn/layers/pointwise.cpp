#include "nn/layers/pointwise.h"

#include "dispatch/dispatch.h"

namespace pynn {
namespace {

template <class T>
class Pointwise final : public Layer<T> {
public:
    Pointwise(index_t size, Activation f) : size_(size), f_(f) {}

    index_t inputs() const override { return size_; }
    index_t outputs() const override { return size_; }

    void forward(const T*, const T* x, T* y, index_t rows, Scratch<T>&) const override {
        activate_flushed(f_, x, y, rows * size_);
    }
    void backward(const T*, const T* delta, const T* x, Activation input_activation, T* dx,
                  index_t rows, Scratch<T>&) const override {
        differentiate_flushed(f_, x, delta, dx, rows * size_);
        differentiate_flushed(input_activation, x, dx, rows * size_);
    }

private:
    index_t size_;
    Activation f_;
};

template <class T>
class Softmax final : public Layer<T> {
public:
    explicit Softmax(index_t size) : size_(size) {}

    index_t inputs() const override { return size_; }
    index_t outputs() const override { return size_; }

    void forward(const T*, const T* x, T* y, index_t rows, Scratch<T>&) const override {
        kernels<T>().softmax(x, y, rows, size_);
    }
    void backward(const T*, const T* delta, const T* x, Activation input_activation, T* dx,
                  index_t rows, Scratch<T>&) const override {
        kernels<T>().softmax(x, dx, rows, size_);
        kernels<T>().softmax_backward(delta, dx, dx, rows, size_);
        differentiate_flushed(input_activation, x, dx, rows * size_);
    }

private:
    index_t size_;
};

}  // namespace

template <class T>
std::unique_ptr<Layer<T>> make_pointwise(index_t size, Activation f) {
    return std::make_unique<Pointwise<T>>(size, f);
}
template <class T>
std::unique_ptr<Layer<T>> make_softmax(index_t size) {
    return std::make_unique<Softmax<T>>(size);
}

template std::unique_ptr<Layer<float>> make_pointwise(index_t, Activation);
template std::unique_ptr<Layer<double>> make_pointwise(index_t, Activation);
template std::unique_ptr<Layer<float>> make_softmax(index_t);
template std::unique_ptr<Layer<double>> make_softmax(index_t);

}  // namespace pynn
