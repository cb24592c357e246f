// Batch normalization (S. Ioffe and C. Szegedy, ICML 2015): each channel minus its mean, divided by
// its standard deviation, times gamma plus beta. In training the statistics are those of the
// mini-batch, over all samples and positions; in inference the running ones, which follow them as
//   running = momentum * running + (1 - momentum) * of the mini-batch
// with the variance over N (Keras' convention).
#include <algorithm>
#include <cmath>

#include "dispatch/dispatch.h"
#include "nn/column_sums.h"
#include "nn/layers/kinds.h"

namespace pynn {
namespace {

template <class T>
class BatchNorm final : public Layer<T> {
public:
    BatchNorm(index_t channels, double epsilon, double momentum)
        : channels_(channels), epsilon_(static_cast<T>(epsilon)), momentum_(momentum) {}

    Shape output_shape(const Shape& in) const override { return in; }
    double flops(const Shape& in) const override { return 2.0 * static_cast<double>(in.size()); }
    std::vector<ParameterSpec> parameters() const override {
        return {{"gamma", {channels_}},
                {"beta", {channels_}},
                {"moving_mean", {channels_}, false},
                {"moving_variance", {channels_}, false}};
    }
    void set_offsets(index_t trained, index_t state) override {
        gamma_ = trained;
        beta_ = trained + channels_;
        mean_ = state;
        variance_ = state + channels_;
    }

    void reserve(index_t, const LayerShape&, Scratch<T>& scratch) const override {
        scratch.gradient.reserve(4 * channels_);
    }

    // Mean, variance, 1 / standard deviation, the gradients of beta and gamma, and these over N.
    index_t statistics_size() const override { return 7 * channels_; }
    int forward_phases() const override { return 1; }
    int backward_phases() const override { return 1; }

    void forward_statistics(const LayerIo<T>& io, int, int index, int count, T* statistics,
                            Scratch<T>& scratch) const override {
        const Range own = partition(channels_, index, count, 16);
        if (own.size() == 0) return;
        const T* const x = io.x + own.begin;
        T* const mean = statistics + own.begin;
        T* const variance = mean + channels_;
        T* const inverse = variance + channels_;
        const T n = static_cast<T>(rows_of(io));
        sum(io, own.size(), mean, scratch,
            [&](index_t r, index_t j) { return x[r * channels_ + j]; });
        for (index_t j = 0; j < own.size(); ++j) mean[j] /= n;
        sum(io, own.size(), variance, scratch, [&](index_t r, index_t j) {
            const T d = x[r * channels_ + j] - mean[j];
            return d * d;
        });
        for (index_t j = 0; j < own.size(); ++j) {
            variance[j] /= n;
            inverse[j] = 1 / std::sqrt(variance[j] + epsilon_);
        }
    }

    void forward(const LayerIo<T>& io, Scratch<T>& scratch) const override {
        const T* const gamma = io.parameters + gamma_;
        const T* const beta = io.parameters + beta_;
        T* const scale = scratch.gradient.reserve(4 * channels_);
        T* const inverse = scale + channels_;
        const T* const mean = mean_and_inverse(io, inverse);
        for (index_t j = 0; j < channels_; ++j) scale[j] = gamma[j] * inverse[j];
        const T* x = io.x;
        T* y = io.y;
        for (index_t r = rows_of(io); r > 0; --r, x += channels_, y += channels_) {
            for (index_t j = 0; j < channels_; ++j) y[j] = (x[j] - mean[j]) * scale[j] + beta[j];
        }
    }

    void backward_statistics(const LayerIo<T>& io, int, int index, int count, T* statistics,
                             Scratch<T>& scratch) const override {
        const Range own = partition(channels_, index, count, 16);
        if (own.size() == 0) return;
        T* const mean = statistics + own.begin;
        T* const sums = mean + 3 * channels_;
        sum_gradients(io, own, mean, mean + 2 * channels_, sums, sums + channels_, scratch);
        const T n = static_cast<T>(rows_of(io));
        for (index_t j = 0; j < own.size(); ++j) {
            sums[2 * channels_ + j] = sums[j] / n;
            sums[3 * channels_ + j] = sums[channels_ + j] / n;
        }
    }

    void backward(const LayerIo<T>& io, Scratch<T>& scratch) const override {
        const T* const gamma = io.parameters + gamma_;
        T* const scale = scratch.gradient.reserve(4 * channels_);
        T* const inverse = scale + channels_;
        const T* const mean = mean_and_inverse(io, inverse);
        for (index_t j = 0; j < channels_; ++j) scale[j] = gamma[j] * inverse[j];
        const T* x = io.x;
        const T* delta = io.delta;
        T* dx = io.dx;
        const index_t rows = rows_of(io);
        if (!io.statistics) {
            for (index_t r = 0; r < rows; ++r, delta += channels_, dx += channels_) {
                for (index_t j = 0; j < channels_; ++j) dx[j] = scale[j] * delta[j];
            }
        } else {
            // The mean and the standard deviation move with x: dx is delta less its projections
            // onto 1 and onto the normalized x.
            const T* const offset = io.statistics + 5 * channels_;
            const T* const slope = offset + channels_;
            for (index_t r = 0; r < rows;
                 ++r, x += channels_, delta += channels_, dx += channels_) {
                for (index_t j = 0; j < channels_; ++j) {
                    const T normalized = (x[j] - mean[j]) * inverse[j];
                    dx[j] = scale[j] * ((delta[j] - offset[j]) - normalized * slope[j]);
                }
            }
        }
        differentiate_flushed(io.x_activation, io.x, io.dx, rows * channels_);
    }

    void update_parameters(const LayerIo<T>& io, int index, int count,
                           const OptimizerStep<T>& given, Scratch<T>& scratch) const override {
        const Range own = partition(channels_, index, count, 16);
        if (own.size() == 0) return;
        OptimizerStep<T> step = given;
        step.l1 = step.l2 = T(0);
        const T* d_beta = io.statistics + 3 * channels_ + own.begin;
        const T* d_gamma = d_beta + channels_;
        if (!io.statistics) {
            T* const space = scratch.gradient.reserve(4 * channels_);
            T* const inverse = space + 2 * channels_;
            const T* const mean = mean_and_inverse(io, inverse);
            T* const sums = space;
            sum_gradients(io, own, mean + own.begin, inverse + own.begin, sums, sums + channels_,
                          scratch);
            d_beta = sums;
            d_gamma = sums + channels_;
        }
        if ((io.frozen & 1) == 0) {
            kernels<T>().update(step, d_gamma, gamma_ + own.begin, own.size());
        }
        if ((io.frozen & 2) == 0) {
            kernels<T>().update(step, d_beta, beta_ + own.begin, own.size());
        }
    }

    void advance_state(T* parameters, const LayerShape&, index_t,
                       const T* statistics) const override {
        const double keep = momentum_, take = 1 - momentum_;
        const auto follow = [&](T* running, const T* now) {
            for (index_t j = 0; j < channels_; ++j) {
                running[j] = static_cast<T>(keep * static_cast<double>(running[j]) +
                                            take * static_cast<double>(now[j]));
            }
        };
        follow(parameters + mean_, statistics);
        follow(parameters + variance_, statistics + channels_);
    }

private:
    static index_t rows_of(const LayerIo<T>& io) { return io.rows * io.shape->in_positions; }

    template <class Term>
    void sum(const LayerIo<T>& io, index_t columns, T* sums, Scratch<T>& scratch,
             const Term& term) const {
        T* const piece = scratch.column_sums.reserve(2 * channels_);
        sum_columns_of(io.rows, io.shape->in_positions, columns, sums, piece, piece + channels_,
                       term);
    }

    // The means, and the inverse standard deviations in `inverse`: the mini-batch's or the running.
    const T* mean_and_inverse(const LayerIo<T>& io, T* inverse) const {
        if (io.statistics) {
            const T* const from = io.statistics + 2 * channels_;
            std::copy(from, from + channels_, inverse);
            return io.statistics;
        }
        const T* const variance = io.parameters + variance_;
        for (index_t j = 0; j < channels_; ++j) inverse[j] = 1 / std::sqrt(variance[j] + epsilon_);
        return io.parameters + mean_;
    }

    // The pointers are to the own columns, except io's.
    void sum_gradients(const LayerIo<T>& io, Range own, const T* mean, const T* inverse, T* d_beta,
                       T* d_gamma, Scratch<T>& scratch) const {
        const T* const x = io.x + own.begin;
        const T* const delta = io.delta + own.begin;
        sum(io, own.size(), d_beta, scratch,
            [&](index_t r, index_t j) { return delta[r * channels_ + j]; });
        sum(io, own.size(), d_gamma, scratch, [&](index_t r, index_t j) {
            return delta[r * channels_ + j] * ((x[r * channels_ + j] - mean[j]) * inverse[j]);
        });
    }

    index_t channels_;
    T epsilon_;
    double momentum_;
    index_t gamma_ = 0, beta_ = 0, mean_ = 0, variance_ = 0;  // offsets
};

}  // namespace

template <class T>
std::unique_ptr<Layer<T>> make_batch_norm(const LayerSettings& s) {
    return std::make_unique<BatchNorm<T>>(s.size("channels"), s.number("epsilon"),
                                          s.number("momentum"));
}

template std::unique_ptr<Layer<float>> make_batch_norm(const LayerSettings&);
template std::unique_ptr<Layer<double>> make_batch_norm(const LayerSettings&);

}  // namespace pynn
