#include "nn/layers/dense.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "dispatch/dispatch.h"
#include "nn/column_sums.h"
#include "nn/gemm.h"
#include "threads/team.h"

namespace pynn {
namespace {

template <class T>
class Dense final : public Layer<T> {
public:
    explicit Dense(const DenseSettings& s)
        : inputs_(s.inputs),
          outputs_(s.outputs),
          bias_(s.bias),
          activation_(s.activation),
          l1_(s.l1),
          l2_(s.l2),
          max_norm_(s.max_norm) {}

    Shape output_shape(const Shape& in) const override {
        Shape out = in;
        out.channels = outputs_;
        return out;
    }
    std::vector<ParameterSpec> parameters() const override {
        std::vector<ParameterSpec> all{{"kernel", {inputs_, outputs_}}};
        if (bias_) all.push_back({"bias", {outputs_}});
        return all;
    }
    void set_offsets(index_t trained, index_t) override {
        w_ = trained;
        b_ = trained + inputs_ * outputs_;
    }
    index_t bias_offset() const override { return b_; }
    Activation activation() const override { return activation_; }
    double flops(const Shape& in) const override {
        return 2.0 * static_cast<double>((inputs_ + (bias_ ? 1 : 0)) * outputs_ * in.positions());
    }

    void reserve(index_t samples, const LayerShape& shape, Scratch<T>& scratch) const override {
        const index_t rows = samples * shape.in.positions();
        const Kernels<T>& k = kernels<T>();
        Gemm<T> forward = forward_product(nullptr, nullptr, nullptr, nullptr, rows);
        forward.b_exceeds_l2 = scratch.parameters_exceed_l2;
        Gemm<T> dw = gradient_product(nullptr, nullptr, rows);
        dw.m = inputs_;
        scratch.workspace.reserve(
            std::max({k.gemm_workspace(forward),
                      k.gemm_workspace(backward_product(nullptr, nullptr, nullptr,
                                                        Activation::identity, nullptr, rows)),
                      k.gemm_workspace(dw)}));
        scratch.gradient.reserve(std::max(gradient_rows(inputs_) * outputs_, outputs_));
        if (rows > KC) scratch.column_sums.reserve(outputs_);
    }

    void forward(const LayerIo<T>& io, Scratch<T>& scratch) const override {
        const Gemm<T> g = forward_product(io, scratch);
        multiply(g, scratch);
        activate_flushed<T>(pending_activation(activation_, bias_), g.c, g.c, g.m * outputs_);
    }

    void backward(const LayerIo<T>& io, Scratch<T>& scratch) const override {
        const Gemm<T> g = backward_product(io);
        multiply(g, scratch);
        if (io.x_activation != Activation::relu)
            differentiate_flushed(io.x_activation, io.x, io.dx, g.m * inputs_);
    }

    void forward_part(const LayerIo<T>& io, int index, int count,
                      Scratch<T>& scratch) const override {
        const Gemm<T> g = column_part(forward_product(io, scratch), index, count);
        multiply(g, scratch);
        by_rows(g.c, g.m, g.n, outputs_, [&](T* row, index_t n) {
            activate_flushed<T>(pending_activation(activation_, bias_), row, row, n);
        });
    }

    void backward_part(const LayerIo<T>& io, int index, int count,
                       Scratch<T>& scratch) const override {
        const Gemm<T> g = column_part(backward_product(io), index, count);
        multiply(g, scratch);
        if (io.x_activation == Activation::relu) return;
        by_rows(g.c, g.m, g.n, inputs_, [&](T* row, index_t n) {
            differentiate_flushed(io.x_activation, io.x + (row - io.dx), row, n);
        });
    }

    void update_parameters(const LayerIo<T>& io, int index, int count,
                           const OptimizerStep<T>& update, Scratch<T>& scratch) const override {
        const index_t rows = rows_of(io), piece = piece_rows(io.shape->in);
        if ((io.frozen & 1) == 0) {
            update_weights(io.x, io.delta, rows, piece,
                           partition(inputs_, index, count, inputs_ >= 16 * count ? 8 : 1), update,
                           scratch);
        }
        if ((io.frozen & 2) == 0) {
            update_biases(io.delta, rows, piece, index, count, update, scratch);
        }
    }

    void reserve_sparse(index_t rows, index_t stored, index_t longest_row, int threads,
                        Scratch<T>& scratch) const override {
        scratch.sparse.space.reserve(longest_row);
        scratch.sparse.columns.reserve(rows, stored, longest_row, threads);
        const index_t columns = block_columns(rows);
        T* const gradient = scratch.sparse.gradient.reserve(columns * block_row());
        std::fill(gradient, gradient + columns * block_row(), T(0));
        uint8_t* const touched = scratch.sparse.touched.reserve(columns);
        std::fill(touched, touched + columns, uint8_t(0));
        T* const sum = scratch.sparse.sum.reserve(columns * outputs_);
        std::fill(sum, sum + columns * outputs_, T(0));
        scratch.gradient.reserve(outputs_);
        if (rows > watched_rows) scratch.column_sums.reserve(outputs_);
    }

    void forward_sparse(const T* parameters, const SparseBatch<T>& x, Range own, T* y,
                        Scratch<T>& scratch) const override {
        SparseProduct<T> p = sparse_product(parameters + w_, inputs_);
        if (bias_) p.bias = parameters + b_;
        p.floor = activation_ == Activation::relu ? T(0) : -std::numeric_limits<T>::infinity();
        RowBuffers<T>& space = scratch.sparse.space;
        bool& finite = scratch.sparse.finite;
        finite = true;
        p.c = y;
        for (index_t i = own.begin; i < own.end; ++i, p.c += outputs_) {
            const Range positions = x.take(i, space);
            multiply(p, x.read(i, positions, {0, inputs_}, scratch.rng, space, &finite));
        }
        activate_flushed<T>(pending_activation(activation_, bias_), y, y, own.size() * outputs_);
    }

    void update_parameters_sparse(const SparseBatch<T>& x, const T* delta, uint32_t frozen,
                                  int index, int count, const OptimizerStep<T>& given,
                                  Scratch<T>& scratch) const override {
        const OptimizerStep<T> update = penalized_step(given);
        // (Sorted by columns, a stored value takes longer than a column that has none otherwise.)
        const bool few = skips_zero_gradients(update) && x.nnz() < inputs_ / 4;
        // What a column costs, in stored values.
        const double column_cost = few ? 0.0 : 4.0;
        const Range own = scratch.sparse.columns.divide(x, column_cost, index, count);
        const bool updates_weights = (frozen & 1) == 0;
        if (updates_weights && few) update_present_features(x, delta, own, update, scratch);
        if (updates_weights && !few) update_all_features(x, delta, own, update, scratch);
        if ((frozen & 2) == 0) update_biases(delta, x.rows, KC, index, count, given, scratch);
    }

    index_t penalty_pieces() const override {
        if (l1_ == 0 && l2_ == 0) return 0;
        return (inputs_ * outputs_ + penalty_piece - 1) / penalty_piece;
    }
    double penalty(const T* parameters, index_t piece) const override {
        const index_t first = piece * penalty_piece;
        const T* const w = parameters + w_ + first;
        const index_t n = std::min(penalty_piece, inputs_ * outputs_ - first);
        double sum = 0;
        if (l1_ != 0) sum += l1_ * kernels<T>().sum_abs(w, n);
        if (l2_ != 0) sum += l2_ / 2 * kernels<T>().sum_squares(w, n);
        return sum;
    }

    bool is_constrained() const override { return max_norm_ != 0; }
    void constrain(T* parameters, uint32_t frozen, int index, int count) const override {
        if (max_norm_ == 0 || (frozen & 1) != 0) return;
        const Range columns = partition(outputs_, index, count, 16);
        if (columns.size() == 0) return;
        kernels<T>().clip_column_norms(static_cast<T>(max_norm_), parameters + w_ + columns.begin,
                                       outputs_, inputs_, columns.size());
    }

private:
    // Each position of a sample is a row of the products.
    static index_t rows_of(const LayerIo<T>& io) { return io.rows * io.shape->in_positions; }

    Gemm<T> forward_product(const LayerIo<T>& io, const Scratch<T>& scratch) const {
        Gemm<T> g = forward_product(io.parameters + w_, bias_ ? io.parameters + b_ : nullptr, io.x,
                                    io.y, rows_of(io));
        g.b_exceeds_l2 = scratch.parameters_exceed_l2;
        return g;
    }
    Gemm<T> backward_product(const LayerIo<T>& io) const {
        return backward_product(io.parameters + w_, io.delta, io.x, io.x_activation, io.dx,
                                rows_of(io));
    }

    Gemm<T> forward_product(const T* w, const T* b, const T* x, T* y, index_t rows) const {
        return dense_forward(x, inputs_, index_t(1), w, b, y, rows, inputs_, outputs_, activation_);
    }

    // dx = delta W^T, with ReLU's derivative in the epilogue
    Gemm<T> backward_product(const T* w, const T* delta, const T* x, Activation input_activation,
                             T* dx, index_t rows) const {
        Gemm<T> g{};
        g.m = rows;
        g.n = inputs_;
        g.k = outputs_;
        g.a = delta;
        g.a_row = outputs_;
        g.a_col = 1;
        g.b = w;
        g.b_row = 1;
        g.b_col = outputs_;
        g.c = dx;
        g.c_row = inputs_;
        if (input_activation == Activation::relu) {
            g.epilogue = Epilogue::relu_backward;
            g.y = x;
            g.y_row = inputs_;
        }
        return g;
    }

    // dW = x^T delta; rows of W and c are the caller's to choose
    Gemm<T> gradient_product(const T* x, const T* delta, index_t rows) const {
        Gemm<T> g{};
        g.n = outputs_;
        g.k = rows;
        g.a = x;
        g.a_row = 1;
        g.a_col = inputs_;
        g.b = delta;
        g.b_row = outputs_;
        g.b_col = 1;
        g.c_row = outputs_;
        return g;
    }

    // f(row, values) for m rows of n values each; once for all if they lie end to end.
    template <class F>
    static void by_rows(T* c, index_t m, index_t n, index_t c_row, F f) {
        if (n == c_row) {
            f(c, m * n);
        } else {
            for (index_t i = 0; i < m; ++i) f(c + i * c_row, n);
        }
    }

    static void multiply(Gemm<T> g, Scratch<T>& scratch) {
        if (scratch.prefetcher.next < scratch.prefetcher.end) g.prefetcher = &scratch.prefetcher;
        serial_gemm(g, scratch.workspace);
    }

    // Rows of the product in a piece of the sum over the mini-batch.
    static index_t piece_rows(const Shape& in) { return piece_samples * in.positions(); }

    // The same for a sum over rows, in pieces which are added as within one product. Where that
    // leaves no parameter half updated, it may end early (the caller's `watcher`).
    static void multiply_sum(const Gemm<T>& g, index_t piece, Scratch<T>& scratch) {
        const bool watched = scratch.watcher && g.k > watched_rows && g.epilogue == Epilogue::store;
        // (A product's own cut is a piece of samples with one position.)
        if (g.k <= piece || (piece == KC && !watched)) {
            multiply(g, scratch);
            return;
        }
        Gemm<T> part = g;
        for (index_t first = 0; first < g.k; first += piece) {
            if (watched && !scratch.watcher->goes_on()) return;
            part.k = std::min(piece, g.k - first);
            part.a = g.a + first * g.a_col;
            part.b = g.b + first * g.b_row;
            multiply(part, scratch);
            part.epilogue = Epilogue::scale;
            part.alpha = part.beta = T(1);
        }
    }

    // As many rows of W at a time as leave the gradient in the L2 cache until it is taken.
    index_t gradient_rows(index_t own) const {
        constexpr index_t piece = 128 * 1024 / sizeof(T);
        return std::max<index_t>(1, std::min(own, piece / outputs_));
    }

    // `update` for the weights, with this layer's penalties. SGD takes the l2 penalty's part off
    // the parameters with their decay, which costs nothing.
    OptimizerStep<T> penalized_step(const OptimizerStep<T>& update) const {
        OptimizerStep<T> u = update;
        u.l1 = static_cast<T>(l1_ * static_cast<double>(update.l1));
        u.l2 = static_cast<T>(l2_ * static_cast<double>(update.l2));
        if (u.rule == Rule::sgd && u.l1 == T(0)) {
            const double rate = static_cast<double>(u.rate), l2 = static_cast<double>(u.l2);
            u.decay = static_cast<T>(static_cast<double>(u.decay) - rate * l2);
            u.l2 = T(0);
        }
        return u;
    }

    void update_weights(const T* x, const T* delta, index_t rows, index_t piece, Range own,
                        const OptimizerStep<T>& given, Scratch<T>& scratch) const {
        const OptimizerStep<T> update = penalized_step(given);
        const bool plain = update.l1 == T(0) && update.l2 == T(0);
        Gemm<T> g = gradient_product(x + own.begin, delta, rows);
        // In the product's epilogue, where c need not be free for the pieces of a longer sum.
        if ((update.rule == Rule::store_gradient && plain) || rows <= KC) {
            g.m = own.size();
            g.c = update.w + w_ + own.begin * outputs_;
            if (update.rule == Rule::sgd && plain) {
                g.epilogue = Epilogue::scale;
                g.alpha = -update.rate;
                g.beta = update.decay;
            } else if (update.rule != Rule::store_gradient || !plain) {
                g.epilogue = Epilogue::update;
                g.update = &update;
            }
            multiply_sum(g, piece, scratch);
            return;
        }
        const index_t step = gradient_rows(own.size());
        T* const gradient = scratch.gradient.reserve(step * outputs_);
        g.c = gradient;
        for (index_t i = own.begin; i < own.end; i += step) {
            g.m = std::min(step, own.end - i);
            g.a = x + i;
            multiply_sum(g, piece, scratch);
            kernels<T>().update(update, gradient, w_ + i * outputs_, g.m * outputs_);
        }
    }

    void update_biases(const T* delta, index_t rows, index_t piece, int index, int count,
                       const OptimizerStep<T>& update, Scratch<T>& scratch) const {
        const Range columns = partition(outputs_, index, count, 16);
        if (!bias_ || columns.size() == 0) return;
        T* const gradient = scratch.gradient.reserve(columns.size());
        sum_columns(delta + columns.begin, gradient, rows, piece, columns.size(), scratch);
        OptimizerStep<T> of_biases = update;  // which are never penalized
        of_biases.l1 = of_biases.l2 = T(0);
        kernels<T>().update(of_biases, gradient, b_ + columns.begin, columns.size());
    }

    void sum_columns(const T* delta, T* sums, index_t rows, index_t piece, index_t columns,
                     Scratch<T>& scratch) const {
        const bool watched = scratch.watcher && rows > watched_rows;
        if (rows <= piece || (piece == KC && !watched)) {
            kernels<T>().column_sums(delta, outputs_, sums, rows, columns);
            return;
        }
        T* const part = scratch.column_sums.reserve(columns);
        std::fill(sums, sums + columns, T(0));
        for (index_t first = 0; first < rows; first += piece) {
            if (watched && !scratch.watcher->goes_on()) return;
            T* const to = first == 0 ? sums : part;
            kernels<T>().column_sums(delta + first * outputs_, outputs_, to,
                                     std::min(piece, rows - first), columns);
            for (index_t j = 0; first > 0 && j < columns; ++j) sums[j] += part[j];
        }
    }

    // A row of a sparse matrix times b (rows x outputs).
    SparseProduct<T> sparse_product(const T* b, index_t rows) const {
        constexpr index_t far_bytes = 256 * 1024;
        SparseProduct<T> p{};
        p.n = outputs_;
        p.b = b;
        p.b_row = outputs_;
        p.b_exceeds_l2 = rows * outputs_ * static_cast<index_t>(sizeof(T)) > far_bytes;
        return p;
    }
    static void multiply(SparseProduct<T> p, const SparseRow<T>& row) {
        p.count = row.count;
        p.columns = row.columns;
        p.values = row.values;
        kernels<T>().sparse_product(p);
    }

    // True if a parameter whose gradient is 0 stays what it is.
    static bool skips_zero_gradients(const OptimizerStep<T>& u) {
        return u.rule == Rule::sgd && u.decay == T(1) && u.l1 == T(0) && u.l2 == T(0) &&
               std::isfinite(u.rate);
    }

    // The rows of W whose features occur, each with its gradient.
    void update_present_features(const SparseBatch<T>& x, const T* delta, Range own,
                                 const OptimizerStep<T>& update, Scratch<T>& scratch) const {
        SparseProduct<T> p = sparse_product(delta, x.rows);
        p.c = scratch.gradient.data();
        const auto update_feature = [&](index_t column, const SparseRow<T>& row) {
            multiply(p, row);
            kernels<T>().update(update, p.c, w_ + column * outputs_, outputs_);
        };
        scratch.sparse.columns.each_column(x, own, scratch.rng, update_feature);
    }

    // All rows of W, a block at a time: the block's part of each row of x adds to the gradient,
    // which stays in the cache. Most of it is 0, and all of it between two uses.
    void update_all_features(const SparseBatch<T>& x, const T* delta, Range own,
                             const OptimizerStep<T>& update, Scratch<T>& scratch) const {
        SparseScratch<T>& s = scratch.sparse;
        const index_t width = block_columns(x.rows);
        T* const gradient = s.sum.data();
        SparseOuter<T> p{};
        p.n = outputs_;
        p.c_row = block_row();
        p.c = s.gradient.data();
        p.touched = s.touched.data();
        s.columns.begin(x, own.begin);
        for (p.first = own.begin; p.first < own.end; p.first += width) {
            const Range block{p.first, std::min(own.end, p.first + width)};
            const auto add = [&](index_t row, const SparseRow<T>& stored) {
                p.count = stored.count;
                p.columns = stored.columns;
                p.values = stored.values;
                p.row = delta + row * outputs_;
                kernels<T>().sparse_outer(p);
            };
            for (index_t row = 0; row < x.rows; row += KC) {
                const Range rows{row, std::min(x.rows, row + KC)};
                const bool any = s.columns.each_row(x, rows, block, scratch.rng, add);
                if (any) flush_touched(s, block.size());
            }
            kernels<T>().update(update, gradient, w_ + block.begin * outputs_,
                                block.size() * outputs_);
            std::fill(gradient, gradient + block.size() * outputs_, T(0));
        }
    }

    // Adds the gradient of the touched columns to the sum, and sets it to 0.
    void flush_touched(SparseScratch<T>& s, index_t columns) const {
        T* const sum = s.sum.data();
        uint8_t* const touched = s.touched.data();
        uint8_t* const end = touched + columns;
        for (uint8_t* at = touched; (at = std::find(at, end, uint8_t(1))) != end; ++at) {
            *at = 0;
            T* const total = sum + (at - touched) * outputs_;
            T* const gradient = s.gradient.data() + (at - touched) * block_row();
            for (index_t j = 0; j < outputs_; ++j) total[j] += gradient[j];
            std::fill(gradient, gradient + block_row(), T(0));
        }
    }

    // Rows of W whose gradient is formed together: all of them where it is small, or as many as
    // stay in the L2 cache. (Each block reads every row of x, so a mini-batch of many rows has
    // larger blocks.)
    index_t block_columns(index_t rows) const {
        constexpr index_t small = 1024 * 1024 / sizeof(T), block = 128 * 1024 / sizeof(T);
        constexpr index_t many = 4096;
        if (inputs_ * block_row() <= small) return inputs_;
        const index_t values = block * std::clamp<index_t>(rows / many, 1, 8);
        return std::clamp<index_t>(values / std::max(outputs_, line / 4), 1, inputs_);
    }
    static constexpr index_t line = 64 / sizeof(T);
    // A column's gradient in a block fills whole cache lines, so that no access crosses one.
    index_t block_row() const { return (outputs_ + line - 1) / line * line; }

    static constexpr index_t penalty_piece = 4096;

    index_t inputs_, outputs_;
    bool bias_;
    Activation activation_;
    double l1_, l2_, max_norm_;
    index_t w_ = 0, b_ = 0;  // offsets of the parameters
};

}  // namespace

template <class T>
Gemm<T> dense_forward(const T* x, index_t x_row, index_t x_col, const T* w, const T* bias, T* y,
                      index_t rows, index_t inputs, index_t outputs, Activation f) {
    Gemm<T> g{};
    g.m = rows;
    g.n = outputs;
    g.k = inputs;
    g.a = x;
    g.a_row = x_row;
    g.a_col = x_col;
    g.b = w;
    g.b_row = outputs;
    g.b_col = 1;
    g.c = y;
    g.c_row = outputs;
    if (bias) {
        g.epilogue = Epilogue::bias;
        g.bias = bias;
        g.floor = f == Activation::relu ? T(0) : -std::numeric_limits<T>::infinity();
    }
    return g;
}

Activation pending_activation(Activation f, bool bias) {
    return f == Activation::relu && bias ? Activation::identity : f;
}

template <class T>
std::unique_ptr<Layer<T>> make_dense(const DenseSettings& settings) {
    return std::make_unique<Dense<T>>(settings);
}

template Gemm<float> dense_forward(const float*, index_t, index_t, const float*, const float*,
                                   float*, index_t, index_t, index_t, Activation);
template Gemm<double> dense_forward(const double*, index_t, index_t, const double*, const double*,
                                    double*, index_t, index_t, index_t, Activation);
template std::unique_ptr<Layer<float>> make_dense(const DenseSettings&);
template std::unique_ptr<Layer<double>> make_dense(const DenseSettings&);

}  // namespace pynn
