// The sum of two outputs, which ends a residual block: y = x + x2 (K. He et al., CVPR 2016).
#include <algorithm>

#include "nn/layers/kinds.h"

namespace pynn {
namespace {

template <class T>
class Add final : public Layer<T> {
public:
    Shape output_shape(const Shape& in) const override { return in; }
    double flops(const Shape& in) const override { return static_cast<double>(in.size()); }

    void forward(const LayerIo<T>& io, Scratch<T>&) const override {
        const index_t n = io.rows * io.shape->in_size;
        for (index_t i = 0; i < n; ++i) io.y[i] = io.x[i] + io.x2[i];
    }
    void backward(const LayerIo<T>& io, Scratch<T>&) const override {
        const index_t n = io.rows * io.shape->in_size;
        pass_down(io.delta, n, io.x, io.x_activation, io.dx);
        pass_down(io.delta, n, io.x2, io.x2_activation, io.dx2);
    }

private:
    static void pass_down(const T* delta, index_t n, const T* x, Activation f, T* dx) {
        if (!dx) return;
        std::copy(delta, delta + n, dx);
        differentiate_flushed(f, x, dx, n);
    }
};

}  // namespace

template <class T>
std::unique_ptr<Layer<T>> make_add(const LayerSettings&) {
    return std::make_unique<Add<T>>();
}

template std::unique_ptr<Layer<float>> make_add(const LayerSettings&);
template std::unique_ptr<Layer<double>> make_add(const LayerSettings&);

}  // namespace pynn
