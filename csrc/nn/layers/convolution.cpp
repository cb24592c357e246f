// Convolutions over time, height and width, channels last: for each output position
//   y = f(b + sum over kernel positions and channels of x[position * stride + offset] kernel)
// with any strides, dilation, padding and groups (a depthwise one has a group a channel).
//
// All three passes are matrix products that read the images through tables of offsets
// (docs/kernels.md): nothing is lowered to a matrix of patches. Forward, each kernel position is a
// piece of the sum, whose rows are the output positions; backward, the rows are the input positions
// and the pieces sum over the outputs' channels. The weights' gradient is a product for each kernel
// position, whose terms are the output positions of all samples. A padded position counts as a term
// and adds nothing.
#include <algorithm>
#include <limits>
#include <stdexcept>

#include "dispatch/dispatch.h"
#include "nn/column_sums.h"
#include "nn/gemm.h"
#include "nn/layers/dense.h"
#include "nn/layers/kinds.h"
#include "nn/layers/window.h"

namespace pynn {
namespace {

// Output positions of as many samples are the rows of one product.
constexpr index_t product_rows = 512;

template <class T>
class Convolution final : public Layer<T> {
public:
    explicit Convolution(const LayerSettings& s)
        : window_(window_of(s)),
          inputs_(s.size("inputs")),
          filters_(s.size("filters")),
          groups_(s.size("groups")),
          bias_(s.flag("bias")),
          activation_(activation_named(s.text("activation"))),
          l1_(s.number("l1", 0)),
          l2_(s.number("l2", 0)) {
        if (inputs_ % groups_ != 0 || filters_ % groups_ != 0) {
            throw std::invalid_argument("groups must divide channels and filters");
        }
    }

    void set_input_shape(const Shape& in) override {
        if (in.channels != inputs_) throw std::invalid_argument("another number of channels");
        const Shape out = output_shape(in);
        in_size_ = in.size();
        out_positions_ = out.positions();
        in_positions_ = in.positions();
        samples_ = std::max<index_t>(1, product_rows / out_positions_);
        is_plain_ = window_.is_plain();
        if (!is_plain_) make_tables(in, out);
    }
    Shape output_shape(const Shape& in) const override {
        Shape out = window_.output_shape(in);
        out.channels = filters_;
        return out;
    }
    double flops(const Shape& in) const override {
        return 2.0 * static_cast<double>(output_shape(in).positions() * filters_ *
                                         (row_inputs() * window_.positions() + bias_));
    }
    Activation activation() const override { return activation_; }
    std::vector<ParameterSpec> parameters() const override {
        std::vector<ParameterSpec> all{{"kernel", {window_.positions() * row_inputs(), filters_}}};
        if (bias_) all.push_back({"bias", {filters_}});
        return all;
    }
    void set_offsets(index_t trained, index_t) override {
        w_ = trained;
        b_ = trained + weight_count();
    }

    void reserve(index_t rows, const LayerShape&, Scratch<T>& scratch) const override {
        const Kernels<T>& k = kernels<T>();
        scratch.pieces.reserve(window_.positions());
        const index_t samples = is_plain_ ? rows : std::min(rows, samples_);
        LayerIo<T> none;
        index_t bytes = std::max(k.gemm_workspace(forward_product(none, 0, samples, 0, scratch)),
                                 k.gemm_workspace(backward_product(none, 0, samples, 0, scratch)));
        Gemm<T> g = gradient_product(none, 0, row_inputs(), samples, 0, 0);
        bytes = std::max(bytes, k.gemm_workspace(g));
        g.acc_in = g.acc_out = nullptr;
        scratch.workspace.reserve(std::max(bytes, k.gemm_workspace(g)));
        scratch.gradient.reserve(3 * row_inputs() * filters_ + filters_);
        scratch.column_sums.reserve(filters_);
    }

    void forward(const LayerIo<T>& io, Scratch<T>& scratch) const override {
        by_samples(io.rows, [&](index_t first, index_t samples) {
            for (index_t group = 0; group < groups_; ++group) {
                serial_gemm(forward_product(io, first, samples, group, scratch), scratch.workspace);
            }
        });
        activate_flushed<T>(pending_activation(activation_, bias_), io.y, io.y,
                            io.rows * io.shape->out_size);
    }

    void backward(const LayerIo<T>& io, Scratch<T>& scratch) const override {
        by_samples(io.rows, [&](index_t first, index_t samples) {
            for (index_t group = 0; group < groups_; ++group) {
                serial_gemm(backward_product(io, first, samples, group, scratch),
                            scratch.workspace);
            }
        });
        if (io.x_activation != Activation::relu) {
            differentiate_flushed(io.x_activation, io.x, io.dx, io.rows * io.shape->in_size);
        }
    }

    void update_parameters(const LayerIo<T>& io, int index, int count,
                           const OptimizerStep<T>& given, Scratch<T>& scratch) const override {
        if ((io.frozen & 1) == 0) update_kernel(io, index, count, given, scratch);
        if (bias_ && (io.frozen & 2) == 0) update_bias(io, index, count, given, scratch);
    }

    index_t penalty_pieces() const override {
        if (l1_ == 0 && l2_ == 0) return 0;
        return (weight_count() + penalty_piece - 1) / penalty_piece;
    }
    double penalty(const T* parameters, index_t piece) const override {
        const index_t first = piece * penalty_piece;
        const index_t n = std::min(penalty_piece, weight_count() - first);
        const T* const w = parameters + w_ + first;
        double sum = 0;
        if (l1_ != 0) sum += l1_ * kernels<T>().sum_abs(w, n);
        if (l2_ != 0) sum += l2_ / 2 * kernels<T>().sum_squares(w, n);
        return sum;
    }

private:
    static constexpr index_t penalty_piece = 4096;

    index_t row_inputs() const { return inputs_ / groups_; }
    index_t group_filters() const { return filters_ / groups_; }
    index_t weight_count() const { return window_.positions() * row_inputs() * filters_; }

    // Offsets of the values that a kernel position reads, for `samples_` samples: by output
    // position those of x, by input position those of delta; -1 where there are none.
    void make_tables(const Shape& in, const Shape& out) {
        if (samples_ * std::max(in.size(), out.size()) > std::numeric_limits<int32_t>::max()) {
            throw std::invalid_argument("the images are too large");
        }
        const index_t positions = window_.positions();
        reads_.assign(static_cast<std::size_t>(positions * samples_ * out_positions_), -1);
        writes_.assign(static_cast<std::size_t>(positions * samples_ * in_positions_), -1);
        window_.each(in, out, [&](index_t q, index_t o, index_t i) {
            for (index_t s = 0; s < samples_; ++s) {
                const index_t at_out = s * out_positions_ + o, at_in = s * in_positions_ + i;
                reads_[static_cast<std::size_t>(q * samples_ * out_positions_ + at_out)] =
                    static_cast<int32_t>(at_in * inputs_);
                writes_[static_cast<std::size_t>(q * samples_ * in_positions_ + at_in)] =
                    static_cast<int32_t>(at_out * filters_);
            }
        });
    }
    const int32_t* reads(index_t q) const {
        return is_plain_ ? nullptr : reads_.data() + q * samples_ * out_positions_;
    }
    const int32_t* writes(index_t q) const {
        return is_plain_ ? nullptr : writes_.data() + q * samples_ * in_positions_;
    }

    // f(first, samples) for all rows, as many at a time as the tables hold.
    template <class F>
    void by_samples(index_t rows, F f) const {
        const index_t most = is_plain_ ? rows : samples_;
        for (index_t first = 0; first < rows; first += most) f(first, std::min(most, rows - first));
    }

    Gemm<T> forward_product(const LayerIo<T>& io, index_t first, index_t samples, index_t group,
                            Scratch<T>& scratch) const {
        Gemm<T> g{};
        g.m = samples * out_positions_;
        g.n = group_filters();
        g.c = io.y + first * out_positions_ * filters_ + group * group_filters();
        g.c_row = filters_;
        if (bias_) {
            g.epilogue = Epilogue::bias;
            g.bias = io.parameters + b_ + group * group_filters();
            g.floor = activation_ == Activation::relu ? T(0) : -std::numeric_limits<T>::infinity();
        }
        const T* const x = io.x + first * in_size_ + group * row_inputs();
        const T* const w = io.parameters + w_ + group * group_filters();
        set_pieces(g, scratch, row_inputs(), x, inputs_, [&](index_t q, GemmPiece<T>& p) {
            p.a_rows = reads(q);
            p.b = w + q * row_inputs() * filters_;
            p.b_row = filters_;
            p.b_col = 1;
        });
        return g;
    }

    Gemm<T> backward_product(const LayerIo<T>& io, index_t first, index_t samples, index_t group,
                             Scratch<T>& scratch) const {
        Gemm<T> g{};
        g.m = samples * in_positions_;
        g.n = row_inputs();
        g.c = io.dx + first * in_size_ + group * row_inputs();
        g.c_row = inputs_;
        if (io.x_activation == Activation::relu) {
            g.epilogue = Epilogue::relu_backward;
            g.y = io.x + first * in_size_ + group * row_inputs();
            g.y_row = inputs_;
        }
        const T* const delta =
            io.delta + first * out_positions_ * filters_ + group * group_filters();
        const T* const w = io.parameters + w_ + group * group_filters();
        set_pieces(g, scratch, group_filters(), delta, filters_, [&](index_t q, GemmPiece<T>& p) {
            p.a_rows = writes(q);
            p.b = w + q * row_inputs() * filters_;
            p.b_row = 1;
            p.b_col = filters_;
        });
        return g;
    }

    // A piece for each kernel position, of `k` terms; set(q, piece) does the rest.
    template <class F>
    void set_pieces(Gemm<T>& g, Scratch<T>& scratch, index_t k, const T* a, index_t a_row,
                    F set) const {
        const index_t positions = window_.positions();
        g.k = positions * k;
        const auto piece_of = [&](index_t q) {
            GemmPiece<T> p{};
            p.k = k;
            p.a = a;
            p.a_row = a_row;
            p.a_col = 1;
            set(q, p);
            return p;
        };
        if (positions == 1) {
            static_cast<GemmPiece<T>&>(g) = piece_of(0);
            return;
        }
        GemmPiece<T>* const pieces = scratch.pieces.reserve(positions);
        for (index_t q = 0; q < positions; ++q) pieces[q] = piece_of(q);
        g.pieces = pieces;
        g.piece_count = positions;
    }

    // `rows` rows (channels of x from `channel` on) of the gradient of a kernel position, over some
    // samples.
    Gemm<T> gradient_product(const LayerIo<T>& io, index_t q, index_t rows, index_t samples,
                             index_t first, index_t channel) const {
        Gemm<T> g{};
        g.m = rows;
        g.n = group_filters();
        g.k = samples * out_positions_;
        g.a = io.x + first * in_size_ + channel;
        g.a_row = 1;
        g.a_col = inputs_;
        g.a_cols = reads(q);
        g.b = io.delta + first * out_positions_ * filters_;
        g.b_row = filters_;
        g.b_col = 1;
        g.c_row = g.acc_in_row = g.acc_out_row = filters_;
        return g;
    }

    void update_kernel(const LayerIo<T>& io, int index, int count, const OptimizerStep<T>& given,
                       Scratch<T>& scratch) const {
        OptimizerStep<T> step = given;
        step.l1 = static_cast<T>(l1_ * static_cast<double>(given.l1));
        step.l2 = static_cast<T>(l2_ * static_cast<double>(given.l2));
        const index_t all = window_.positions() * row_inputs();
        const Range own = partition(all, index, count);
        for (index_t row = own.begin; row < own.end;) {
            const index_t q = row / row_inputs(), channel = row % row_inputs();
            const index_t rows = std::min(own.end - row, row_inputs() - channel);
            T* const gradient = scratch.gradient.reserve(3 * row_inputs() * filters_ + filters_);
            for (index_t group = 0; group < groups_; ++group) {
                sum_gradient(io, q, channel, rows, group, gradient, scratch);
            }
            kernels<T>().update(step, gradient, w_ + row * filters_, rows * filters_);
            row += rows;
        }
    }

    // The sum over all samples: pieces of 512, in each of which the chains continue from product to
    // product.
    void sum_gradient(const LayerIo<T>& io, index_t q, index_t channel, index_t rows, index_t group,
                      T* gradient, Scratch<T>& scratch) const {
        const index_t values = row_inputs() * filters_;
        T* const piece = gradient + values;
        T* const open = piece + values;  // the unfinished chains
        const index_t column = group * group_filters();
        for (index_t first = 0; first < io.rows; first += piece_samples) {
            const index_t end = std::min(io.rows, first + piece_samples);
            T* const sum = first == 0 ? gradient : piece;
            index_t terms = 0;
            for (index_t at = first; at < end;) {
                const index_t samples = is_plain_ ? end - at : std::min(samples_, end - at);
                Gemm<T> g =
                    gradient_product(io, q, rows, samples, at, group * row_inputs() + channel);
                g.b += column;
                g.c = sum + column;
                g.k_before = terms;
                if (terms % KC != 0) g.acc_in = open + column;
                at += samples;
                terms += g.k;
                if (at < end) g.acc_out = open + column;
                serial_gemm(g, scratch.workspace);
            }
            if (first == 0) continue;
            for (index_t r = 0; r < rows; ++r) {
                T* const to = gradient + r * filters_ + column;
                const T* const from = piece + r * filters_ + column;
                for (index_t j = 0; j < group_filters(); ++j) to[j] += from[j];
            }
        }
    }

    void update_bias(const LayerIo<T>& io, int index, int count, const OptimizerStep<T>& given,
                     Scratch<T>& scratch) const {
        const Range own = partition(filters_, index, count, 16);
        if (own.size() == 0) return;
        OptimizerStep<T> step = given;
        step.l1 = step.l2 = T(0);
        T* const gradient = scratch.gradient.reserve(3 * row_inputs() * filters_ + filters_);
        T* const piece = scratch.column_sums.reserve(filters_);
        for (index_t first = 0; first < io.rows; first += piece_samples) {
            const index_t samples = std::min(piece_samples, io.rows - first);
            T* const to = first == 0 ? gradient : piece;
            kernels<T>().column_sums(io.delta + first * out_positions_ * filters_ + own.begin,
                                     filters_, to, samples * out_positions_, own.size());
            for (index_t j = 0; first > 0 && j < own.size(); ++j) gradient[j] += piece[j];
        }
        kernels<T>().update(step, gradient, b_ + own.begin, own.size());
    }

    Window window_;
    index_t inputs_, filters_, groups_;
    bool bias_;
    Activation activation_;
    double l1_, l2_;
    index_t in_size_ = 0, in_positions_ = 0, out_positions_ = 0, samples_ = 1;
    bool is_plain_ = false;  // each output position reads one input position, the same
    std::vector<int32_t> reads_, writes_;
    index_t w_ = 0, b_ = 0;  // offsets
};

}  // namespace

template <class T>
std::unique_ptr<Layer<T>> make_convolution(const LayerSettings& s) {
    return std::make_unique<Convolution<T>>(s);
}

template std::unique_ptr<Layer<float>> make_convolution(const LayerSettings&);
template std::unique_ptr<Layer<double>> make_convolution(const LayerSettings&);

}  // namespace pynn
