// Strategy "outer": k = 1, a column times a row (the weight gradient of a single sample).
//
// Condition: k = 1, b's row contiguous, more than one column.
// Reason: as fast as the result can be written, one row after the other. A tile would write a few
// vectors of each row and then the next one's.
// Gain (python bench/strategies.py, Zen 4): AVX2 1.0 to 3.1, 1.7 in the mean of 33 products;
// AVX-512 1.1 to 1.35 where rows fill vectors, 1.0 where they do not.
#pragma once

#include "kernels/gemm_rows.h"

PYNN_ISA_BEGIN

template <class T>
void outer_product(const T* a, index_t a_row, const T* b, index_t m, index_t n, T* c,
                   index_t c_row) {
    const Vec<T> zero = set1(T(0));  // a chain of one: fma(a, b, 0), which is +0 for -0
    for (index_t i = 0; i < m; ++i) {
        const Vec<T> factor = set1(a[i * a_row]);
        map(b, c + i * c_row, n, [=](Vec<T> v) { return fma(factor, v, zero); });
    }
}

// c = alpha a b + beta c: SGD's step for a single sample
template <class T>
void add_outer_product(const Gemm<T>& g) {
    const Vec<T> zero = set1(T(0)), alpha = set1(g.alpha), beta = set1(g.beta);
    for (index_t i = 0; i < g.m; ++i) {
        const Vec<T> factor = set1(g.a[i * g.a_row]);
        T* const c = g.c + i * g.c_row;
        map(g.b, c, c, g.n, [=](Vec<T> v, Vec<T> old) {
            return finish<Form::combine>(alpha, beta, fma(factor, v, zero), c,
                                         [=](const T*) { return old; });
        });
    }
}

// out (m x n, end to end, with room for a vector more) = a b. Rows of up to outer_vectors vectors
// are written whole, each over what the one before stored beyond its end: a partial vector at the
// end of every row would hold up the next.
template <class T>
PYNN_INLINE void outer_short_rows(const T* a, index_t a_row, const T* b, index_t m, index_t n,
                                  T* out) {
    constexpr int w = Vec<T>::width;
    const Vec<T> zero = set1(T(0));
    T padded[outer_vectors * w] = {};
    for (index_t j = 0; j < n; ++j) padded[j] = b[j];
    for (index_t i = 0; i < m; ++i, out += n) {
        const Vec<T> factor = set1(a[i * a_row]);
        for (index_t j = 0; j < n; j += w) store(out + j, fma(factor, load(padded + j), zero));
    }
}

// Through any epilogue, a piece at a time from the L1 cache.
template <class T>
void multiply_outer(const Gemm<T>& g) {
    constexpr index_t w = Vec<T>::width, room = 8192 / sizeof(T);
    const bool is_short = g.n % w != 0 && g.n <= outer_vectors * w;
    if (g.epilogue == Epilogue::store) {
        outer_product(g.a, g.a_row, g.b, g.m, g.n, g.c, g.c_row);
        return;
    }
    if (g.epilogue == Epilogue::scale && g.beta != T(0) && !is_short) {
        add_outer_product(g);
        return;
    }
    alignas(64) T products[room + w];
    for (index_t j = 0; j < g.n; j += room) {
        const index_t n = at_most(room, g.n - j), rows = room / n;
        const T* const b = g.b + j;
        const T* const bias = g.bias ? g.bias + j : nullptr;
        for (index_t i = 0; i < g.m; i += rows) {
            const T* const a = g.a + i * g.a_row;
            const index_t used = at_most(rows, g.m - i);
            if (is_short) {
                outer_short_rows(a, g.a_row, b, used, n, products);
            } else {
                outer_product(a, g.a_row, b, used, n, products, n);
            }
            write_block(g, products, i, used, j, n, bias);
        }
    }
}

struct Outer {
    static constexpr const char* name = "outer";

    template <class T>
    static PYNN_INLINE bool applies(const Gemm<T>& g) {
        // (In between, on AVX-512, a tile's masked vectors are faster: 0.6 to 0.8.)
        constexpr index_t w = Vec<T>::width;
        const bool is_between = g.n > outer_vectors * w && g.n <= max_outer_vectors * w;
        return g.k == 1 && g.b_col == 1 && g.n > 1 && !(is_between && g.n % w != 0);
    }
    template <class T>
    static PYNN_INLINE index_t workspace(const Gemm<T>&) {
        return 0;
    }
    template <class T>
    static PYNN_INLINE void run(const Gemm<T>& g) {
        multiply_outer(g);
    }
};

PYNN_ISA_END
