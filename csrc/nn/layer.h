// What the network and the trainer know of a layer. A kind of layer is one file.
//
// Rows of a mini-batch are independent of each other until the parameters' gradient, so a thread
// takes its rows through all layers forward and back without waiting for anybody; then, after a
// meeting, the threads divide the parameters. `forward` and `backward` therefore work on whatever
// rows they are given, and what concerns the parameters on whatever part of them.
//
// Where the parameters are far from the caches, each thread would fetch all of them that way. There
// `forward_part` and `backward_part` divide each layer by itself, with a meeting after it.
#pragma once

#include "nn/activation.h"
#include "nn/buffer.h"
#include "nn/sparse.h"
#include "threads/barrier.h"
#include "threads/team.h"

namespace pynn {

// Work on more rows than this is done in pieces, between which it may end early.
constexpr index_t watched_rows = 8192;

// Where in which mini-batch a thread's rows are: what random layers decide by.
struct RngPosition {
    bool training = false;  // random layers let everything pass otherwise
    uint64_t key = 0, step = 0;
    index_t first_row = 0;
};

// What a thread needs for a sparse mini-batch.
template <class T>
struct SparseScratch {
    RowBuffers<T> space;
    ColumnReader<T> columns;
    // Of a block of rows of W, and which of them are not zeros; and a sum over pieces of rows. All
    // are zeros between two uses.
    Buffer<T> gradient, sum;
    Buffer<uint8_t> touched;
    bool finite = true;  // the values that the thread has read
};

// What a thread works with besides its operands.
template <class T>
struct Scratch {
    SparseScratch<T> sparse;
    Buffer<char> workspace;      // of the products
    Buffer<T> gradient;          // a piece of a layer's gradient
    Buffer<T> column_sums;       // a piece of a long sum of biases' gradients
    RowPrefetcher prefetcher{};  // what the products ask memory for
    RngPosition rng{};
    const TeamThread* watcher = nullptr;  // who looks for an early end during long sums, or null
    bool parameters_exceed_l2 =
        false;  // all of the network's together leave the L2 cache meanwhile
};

template <class T>
class Layer {
public:
    virtual ~Layer() = default;

    virtual index_t inputs() const = 0;
    virtual index_t outputs() const = 0;

    // The function that forward() applies last, to each output by itself, if it is monotonic.
    virtual Activation activation() const { return Activation::identity; }

    // Whether predictions pass through it.
    virtual bool active_in_inference() const { return true; }

    // y (rows x outputs) from x (rows x inputs).
    virtual void forward(const T* parameters, const T* x, T* y, index_t rows,
                         Scratch<T>& scratch) const = 0;

    // dx = (delta's gradient with respect to x) * input_activation'(x), where delta (rows x
    // outputs) is the loss's gradient before this layer's activation, and x is the output of an
    // activation `input_activation`: so dx is the delta of the layer below.
    virtual void backward(const T* parameters, const T* delta, const T* x,
                          Activation input_activation, T* dx, index_t rows,
                          Scratch<T>& scratch) const = 0;

    // Part `index` of `count` of the same, of all rows, `scratch.rng` being that of the first
    // one: of the rows, unless the layer knows better.
    virtual void forward_part(const T* parameters, const T* x, T* y, index_t rows, int index,
                              int count, Scratch<T>& scratch) const {
        const Range own = partition(rows, index, count);
        if (own.size() == 0) return;
        scratch.rng.first_row += own.begin;
        forward(parameters, x + own.begin * inputs(), y + own.begin * outputs(), own.size(),
                scratch);
        scratch.rng.first_row -= own.begin;
    }
    virtual void backward_part(const T* parameters, const T* delta, const T* x,
                               Activation input_activation, T* dx, index_t rows, int index,
                               int count, Scratch<T>& scratch) const {
        const Range own = partition(rows, index, count);
        if (own.size() == 0) return;
        scratch.rng.first_row += own.begin;
        backward(parameters, delta + own.begin * outputs(), x + own.begin * inputs(),
                 input_activation, dx + own.begin * inputs(), own.size(), scratch);
        scratch.rng.first_row -= own.begin;
    }

    // Allocates all that the calls above and below need for up to `rows` rows: they run where
    // nobody may wait for a thread that failed.
    virtual void reserve(index_t, Scratch<T>&) const {}

    // The number of parameters, and where they are: at `offset` of the network's. Layers without
    // any leave the rest as it is.
    virtual index_t parameter_count() const { return 0; }
    virtual void set_parameter_offset(index_t) {}

    // Computes part `index` of `count` of the parameters' gradient, summed over all `rows`, and
    // lets the parameters follow it, piece by piece while each is in cache. Where the layer's
    // parameters are penalized, so is the gradient: `update`'s penalties are factors of its own.
    virtual void update_parameters(const T*, const T*, index_t, int, int, const OptimizerStep<T>&,
                                   Scratch<T>&) const {}

    // A first layer for sparse samples: rows `own` of the mini-batch to y, and the update by the
    // gradient, with the bits of the calls above. Others are never asked.
    virtual void reserve_sparse(index_t, index_t, index_t, int, Scratch<T>&) const {}
    virtual void forward_sparse(const T*, const SparseBatch<T>&, Range, T*, Scratch<T>&) const {}
    virtual void update_parameters_sparse(const SparseBatch<T>&, const T*, int, int,
                                          const OptimizerStep<T>&, Scratch<T>&) const {}

    // Stored values of row `index` of a sparse mini-batch, by a layer that maps 0 to 0.
    virtual void forward_sparse_row(const SparseRow<T>&, index_t, const RngPosition&, T*) const {}

    // The penalties on the parameters, in pieces that are the same for any number of threads.
    virtual index_t penalty_pieces() const { return 0; }
    virtual double penalty(const T*, index_t) const { return 0; }

    // Puts part `index` of `count` of the parameters back where they may be.
    virtual bool is_constrained() const { return false; }
    virtual void constrain(T*, int, int) const {}
};

}  // namespace pynn
