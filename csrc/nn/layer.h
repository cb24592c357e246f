// The interface of a layer. A kind of layer is one file.
//
// Samples are independent of each other until the gradient of the parameters. So a thread takes its
// rows of a mini-batch through all layers, forward and backward, without meeting the others; then,
// after a barrier, the threads divide the parameters. `forward` and `backward` work on any rows,
// and `update_parameters` on any part of the parameters.
//
// Where the parameters do not stay in the caches, each thread would fetch all of them. There
// `forward_part` and `backward_part` divide each layer among the threads, with a barrier after it.
//
// A layer whose samples depend on each other in training (batch normalization) computes statistics
// over the mini-batch first, in phases with a barrier after each.
#pragma once

#include <string>
#include <vector>

#include "nn/activation.h"
#include "nn/buffer.h"
#include "nn/shape.h"
#include "nn/sparse.h"
#include "threads/barrier.h"
#include "threads/team.h"

namespace pynn {

// Work on more rows than this is done in pieces, between which it may end early.
constexpr index_t watched_rows = 8192;

// Where a thread's rows are in which mini-batch: the position in the random streams of layers.
struct RngPosition {
    bool training = false;  // otherwise random layers pass everything on
    uint64_t key = 0, step = 0;
    index_t first_row = 0;
};

// What a thread needs for a sparse mini-batch.
template <class T>
struct SparseScratch {
    RowBuffers<T> space;
    ColumnReader<T> columns;
    // The gradient of a block of rows of W, which of its rows are not zeros, and a sum over pieces
    // of samples. All are zeros between two uses.
    Buffer<T> gradient, sum;
    Buffer<uint8_t> touched;
    bool finite = true;  // the values that the thread has read
};

// What a thread works with apart from its operands. (Each thread writes to its own with every tile,
// so no two share a cache line.)
template <class T>
struct alignas(64) Scratch {
    SparseScratch<T> sparse;
    Buffer<char> workspace;       // of the products
    Buffer<T> gradient;           // a piece of a layer's gradient
    Buffer<GemmPiece<T>> pieces;  // of a product
    Buffer<uint64_t> keys;        // of a layer that sorts
    Buffer<T> column_sums;        // a piece of a long sum of bias gradients
    RowPrefetcher prefetcher{};   // what the products prefetch
    RngPosition rng{};
    const TeamThread* watcher = nullptr;  // the thread that polls during long sums, or null
    bool parameters_exceed_l2 = false;    // all layers' parameters together leave the L2 cache
};

// Rows of a mini-batch at one layer: contiguous, those of `x` and `dx` of shape `shape->in`.
template <class T>
struct LayerIo {
    const T* parameters = nullptr;  // the network's
    const LayerShape* shape = nullptr;
    index_t rows = 0;
    const T* x = nullptr;             // the input; of a layer with two inputs, the first
    const int64_t* tokens = nullptr;  // the input where it is integers; then x is null
    const T* x2 = nullptr;
    T* y = nullptr;  // the output
    // The gradient of the loss before this layer's activation.
    const T* delta = nullptr;
    // Where the inputs' gradients go, times the derivative of the activation that made the input:
    // so each is the `delta` of a layer below. A null pointer: not needed.
    T* dx = nullptr;
    T* dx2 = nullptr;
    Activation x_activation = Activation::identity, x2_activation = Activation::identity;
    T* saved = nullptr;             // what forward() keeps for backward(), in training
    uint32_t frozen = 0;            // parameters that are not updated, a bit each
    const T* statistics = nullptr;  // of the mini-batch (statistics_size() values), in training
};

// A parameter as users see it. Trained ones lie one after another from the layer's offset on,
// others (running statistics) from the layer's state offset on.
struct ParameterSpec {
    std::string name;
    std::vector<index_t> shape;
    bool trained = true;

    index_t size() const {
        index_t n = 1;
        for (const index_t d : shape) n *= d;
        return n;
    }
};

template <class T>
class Layer {
public:
    virtual ~Layer() = default;

    // Once, before all other calls: the input's shape. Throws std::invalid_argument for one that it
    // does not take.
    virtual void set_input_shape(const Shape&) {}
    virtual Shape output_shape(const Shape& in) const = 0;

    // Values that a sample keeps from forward to backward.
    virtual index_t saved_size(const Shape& /*in*/) const { return 0; }

    // The activation that forward() applies last, if its derivative is a function of the output.
    virtual Activation activation() const { return Activation::identity; }

    // For a first layer that reads integers: they are below it. 0: it reads values.
    virtual index_t vocabulary() const { return 0; }

    // True if predictions pass through it; false for layers that act in training only.
    virtual bool active_in_inference() const { return true; }

    // Floating-point operations of a sample, forward.
    virtual double flops(const Shape& in) const {
        return 2.0 * static_cast<double>(parameter_count() * in.positions());
    }

    // y from x.
    virtual void forward(const LayerIo<T>& io, Scratch<T>& scratch) const = 0;
    // dx from delta and x.
    virtual void backward(const LayerIo<T>& io, Scratch<T>& scratch) const = 0;

    // Part `index` of `count` of the same for all rows of the mini-batch, whose first row is that
    // of `scratch.rng`: of the rows, unless the layer knows better.
    virtual void forward_part(const LayerIo<T>& io, int index, int count,
                              Scratch<T>& scratch) const {
        by_rows(io, index, count, scratch, [&](const LayerIo<T>& own) { forward(own, scratch); });
    }
    virtual void backward_part(const LayerIo<T>& io, int index, int count,
                               Scratch<T>& scratch) const {
        by_rows(io, index, count, scratch, [&](const LayerIo<T>& own) { backward(own, scratch); });
    }

    // Allocates what the calls above and below need for up to `rows` rows: they must not throw,
    // since other threads would wait at the barrier.
    virtual void reserve(index_t /*rows*/, const LayerShape&, Scratch<T>&) const {}

    // Statistics over the mini-batch in training: how many values, in how many phases before
    // forward() and before backward(). Each phase computes part `index` of `count`; a barrier
    // follows. `statistics` is io.statistics, which both passes share.
    virtual index_t statistics_size() const { return 0; }
    virtual int forward_phases() const { return 0; }
    virtual int backward_phases() const { return 0; }
    virtual void forward_statistics(const LayerIo<T>&, int /*phase*/, int /*index*/, int /*count*/,
                                    T* /*statistics*/, Scratch<T>&) const {}
    virtual void backward_statistics(const LayerIo<T>&, int /*phase*/, int /*index*/, int /*count*/,
                                     T* /*statistics*/, Scratch<T>&) const {}
    // Advances the running statistics after a step on `rows` rows.
    virtual void advance_state(T* /*parameters*/, const LayerShape&, index_t /*rows*/,
                               const T* /*statistics*/) const {}

    // The parameters, in their order in memory, and where they are among the network's.
    virtual std::vector<ParameterSpec> parameters() const { return {}; }
    virtual void set_offsets(index_t /*trained*/, index_t /*state*/) {}
    index_t parameter_count() const { return count(true); }
    index_t state_count() const { return count(false); }
    // Values of a row of the parameters where rows without a gradient are left alone. 0: none is.
    virtual index_t sparse_row() const { return 0; }
    // The offset of the biases of the outputs, or -1.
    virtual index_t bias_offset() const { return -1; }

    // Computes part `index` of `count` of the parameters' gradient, summed over all rows, and
    // updates the parameters that io.frozen does not name, piece by piece while the gradient is in
    // cache. The layer adds its penalties to the gradient; `step`'s penalties are factors of them.
    virtual void update_parameters(const LayerIo<T>&, int /*index*/, int /*count*/,
                                   const OptimizerStep<T>& /*step*/, Scratch<T>&) const {}

    // A first layer for sparse samples: rows `own` of the mini-batch to y, and the update by the
    // gradient, with the bits of the calls above. Only dense layers are called.
    virtual void reserve_sparse(index_t, index_t, index_t, int, Scratch<T>&) const {}
    virtual void forward_sparse(const T*, const SparseBatch<T>&, Range, T*, Scratch<T>&) const {}
    virtual void update_parameters_sparse(const SparseBatch<T>&, const T*, uint32_t /*frozen*/, int,
                                          int, const OptimizerStep<T>&, Scratch<T>&) const {}

    // Stored values of row `index` of a sparse mini-batch, by a layer that maps 0 to 0.
    virtual void forward_sparse_row(const SparseRow<T>&, index_t /*index*/, index_t /*columns*/,
                                    const RngPosition&, T*) const {}

    // The penalties on the parameters, in pieces that are the same for any number of threads.
    virtual index_t penalty_pieces() const { return 0; }
    virtual double penalty(const T*, index_t) const { return 0; }

    // Projects part `index` of `count` of the parameters, without the `frozen` ones, onto their
    // constraint.
    virtual bool is_constrained() const { return false; }
    virtual void constrain(T*, uint32_t /*frozen*/, int, int) const {}

private:
    index_t count(bool trained) const {
        index_t n = 0;
        for (const ParameterSpec& p : parameters()) n += p.trained == trained ? p.size() : 0;
        return n;
    }

    template <class F>
    static void by_rows(const LayerIo<T>& io, int index, int count, Scratch<T>& scratch, F f) {
        const Range own = partition(io.rows, index, count);
        if (own.size() == 0) return;
        scratch.rng.first_row += own.begin;
        f(rows_of(io, own));
        scratch.rng.first_row -= own.begin;
    }
};

// Rows `own` of `io`.
template <class T>
LayerIo<T> rows_of(const LayerIo<T>& io, Range own) {
    const index_t in = own.begin * io.shape->in_size, out = own.begin * io.shape->out_size;
    LayerIo<T> part = io;
    part.rows = own.size();
    if (part.x) part.x += in;
    if (part.tokens) part.tokens += in;
    if (part.x2) part.x2 += in;
    if (part.y) part.y += out;
    if (part.delta) part.delta += out;
    if (part.dx) part.dx += in;
    if (part.dx2) part.dx2 += in;
    if (part.saved) part.saved += own.begin * io.shape->saved;
    return part;
}

}  // namespace pynn
