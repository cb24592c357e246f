// Strategy "gemv": a matrix with contiguous rows times a vector.
//
// Condition: one column, a's rows contiguous (a network with one output); or one row, b's columns
// contiguous (the input gradient of a single sample).
// Reason: every result is a chain over k, so the lanes of a vector have to be rows. A square of the
// matrix is transposed in registers to get its columns. The shuffles are the limit: 24 for 64
// elements of float32 on AVX2.
// Gain (python bench/strategies.py, Zen 4): AVX2 1.2 to 2.9, AVX-512 1.15 to 4.1; 1.0 for a row
// with k = 10.
#pragma once

#include "kernels/gemm_plan.h"
#include "kernels/gemm_rows.h"

PYNN_ISA_BEGIN

// Squares of rows that are worked on together, so that one's shuffles overlap the others' chains.
constexpr int gemv_squares = 4;

// sums[i] = the chain of row i over k elements, for `squares` squares of rows.
template <int squares, class T>
PYNN_INLINE void gemv_rows(const T* a, index_t a_row, const T* x, index_t x_step, index_t k,
                           T* sums) {
    constexpr int s = Square<T>::size;
    using Register = decltype(load_square(sums));
    Register acc[squares];
    PYNN_UNROLL
    for (int q = 0; q < squares; ++q) {
        PYNN_UNROLL
        for (int i = 0; i < s; ++i) sums[q * s + i] = T(0);
        acc[q] = load_square(sums + q * s);
    }
    index_t l = 0;
    for (; l + s <= k; l += s) {
        PYNN_UNROLL
        for (int q = 0; q < squares; ++q) {
            const Square<T> columns = load_transposed(a + q * s * a_row + l, a_row);
            PYNN_UNROLL
            for (int j = 0; j < s; ++j) acc[q] = fma(x[(l + j) * x_step], columns.r[j], acc[q]);
        }
    }
    if (l < k && k >= s) {
        // The last columns, from a square that overlaps the one before.
        PYNN_UNROLL
        for (int q = 0; q < squares; ++q) {
            const Square<T> columns = load_transposed(a + q * s * a_row + k - s, a_row);
            PYNN_UNROLL
            for (int j = 0; j < s; ++j) {
                if (k - s + j >= l) {
                    acc[q] = fma(x[(k - s + j) * x_step], columns.r[j], acc[q]);
                }
            }
        }
        l = k;
    }
    PYNN_UNROLL
    for (int q = 0; q < squares; ++q) store(sums + q * s, acc[q]);
    for (; l < k; ++l) {
        T column[squares * s];
        for (int i = 0; i < squares * s; ++i) column[i] = a[i * a_row + l];
        PYNN_UNROLL
        for (int q = 0; q < squares; ++q) {
            store(sums + q * s,
                  fma(x[l * x_step], load_square(column + q * s), load_square(sums + q * s)));
        }
    }
}

// y[0 .. m) = a x, cut where every product is cut; m is at least a square's rows.
template <class T>
void gemv(const T* a, index_t a_row, const T* x, index_t x_step, index_t m, index_t k, T* y) {
    constexpr index_t s = Square<T>::size;
    T sums[gemv_squares * s];
    for (index_t i = 0; i < m;) {
        const bool many = i + gemv_squares * s <= m;
        const index_t rows = many ? gemv_squares * s : s;
        if (i + rows > m) i = m - rows;  // the last square overlaps the one before
        for (index_t k0 = 0; k0 == 0 || k0 < k; k0 += KC) {
            const index_t depth = k - k0 < KC ? k - k0 : KC;
            const T* block = a + i * a_row + k0;
            if (many) {
                gemv_rows<gemv_squares>(block, a_row, x + k0 * x_step, x_step, depth, sums);
            } else {
                gemv_rows<1>(block, a_row, x + k0 * x_step, x_step, depth, sums);
            }
            for (index_t l = 0; l < rows; ++l) y[i + l] = k0 == 0 ? sums[l] : y[i + l] + sums[l];
        }
        i += rows;
    }
}

// A column of the result as a row in the same memory, with its epilogue.
template <class T>
PYNN_INLINE bool is_column(const Gemm<T>& g) {
    return g.n == 1 && g.m > 1 && g.c_row == 1 && (!g.y || g.y_row == 1);
}
template <class T>
PYNN_INLINE Gemm<T> column_as_row(const Gemm<T>& g) {
    Gemm<T> row = transposed(g, g.c, g.m);
    row.epilogue = g.epilogue;
    row.bias = g.bias;  // one value
    row.y = g.y;
    row.y_row = g.m;
    return row;
}

struct Gemv {
    static constexpr const char* name = "gemv";

    // A row times the transpose of a matrix.
    template <class T>
    static PYNN_INLINE bool is_row(const Gemm<T>& g) {
        return g.m == 1 && g.b_row == 1 && g.b_col != 1 && g.n >= Square<T>::size;
    }
    template <class T>
    static PYNN_INLINE bool applies(const Gemm<T>& g) {
        return is_row(g) || (is_column(g) && g.a_col == 1 && g.m >= Square<T>::size);
    }
    template <class T>
    static PYNN_INLINE index_t workspace(const Gemm<T>&) {
        return 0;
    }
    template <class T>
    static PYNN_INLINE void run(const Gemm<T>& g) {
        if (is_row(g)) {
            multiply_row(g, false);
        } else {
            multiply_row(column_as_row(g), true);
        }
    }

private:
    // Through any other epilogue than store, a part at a time from the L1 cache.
    template <class T>
    static void multiply_row(const Gemm<T>& g, bool has_one_bias) {
        if (g.epilogue == Epilogue::store) {
            gemv(g.b, g.b_col, g.a, g.a_col, g.n, g.k, g.c);
            return;
        }
        constexpr index_t room = 4096 / sizeof(T);
        T sums[room], bias[room];
        if (has_one_bias && g.bias) {
            for (index_t j = 0; j < at_most(room, g.n); ++j) bias[j] = *g.bias;
        }
        for (index_t j = 0; j < g.n;) {
            // The part after this one has at least a square's columns.
            const index_t left = g.n - j;
            const index_t n = left <= room ? left : at_most(room, left - Square<T>::size);
            gemv(g.b + j * g.b_col, g.b_col, g.a, g.a_col, n, g.k, sums);
            write_block(g, sums, 0, 1, j, n, has_one_bias || !g.bias ? bias : g.bias + j);
            j += n;
        }
    }
};

PYNN_ISA_END
