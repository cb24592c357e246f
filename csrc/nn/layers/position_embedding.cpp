// A vector for each position of a sequence, learned or fixed, added to it: y = x + P.
#include <algorithm>

#include "dispatch/dispatch.h"
#include "nn/column_sums.h"
#include "nn/layers/kinds.h"

namespace pynn {
namespace {

template <class T>
class PositionEmbedding final : public Layer<T> {
public:
    PositionEmbedding(index_t length, index_t channels, bool trained)
        : length_(length), channels_(channels), trained_(trained) {}

    Shape output_shape(const Shape& in) const override { return in; }
    double flops(const Shape& in) const override { return static_cast<double>(in.size()); }
    std::vector<ParameterSpec> parameters() const override {
        return {{"embeddings", {length_, channels_}, trained_}};
    }
    void set_offsets(index_t trained, index_t state) override { p_ = trained_ ? trained : state; }
    void reserve(index_t, const LayerShape& shape, Scratch<T>& scratch) const override {
        scratch.gradient.reserve(shape.in.size());
        scratch.column_sums.reserve(2 * shape.in.size());
    }

    void forward(const LayerIo<T>& io, Scratch<T>&) const override {
        const index_t n = io.shape->in_size;
        const T* const p = io.parameters + p_;
        for (index_t i = 0; i < io.rows; ++i) {
            const T* const x = io.x + i * n;
            T* const y = io.y + i * n;
            for (index_t j = 0; j < n; ++j) y[j] = x[j] + p[j];
        }
    }
    void backward(const LayerIo<T>& io, Scratch<T>&) const override {
        const index_t n = io.rows * io.shape->in_size;
        std::copy(io.delta, io.delta + n, io.dx);
        differentiate_flushed(io.x_activation, io.x, io.dx, n);
    }

    void update_parameters(const LayerIo<T>& io, int index, int count,
                           const OptimizerStep<T>& given, Scratch<T>& scratch) const override {
        const index_t n = io.shape->in_size;
        const Range own = partition(n, index, count, 16);
        if (own.size() == 0) return;
        OptimizerStep<T> step = given;
        step.l1 = step.l2 = T(0);
        T* const gradient = scratch.gradient.reserve(n);
        T* const piece = scratch.column_sums.reserve(2 * n);
        const T* const delta = io.delta + own.begin;
        sum_columns_of(io.rows, 1, own.size(), gradient, piece, piece + n,
                       [&](index_t r, index_t j) { return delta[r * n + j]; });
        kernels<T>().update(step, gradient, p_ + own.begin, own.size());
    }

private:
    index_t length_, channels_;
    bool trained_;
    index_t p_ = 0;  // offset
};

}  // namespace

template <class T>
std::unique_ptr<Layer<T>> make_position_embedding(const LayerSettings& s) {
    return std::make_unique<PositionEmbedding<T>>(s.size("length"), s.size("channels"),
                                                  s.flag("trained"));
}

template std::unique_ptr<Layer<float>> make_position_embedding(const LayerSettings&);
template std::unique_ptr<Layer<double>> make_position_embedding(const LayerSettings&);

}  // namespace pynn
