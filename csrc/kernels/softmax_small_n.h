// Rows of at most sixteen values, such as a classifier's outputs.
//
// One by one such rows leave lanes empty, and each waits for its own tree of a maximum and a sum.
// Sixteen together are turned, so that a lane is a row: a vector for each column, and the tree
// over the columns, in the same order, works on whole vectors.
#pragma once

#include "kernels/copy.h"
#include "kernels/math.h"

PYNN_ISA_BEGIN

// exp(x - largest), their sum and the largest of a row that fits the lanes.
template <class T>
PYNN_INLINE Lanes<T> exp_small_n_row(const T* x, int n, T& total, T& shift) {
    const Lanes<T> v = load_lanes(x, n, x[0]);
    shift = largest(v);
    const Vec<T> top = set1(shift);
    const Lanes<T> e = mask_first(map_lanes(v, [&](Vec<T> a) { return exp(a - top); }), n);
    total = tree_sum(e);
    return e;
}

template <class T>
PYNN_INLINE void softmax_small_n_row(const T* x, T* y, int n) {
    T total, shift;
    const Lanes<T> e = exp_small_n_row(x, n, total, shift);
    const Vec<T> sum = set1(total);
    store_lanes(y, map_lanes(e, [&](Vec<T> v) { return v / sum; }), n);
}

// Columns of sixteen rows, 0 where there are fewer.
template <class T>
struct TransposedRows {
    T at[lanes * lanes];

    PYNN_INLINE Lanes<T> operator[](int j) const { return load_lanes(at + j * lanes); }
    PYNN_INLINE void set(int j, const Lanes<T>& v) { store_lanes(at + j * lanes, v); }
};

template <class T>
PYNN_INLINE void load_transposed_rows(const T* x, int rows, int n, TransposedRows<T>& out) {
    if (rows < lanes) {
        for (int j = 0; j < n; ++j) out.set(j, set_lanes(T(0)));
    }
    copy_block(x, 1, n, n, rows, out.at, lanes);
}
template <class T>
PYNN_INLINE void store_transposed_rows(const TransposedRows<T>& c, int rows, int n, T* y) {
    copy_block(c.at, 1, lanes, rows, n, y, n);
}

// For each row, the tree over what f gives for its n columns.
template <class T, class F>
PYNN_INLINE Lanes<T> sum_transposed_rows(int n, F f) {
    Lanes<T> sums[lanes];
    for (int j = 0; j < n; ++j) sums[j] = f(j);
    for (int j = n; j < lanes; ++j) sums[j] = set_lanes(T(0));
    for (int half = lanes / 2; half > 0; half /= 2) {
        for (int j = 0; j < half; ++j) sums[j] = sums[j] + sums[j + half];
    }
    return sums[0];
}

template <class T>
struct ExpTransposedRows {
    Lanes<T> total, shift;
};
// c = exp(c - the row's largest)
template <class T>
PYNN_INLINE ExpTransposedRows<T> exp_transposed_rows(TransposedRows<T>& c, int n) {
    ExpTransposedRows<T> out;
    out.shift = c[0];
    for (int j = 1; j < n; ++j) {
        out.shift = map_lanes(out.shift, c[j], [](Vec<T> a, Vec<T> b) { return max(a, b); });
    }
    out.total = sum_transposed_rows<T>(n, [&](int j) {
        const Lanes<T> e =
            map_lanes(c[j], out.shift, [](Vec<T> v, Vec<T> top) { return exp(v - top); });
        c.set(j, e);
        return e;
    });
    return out;
}

// From this many rows on, sixteen at a time are quicker.
constexpr int min_rows_to_transpose = 6;

template <class T>
PYNN_INLINE void softmax_small_n(const T* x, T* y, index_t m, int n) {
    index_t i = 0;
    while (m - i >= min_rows_to_transpose) {
        const int rows = static_cast<int>(m - i < lanes ? m - i : lanes);
        TransposedRows<T> c;
        load_transposed_rows(x + i * n, rows, n, c);
        const Lanes<T> total = exp_transposed_rows(c, n).total;
        for (int j = 0; j < n; ++j) {
            c.set(j, map_lanes(c[j], total, [](Vec<T> e, Vec<T> sum) { return e / sum; }));
        }
        store_transposed_rows(c, rows, n, y + i * n);
        i += rows;
    }
    for (; i < m; ++i) softmax_small_n_row(x + i * n, y + i * n, n);
}

PYNN_ISA_END
