// A vector of parameters for each token: y = E[token].
//
// The gradient is that of a dense layer on one-hot rows, bit for bit: the deltas of a token's
// occurrences are added in the order of (sample, position), in partial sums cut every KC rows. Only
// the rows of tokens that occur are computed, and with plain SGD (or a `sparse` layer) only these
// are updated.
#include <algorithm>
#include <cmath>
#include <utility>

#include "dispatch/dispatch.h"
#include "nn/column_sums.h"
#include "nn/key_sort.h"
#include "nn/layers/kinds.h"

namespace pynn {
namespace {

template <class T>
class Embedding final : public Layer<T> {
public:
    Embedding(index_t vocabulary, index_t units, bool sparse)
        : vocabulary_(vocabulary), units_(units), sparse_(sparse) {}

    // (Tokens are the channels of a sequence's input: each becomes a position.)
    Shape output_shape(const Shape& in) const override { return {in.size(), 1, 1, units_}; }
    double flops(const Shape& in) const override { return static_cast<double>(in.size() * units_); }
    index_t vocabulary() const override { return vocabulary_; }
    std::vector<ParameterSpec> parameters() const override {
        return {{"embeddings", {vocabulary_, units_}}};
    }
    void set_offsets(index_t trained, index_t) override { e_ = trained; }
    index_t sparse_row() const override { return sparse_ ? units_ : 0; }
    void reserve(index_t rows, const LayerShape& shape, Scratch<T>& scratch) const override {
        scratch.keys.reserve(2 * rows * shape.in.size());
        scratch.gradient.reserve(std::max(units_, zeros_size));
        scratch.column_sums.reserve(2 * units_);
    }

    void forward(const LayerIo<T>& io, Scratch<T>&) const override {
        const T* const e = io.parameters + e_;
        const index_t n = io.rows * io.shape->in_size;
        for (index_t i = 0; i < n; ++i) {
            std::copy_n(e + io.tokens[i] * units_, units_, io.y + i * units_);
        }
    }
    // (Tokens have no gradient.)
    void backward(const LayerIo<T>&, Scratch<T>&) const override {}

    void update_parameters(const LayerIo<T>& io, int index, int count,
                           const OptimizerStep<T>& given, Scratch<T>& scratch) const override {
        OptimizerStep<T> step = given;
        step.l1 = step.l2 = T(0);
        const bool skips = step.rule != Rule::store_gradient &&
                           (sparse_ || (step.rule == Rule::sgd && step.decay == T(1)));
        const index_t occurrences = io.rows * io.shape->in_size;
        uint64_t* keys = scratch.keys.reserve(2 * occurrences);
        // Where all rows are updated, the threads divide these, and sort their own tokens; where
        // few are, the occurrences.
        Range own{0, vocabulary_};
        if (!skips) own = partition(vocabulary_, index, count);
        index_t n = 0;
        for (index_t k = 0; k < occurrences; ++k) {
            const index_t token = static_cast<index_t>(io.tokens[k]);
            if (token < own.begin || token >= own.end) continue;
            keys[n++] = static_cast<uint64_t>(token) << 32 | static_cast<uint64_t>(k);
        }
        keys = sort_keys(keys, keys + occurrences, n, vocabulary_);
        Range entries{0, n};
        if (skips) {
            entries = partition(n, index, count);
            entries = {first_of_token(keys, n, entries.begin),
                       first_of_token(keys, n, entries.end)};
        }
        index_t next = own.begin;  // the first row not yet updated
        for (index_t i = entries.begin; i < entries.end;) {
            const index_t token = token_of(keys[i]);
            if (!skips) update_absent(step, next, token, scratch);
            T* const gradient = scratch.gradient.reserve(std::max(units_, zeros_size));
            i = sum_occurrences(io, keys, i, entries.end, gradient, scratch);
            kernels<T>().update(step, gradient, e_ + token * units_, units_);
            next = token + 1;
        }
        if (!skips) update_absent(step, next, own.end, scratch);
    }

private:
    static index_t token_of(uint64_t key) { return static_cast<index_t>(key >> 32); }
    static index_t row_of(uint64_t key) { return static_cast<index_t>(key & 0xffffffffu); }

    // The first entry at or after `i` that begins a token.
    static index_t first_of_token(const uint64_t* keys, index_t n, index_t i) {
        while (i > 0 && i < n && token_of(keys[i]) == token_of(keys[i - 1])) ++i;
        return i;
    }

    // The gradient of the token of entry `i`; returns the entry after its last.
    index_t sum_occurrences(const LayerIo<T>& io, const uint64_t* keys, index_t i, index_t end,
                            T* gradient, Scratch<T>& scratch) const {
        const index_t token = token_of(keys[i]);
        const index_t piece_rows = piece_samples * io.shape->in_size;
        T* const piece = scratch.column_sums.reserve(2 * units_);
        T* const part = piece + units_;
        const auto add = [&](T* to, const T* from) {
            for (index_t j = 0; j < units_; ++j) to[j] += from[j];
        };
        // Occurrences in one cut, as most tokens have, take no partial sums: these would be added
        // to zeros.
        index_t after = i + 1;
        while (after < end && token_of(keys[after]) == token) ++after;
        const auto piece_and_cut = [&](index_t row) {
            return std::make_pair(row / piece_rows, row % piece_rows / KC);
        };
        if (piece_and_cut(row_of(keys[i])) == piece_and_cut(row_of(keys[after - 1]))) {
            const T* const delta = io.delta + row_of(keys[i]) * units_;
            for (index_t j = 0; j < units_; ++j) gradient[j] = T(0) + delta[j];  // never -0
            while (++i < after) add(gradient, io.delta + row_of(keys[i]) * units_);
            return after;
        }
        std::fill(gradient, gradient + units_, T(0));
        while (i < end && token_of(keys[i]) == token) {
            const index_t first = row_of(keys[i]) / piece_rows;
            std::fill(piece, piece + units_, T(0));
            while (i < end && token_of(keys[i]) == token && row_of(keys[i]) / piece_rows == first) {
                const index_t cut = (row_of(keys[i]) - first * piece_rows) / KC;
                std::fill(part, part + units_, T(0));
                for (; i < end && token_of(keys[i]) == token; ++i) {
                    const index_t row = row_of(keys[i]);
                    if (row / piece_rows != first || (row - first * piece_rows) / KC != cut) break;
                    add(part, io.delta + row * units_);
                }
                add(piece, part);
            }
            add(gradient, piece);
        }
        return i;
    }

    // Rows without a gradient, which moments and decay move all the same.
    void update_absent(const OptimizerStep<T>& step, index_t begin, index_t end,
                       Scratch<T>& scratch) const {
        if (begin >= end) return;
        T* const zeros = scratch.gradient.reserve(std::max(units_, zeros_size));
        std::fill(zeros, zeros + zeros_size, T(0));
        for (index_t at = begin * units_; at < end * units_; at += zeros_size) {
            const index_t n = std::min(zeros_size, end * units_ - at);
            kernels<T>().update(step, zeros, e_ + at, n);
        }
    }
    static constexpr index_t zeros_size = 1024;

    index_t vocabulary_, units_;
    bool sparse_;
    index_t e_ = 0;  // offset
};

}  // namespace

template <class T>
std::unique_ptr<Layer<T>> make_embedding(const LayerSettings& s) {
    return std::make_unique<Embedding<T>>(s.size("vocabulary"), s.size("units"), s.flag("sparse"));
}

template std::unique_ptr<Layer<float>> make_embedding(const LayerSettings&);
template std::unique_ptr<Layer<double>> make_embedding(const LayerSettings&);

}  // namespace pynn
