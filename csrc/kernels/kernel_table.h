// The boundary between the kernels, compiled once per instruction set, and the rest: one
// constant table of function pointers. Nothing but plain data crosses it.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace pynn {

using index_t = ptrdiff_t;

// A sum over k is cut at multiples of this, whatever the instruction set, the threads or the
// blocking: each piece is a chain of fused multiply-adds from zero, and the pieces are added in
// order. (docs/numerics.md; tests/reference.py holds the same number.)
constexpr index_t KC = 512;

// As much as an L2 cache keeps from one product to the next.
constexpr index_t l2_bytes = 1536 * 1024;

// What happens to an element v of the product before it is stored in c.
enum class Epilogue : int {
    store,          // c = v
    bias,           // c = max(floor, v + bias[j]); floor is 0 for ReLU and -inf for none
    scale,          // c = fma(alpha, v, beta * c); c is not read if beta is 0
    relu_backward,  // c = y > 0 ? v : 0
    update          // v is the gradient of the parameters at c, which follow it
};

// How parameters w follow their gradient g. (m: first moment or velocity; v: second moment.)
enum class Rule : int {
    store_gradient,  // w = g: not an update at all, but the gradient's place
    sgd,             // w = decay w - rate g
    momentum,        // m = beta1 m - rate g; w = decay w + m
    nesterov,        // m as above; w = decay w + beta1 m - rate g
    adam,            // m += (1 - beta1) (g - m); v = beta2 v + (1 - beta2) g g;
                     // w = decay w - rate m / (sqrt(v) + epsilon)
    rmsprop          // v as above; m = beta1 m + g / (sqrt(v) + epsilon); w = decay w - rate m
};

// A step of an optimizer, with the arrays of the whole network, each as long as its parameters.
template <class T>
struct OptimizerStep {
    Rule rule;
    T* w;
    T* m;  // null for copy and sgd
    T* v;  // null except for adam and rmsprop
    T rate, decay, beta1, beta2;
    T one_minus_beta1, one_minus_beta2;  // 1 - beta1 and 1 - beta2, rounded once
    T epsilon;
    // The gradient is the loss's and, unless both are 0, plus l2 p + l1 sign(p), p being the
    // parameters before the step.
    T l1, l2;
    const T* p;
};

// The random numbers of a mini-batch at a dropout layer: nothing but these and an element's number
// decide whether it is dropped (dropout.h).
struct RngStream {
    uint64_t key, step;
    uint32_t layer;
};

// Memory that is needed soon: a product prefetches it, line by line, between its tiles. Rows of a
// matrix in any order, and what lies beside each of them (a label).
struct RowPrefetcher {
    const char* rows;
    index_t row_stride, row_bytes;
    const char* targets;  // or null
    index_t target_stride;
    const int64_t* order;
    index_t next, end;    // order[next .. end) are not prefetched yet
    index_t offset;       // bytes of row order[next] that have been
    float lines_per_fma;  // multiply-adds, that is
    float line_credit;    // lines
};

// A piece of a product's sum: the terms of a (m x k) times b (k x n). Strides count elements.
template <class T>
struct GemmPiece {
    index_t k;
    const T* a;
    index_t a_row, a_col;
    // Tables that stand for one of a's strides, or null: row i begins at a + a_rows[i], column l at
    // a + a_cols[l] (rows then follow each other, a_row is 1). A negative entry is a row, or a
    // column, of zeros: a padded position. (Offsets, not pointers: a table that a layer builds once
    // serves every mini-batch, in half of the memory.)
    const int32_t* a_rows;
    const int32_t* a_cols;
    const T* b;
    index_t b_row, b_col;
};

// c (m x n, rows contiguous) = epilogue(a (m x k) * b (k x n))
//
// An element is a sum of k terms, k counted through all pieces, cut into chains at every multiple
// of KC. docs/kernels.md defines what `pieces` and `k_before` do.
template <class T>
struct Gemm : GemmPiece<T> {
    index_t m, n;
    // Several pieces in the place of one, or null. k is the sum of theirs.
    const GemmPiece<T>* pieces;
    index_t piece_count;
    index_t row, column;  // of the pieces' product, where c begins
    // The sum's terms that earlier products have summed, 0 if it begins here. c holds the sum of
    // their finished chains, if there are any, and acc_in (m x n) the unfinished one, if there is
    // one. If k_before < KC acc_in may be c. Not for epilogues that read c.
    index_t k_before;
    const T* acc_in;
    index_t acc_in_row;
    // Where an unfinished last chain goes, for a product that continues it; or null: the sum ends
    // here. c then gets the sum of the finished chains, without the epilogue.
    T* acc_out;
    index_t acc_out_row;
    bool b_exceeds_l2;  // it is not in the L2 cache, however small: the caller knows its neighbors
    T* c;
    index_t c_row;
    Epilogue epilogue;
    const T* bias;  // n values
    T floor, alpha, beta;
    const T* y;  // m x n, for relu_backward
    index_t y_row;
    const OptimizerStep<T>* update;  // whose w c lies in
    void* workspace;  // gemm_workspace(...) bytes, aligned to 64, enough for fewer rows, too
    RowPrefetcher* prefetcher;  // or null
};

// Rows [first, first + rows) of a product. (`static`: a separate copy for every file, as the
// kernels' contract wants it.)
template <class T>
static inline Gemm<T> row_range(const Gemm<T>& whole, index_t first, index_t rows) {
    Gemm<T> g = whole;
    g.m = rows;
    if (g.pieces) {
        g.row += first;
    } else if (g.a_rows) {
        g.a_rows += first;
    } else {
        g.a += first * g.a_row;
    }
    g.c += first * g.c_row;
    if (g.y) g.y += first * g.y_row;
    if (g.acc_in) g.acc_in += first * g.acc_in_row;
    if (g.acc_out) g.acc_out += first * g.acc_out_row;
    return g;
}
// Columns [first, first + columns) of a product.
template <class T>
static inline Gemm<T> column_range(const Gemm<T>& whole, index_t first, index_t columns) {
    Gemm<T> g = whole;
    g.n = columns;
    if (g.pieces) {
        g.column += first;
    } else {
        g.b += first * g.b_col;
    }
    g.c += first;
    if (g.bias) g.bias += first;
    if (g.y) g.y += first;
    if (g.acc_in) g.acc_in += first;
    if (g.acc_out) g.acc_out += first;
    return g;
}

// c (n values) = a row of a sparse matrix times b (rows contiguous), and max(floor, c + bias) if
// there is a bias.
template <class T>
struct SparseProduct {
    index_t n, count;        // values of c; stored values of the row
    const int32_t* columns;  // theirs, increasing
    const T* values;
    const T* b;
    index_t b_row;
    bool b_exceeds_l2;  // its rows are to be prefetched
    T* c;
    const T* bias;  // n values, or null
    T floor;
};

// Row columns[e] - first of c (n values) += values[e] row, for each stored value e of a row of a
// sparse matrix, and touched[columns[e] - first] = 1. Rows of c fill cache lines: what follows the
// n values is overwritten.
template <class T>
struct SparseOuter {
    index_t n, count;
    const int32_t* columns;  // increasing
    const T* values;
    const T* row;  // n values
    index_t first;
    T* c;
    index_t c_row;
    uint8_t* touched;
};

// What a loss needs to know of a block of rows. Targets are labels or rows of values.
template <class T>
struct LossRows {
    index_t m, n;           // rows and outputs
    const T* z;             // logits or outputs, m x n contiguous
    const int64_t* labels;  // m labels in [0, n), or null
    const T* target;        // m x n, or null
    T scale;                // the gradient's factor: 1 / batch, or 1 / (batch * n)
    T* gradient;            // d loss / d z, m x n; may be z
    T* loss;                // m values, not yet averaged over the batch
    T delta;                // huber's
    const T* quantile;      // pinball's, n values
};

template <class T>
struct Kernels {
    index_t (*gemm_workspace)(const Gemm<T>&);
    void (*gemm)(const Gemm<T>&);
    const char* (*gemm_strategy)(const Gemm<T>&);  // its name (gemm.h)
    int mr, nr;            // of the micro-kernel: the grain for dividing work
    bool prefetches_rows;  // whether it is worth while to give products an RowPrefetcher
    void (*sparse_product)(const SparseProduct<T>&);
    void (*sparse_outer)(const SparseOuter<T>&);

    // to[i * to_row + j] = from[i * row + j * column]
    void (*copy)(const T* from, index_t row, index_t column, index_t rows, index_t columns, T* to,
                 index_t to_row);

    // Element by element over n contiguous values; the result may be an operand.
    void (*relu)(const T* x, T* y, index_t n);
    void (*sigmoid)(const T* x, T* y, index_t n);
    void (*tanh)(const T* x, T* y, index_t n);
    void (*exp)(const T* x, T* y, index_t n);
    void (*softplus)(const T* x, T* y, index_t n);
    void (*silu)(const T* x, T* y, index_t n);
    void (*gelu)(const T* x, T* y, index_t n);
    void (*gelu_tanh)(const T* x, T* y, index_t n);
    // As layers pass them on: 0 where they would be nearly denormal (vec.h: flush_tiny).
    void (*flushed_sigmoid)(const T* x, T* y, index_t n);
    void (*flushed_exp)(const T* x, T* y, index_t n);
    void (*flushed_softplus)(const T* x, T* y, index_t n);
    void (*flushed_silu)(const T* x, T* y, index_t n);
    void (*flushed_gelu)(const T* x, T* y, index_t n);
    void (*flush_tiny)(const T* x, T* y, index_t n);
    void (*relu_backward)(const T* dy, const T* y, T* dx, index_t n);
    void (*sigmoid_backward)(const T* dy, const T* y, T* dx, index_t n);
    void (*tanh_backward)(const T* dy, const T* y, T* dx, index_t n);
    void (*exp_backward)(const T* dy, const T* y, T* dx, index_t n);
    // alpha: elu's limit at -inf; leaky_relu's slope below 0.
    void (*elu)(T alpha, const T* x, T* y, index_t n);
    void (*leaky_relu)(T alpha, const T* x, T* y, index_t n);
    void (*elu_backward)(T alpha, const T* dy, const T* y, T* dx, index_t n);
    void (*leaky_relu_backward)(T alpha, const T* dy, const T* y, T* dx, index_t n);
    void (*softplus_backward)(const T* dy, const T* y, T* dx, index_t n);
    // Of their inputs.
    void (*silu_backward)(const T* dy, const T* x, T* dx, index_t n);
    void (*gelu_backward)(const T* dy, const T* x, T* dx, index_t n);
    void (*gelu_tanh_backward)(const T* dy, const T* x, T* dx, index_t n);
    void (*flushed_silu_backward)(const T* dy, const T* x, T* dx, index_t n);
    void (*flushed_gelu_backward)(const T* dy, const T* x, T* dx, index_t n);

    // Row by row over m x n contiguous values.
    void (*softmax)(const T* x, T* y, index_t m, index_t n);
    void (*log_softmax)(const T* x, T* y, index_t m, index_t n);
    void (*softmax_backward)(const T* dy, const T* y, T* dx, index_t m, index_t n);
    void (*log_softmax_backward)(const T* dy, const T* y, T* dx, index_t m, index_t n);
    // out[j] = sum over i of x[i, j], the bits of ones(1, m) @ x.
    void (*column_sums)(const T* x, index_t x_row, T* out, index_t m, index_t n);
    // The sum of n values in float64: sixteen lanes, then a fixed tree.
    double (*sum)(const T* x, index_t n);
    // The same of squares, and of sizes.
    double (*sum_squares)(const T* x, index_t n);
    double (*sum_abs)(const T* x, index_t n);
    bool (*all_finite)(const T* x, index_t n);
    void (*scale)(T factor, const T* x, T* y, index_t n);
    // Columns x[:, j] longer than `most` are scaled to that length.
    void (*clip_column_norms)(T most, T* x, index_t x_row, index_t m, index_t n);
    // Elements first .. first + n of a mini-batch's matrix: 0 where the random word is below
    // `threshold`, factor x elsewhere.
    void (*dropout)(const RngStream&, uint32_t threshold, T factor, const T* x, T* y, index_t first,
                    index_t n);

    void (*softmax_cross_entropy)(const LossRows<T>&);
    void (*sigmoid_cross_entropy)(const LossRows<T>&);
    void (*squared_error)(const LossRows<T>&);
    void (*absolute_error)(const LossRows<T>&);
    void (*huber)(const LossRows<T>&);
    void (*pinball)(const LossRows<T>&);
    void (*poisson)(const LossRows<T>&);          // z is the logarithm of the mean
    void (*poisson_of_mean)(const LossRows<T>&);  // z is the mean

    // The n parameters from `at` on follow their gradient g.
    void (*update)(const OptimizerStep<T>&, const T* g, index_t at, index_t n);
};

struct KernelTable {
    const char* name;
    bool fused;  // has fused multiply-add, so its bits are those of every other fused table
    Kernels<float> f32;
    Kernels<double> f64;
};

}  // namespace pynn
