// Layer normalization (J. L. Ba et al., arXiv:1607.06450): the channels of each position, minus
// their mean, divided by their standard deviation, times gamma plus beta.
#include <algorithm>
#include <cmath>

#include "dispatch/dispatch.h"
#include "nn/column_sums.h"
#include "nn/layers/kinds.h"

namespace pynn {
namespace {

// The sum over n values of term(j): 16 lanes, then a tree.
template <class T, class Term>
T lane_sum(index_t n, const Term& term) {
    constexpr index_t lanes = 16;
    T sums[lanes] = {};
    index_t j = 0;
    for (; j + lanes <= n; j += lanes) {
        for (index_t l = 0; l < lanes; ++l) sums[l] += term(j + l);
    }
    for (index_t l = 0; j < n; ++j, ++l) sums[l] += term(j);
    for (index_t half = lanes / 2; half > 0; half /= 2) {
        for (index_t l = 0; l < half; ++l) sums[l] += sums[l + half];
    }
    return sums[0];
}

template <class T>
class LayerNorm final : public Layer<T> {
public:
    LayerNorm(index_t channels, double epsilon)
        : channels_(channels), epsilon_(static_cast<T>(epsilon)) {}

    Shape output_shape(const Shape& in) const override { return in; }
    double flops(const Shape& in) const override { return 8.0 * static_cast<double>(in.size()); }
    index_t saved_size(const Shape& in) const override { return 2 * in.positions(); }
    std::vector<ParameterSpec> parameters() const override {
        return {{"gamma", {channels_}}, {"beta", {channels_}}};
    }
    void set_offsets(index_t trained, index_t) override {
        gamma_ = trained;
        beta_ = trained + channels_;
    }
    void reserve(index_t, const LayerShape&, Scratch<T>& scratch) const override {
        scratch.gradient.reserve(channels_);
        scratch.column_sums.reserve(2 * channels_);
    }

    void forward(const LayerIo<T>& io, Scratch<T>&) const override {
        const T* const gamma = io.parameters + gamma_;
        const T* const beta = io.parameters + beta_;
        const T* x = io.x;
        T* y = io.y;
        const T n = static_cast<T>(channels_);
        for (index_t r = 0; r < rows_of(io); ++r, x += channels_, y += channels_) {
            const T mean = lane_sum<T>(channels_, [&](index_t j) { return x[j]; }) / n;
            const T squares = lane_sum<T>(channels_, [&](index_t j) {
                const T d = x[j] - mean;
                return d * d;
            });
            const T inverse = 1 / std::sqrt(squares / n + epsilon_);
            for (index_t j = 0; j < channels_; ++j) {
                y[j] = (x[j] - mean) * inverse * gamma[j] + beta[j];
            }
            if (io.saved) {
                io.saved[2 * r] = mean;
                io.saved[2 * r + 1] = inverse;
            }
        }
    }

    void backward(const LayerIo<T>& io, Scratch<T>&) const override {
        const T* const gamma = io.parameters + gamma_;
        const T* x = io.x;
        const T* delta = io.delta;
        T* dx = io.dx;
        const T n = static_cast<T>(channels_);
        for (index_t r = 0; r < rows_of(io); ++r) {
            const T mean = io.saved[2 * r], inverse = io.saved[2 * r + 1];
            const auto gradient = [&](index_t j) { return delta[j] * gamma[j]; };
            const auto normalized = [&](index_t j) { return (x[j] - mean) * inverse; };
            const T offset = lane_sum<T>(channels_, gradient) / n;
            const T slope =
                lane_sum<T>(channels_, [&](index_t j) { return gradient(j) * normalized(j); }) / n;
            for (index_t j = 0; j < channels_; ++j) {
                dx[j] = inverse * ((gradient(j) - offset) - normalized(j) * slope);
            }
            x += channels_;
            delta += channels_;
            dx += channels_;
        }
        differentiate_flushed(io.x_activation, io.x, io.dx, rows_of(io) * channels_);
    }

    void update_parameters(const LayerIo<T>& io, int index, int count,
                           const OptimizerStep<T>& given, Scratch<T>& scratch) const override {
        const Range own = partition(channels_, index, count, 16);
        if (own.size() == 0) return;
        OptimizerStep<T> step = given;
        step.l1 = step.l2 = T(0);
        T* const gradient = scratch.gradient.reserve(channels_);
        T* const piece = scratch.column_sums.reserve(2 * channels_);
        const T* const x = io.x + own.begin;
        const T* const delta = io.delta + own.begin;
        const auto update = [&](uint32_t bit, index_t at, auto term) {
            if ((io.frozen & bit) != 0) return;
            sum_columns_of(io.rows, io.shape->in_positions, own.size(), gradient, piece,
                           piece + channels_, term);
            kernels<T>().update(step, gradient, at + own.begin, own.size());
        };
        update(1, gamma_, [&](index_t r, index_t j) {
            const T mean = io.saved[2 * r], inverse = io.saved[2 * r + 1];
            return delta[r * channels_ + j] * ((x[r * channels_ + j] - mean) * inverse);
        });
        update(2, beta_, [&](index_t r, index_t j) { return delta[r * channels_ + j]; });
    }

private:
    static index_t rows_of(const LayerIo<T>& io) { return io.rows * io.shape->in_positions; }

    index_t channels_;
    T epsilon_;
    index_t gamma_ = 0, beta_ = 0;  // offsets
};

}  // namespace

template <class T>
std::unique_ptr<Layer<T>> make_layer_norm(const LayerSettings& s) {
    return std::make_unique<LayerNorm<T>>(s.size("channels"), s.number("epsilon"));
}

template std::unique_ptr<Layer<float>> make_layer_norm(const LayerSettings&);
template std::unique_ptr<Layer<double>> make_layer_norm(const LayerSettings&);

}  // namespace pynn
