// The mean or the maximum of each channel over all positions of a sample. A maximum's gradient goes
// to the first position that has it; NaN is the maximum of what contains one, as in NumPy.
#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "nn/layers/kinds.h"

namespace pynn {
namespace {

template <class T>
class GlobalAverage final : public Layer<T> {
public:
    Shape output_shape(const Shape& in) const override { return {1, 1, 1, in.channels}; }
    double flops(const Shape& in) const override { return static_cast<double>(in.size()); }

    void forward(const LayerIo<T>& io, Scratch<T>&) const override {
        const index_t positions = io.shape->in_positions, n = io.shape->in.channels;
        const T count = static_cast<T>(positions);
        const T* x = io.x;
        for (index_t i = 0; i < io.rows; ++i) {
            T* const y = io.y + i * n;
            std::copy(x, x + n, y);
            x += n;
            for (index_t p = 1; p < positions; ++p, x += n) {
                for (index_t j = 0; j < n; ++j) y[j] += x[j];
            }
            for (index_t j = 0; j < n; ++j) y[j] /= count;
        }
    }
    void backward(const LayerIo<T>& io, Scratch<T>&) const override {
        const index_t positions = io.shape->in_positions, n = io.shape->in.channels;
        const T count = static_cast<T>(positions);
        T* dx = io.dx;
        for (index_t i = 0; i < io.rows; ++i) {
            const T* const delta = io.delta + i * n;
            const T* const share = dx;  // the same for all positions
            for (index_t j = 0; j < n; ++j) dx[j] = delta[j] / count;
            dx += n;
            for (index_t p = 1; p < positions; ++p, dx += n) std::copy_n(share, n, dx);
        }
        differentiate_flushed(io.x_activation, io.x, io.dx, io.rows * io.shape->in_size);
    }
};

template <class T>
class GlobalMax final : public Layer<T> {
public:
    Shape output_shape(const Shape& in) const override { return {1, 1, 1, in.channels}; }
    double flops(const Shape& in) const override { return static_cast<double>(in.size()); }

    void forward(const LayerIo<T>& io, Scratch<T>&) const override {
        const index_t positions = io.shape->in_positions, n = io.shape->in.channels;
        const T* x = io.x;
        for (index_t i = 0; i < io.rows; ++i) {
            T* const y = io.y + i * n;
            std::copy(x, x + n, y);
            x += n;
            for (index_t p = 1; p < positions; ++p, x += n) {
                for (index_t j = 0; j < n; ++j) y[j] = exceeds(x[j], y[j]) ? x[j] : y[j];
            }
        }
    }
    void backward(const LayerIo<T>& io, Scratch<T>&) const override {
        const index_t positions = io.shape->in_positions, n = io.shape->in.channels;
        std::fill(io.dx, io.dx + io.rows * positions * n, T(0));
        for (index_t i = 0; i < io.rows; ++i) {
            const T* const x = io.x + i * positions * n;
            T* const dx = io.dx + i * positions * n;
            for (index_t j = 0; j < n; ++j) {
                index_t best = 0;
                for (index_t p = 1; p < positions; ++p) {
                    if (exceeds(x[p * n + j], x[best * n + j])) best = p;
                }
                dx[best * n + j] = io.delta[i * n + j];
            }
        }
        differentiate_flushed(io.x_activation, io.x, io.dx, io.rows * io.shape->in_size);
    }

private:
    static bool exceeds(T a, T b) { return a > b || (std::isnan(a) && !std::isnan(b)); }
};

}  // namespace

template <class T>
std::unique_ptr<Layer<T>> make_global_pool(const LayerSettings& s) {
    const std::string of = s.text("of");
    if (of == "mean") return std::make_unique<GlobalAverage<T>>();
    if (of == "max") return std::make_unique<GlobalMax<T>>();
    throw std::invalid_argument("a pool is of the mean or the max");
}

template std::unique_ptr<Layer<float>> make_global_pool(const LayerSettings&);
template std::unique_ptr<Layer<double>> make_global_pool(const LayerSettings&);

}  // namespace pynn
