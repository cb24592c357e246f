// Strategy "streamed": a row, or very few, times a matrix b that no near cache holds.
//
// Condition: at most streamed_rows_max rows, b's rows contiguous and b beyond the L2 cache.
// Reason: b streams by, its rows from end to end, while the sums wait in the L1 cache. A tile would
// read a few lines of each row of b and then the next row's, thousands of bytes further, where no
// processor's own prefetching follows it.
// Gain (python bench/strategies.py, Zen 4): AVX2 1.1 to 2.3, 1.35 in the mean of 7 products;
// AVX-512 1.0 to 1.4 (one row).
#pragma once

#include "kernels/gemm_plan.h"
#include "kernels/gemm_rows.h"

PYNN_ISA_BEGIN

// Some rows of b, of n columns, by as many elements of each of M rows of a. Loads and stores of the
// sums are shared by these rows of b; a single row of a leaves room for more of them.
template <class T, int M>
struct StreamedRows {
    static constexpr int at_once = M == 1 ? 8 : 4;

    const T *a, *b;
    index_t a_row, a_col, b_row, n;
    T* sums;  // row by row, n apart

    template <int L, bool prefetches>
    PYNN_INLINE void add(index_t l0) const {
        constexpr int w = Vec<T>::width;
        Vec<T> factor[M][L];
        PYNN_UNROLL
        for (int i = 0; i < M; ++i) {
            PYNN_UNROLL
            for (int l = 0; l < L; ++l) factor[i][l] = set1(a[i * a_row + (l0 + l) * a_col]);
        }
        const T* const row = b + l0 * b_row;
        const auto step = [&](index_t j, auto load_at, auto store_at) {
            Vec<T> bv[L];
            PYNN_UNROLL
            for (int l = 0; l < L; ++l) bv[l] = load_at(row + l * b_row + j);
            PYNN_UNROLL
            for (int i = 0; i < M; ++i) {
                T* const s = sums + i * n + j;
                Vec<T> sum = load_at(s);
                PYNN_UNROLL
                for (int l = 0; l < L; ++l) add_product(sum, factor[i][l], bv[l]);
                store_at(s, sum);
            }
        };
        index_t j = 0;
        for (; j + w <= n; j += w) {
            if constexpr (prefetches) {
                if (j % BlockingPlan<T>::line == 0) {
                    PYNN_UNROLL
                    for (int l = 0; l < L; ++l) PYNN_PREFETCH(row + (L + l) * b_row + j);
                }
            }
            step(j, [](const T* p) { return load(p); }, [](T* p, Vec<T> v) { store(p, v); });
        }
        if (const int left = static_cast<int>(n - j)) {
            step(
                j, [=](const T* p) { return load_n(p, left); },
                [=](T* p, Vec<T> v) { store_n(p, v, left); });
        }
    }

    PYNN_INLINE void add_all(index_t depth, bool prefetches) const {
        if (depth < at_once) {
            for (index_t l = 0; l < depth; ++l) add<1, false>(l);
        } else if (M > 1 && prefetches) {
            add<at_once, (M > 1)>(0);
        } else {
            add<at_once, false>(0);
        }
    }
};

template <class T, int M>
void add_streamed(const T* a, index_t a_row, index_t a_col, const T* b, index_t b_row,
                  index_t depth, index_t n, T* sums, bool prefetches) {
    StreamedRows<T, M>{a, b, a_row, a_col, b_row, n, sums}.add_all(depth, prefetches);
}

template <class T>
void multiply_streamed(const Gemm<T>& g) {
    using Add = void (*)(const T*, index_t, index_t, const T*, index_t, index_t, index_t, T*, bool);
    constexpr Add add[] = {add_streamed<T, 1>, add_streamed<T, 2>, add_streamed<T, 3>,
                           add_streamed<T, 4>, add_streamed<T, 5>, add_streamed<T, 6>};
    constexpr index_t group = 6, room = streamed_sums_bytes / sizeof(T);
    alignas(64) T sums[room];
    const index_t groups = ceil_div(g.m, group);
    const index_t columns =
        at_most(room / g.m, room / 4) / BlockingPlan<T>::line * BlockingPlan<T>::line;
    const index_t at_once = g.m == 1 ? StreamedRows<T, 1>::at_once : StreamedRows<T, 2>::at_once;
    // (What the L3 cache holds arrives in time anyway.)
    const bool prefetches =
        g.b_exceeds_l2 || g.k * g.n * static_cast<index_t>(sizeof(T)) > 4 * l2_bytes;
    for (index_t j = 0; j < g.n; j += columns) {
        const Gemm<T> part = column_range(g, j, at_most(columns, g.n - j));
        const auto each_row = [&](auto f) {
            for (index_t i = 0; i < g.m; ++i) f(sums + i * part.n, part.c + i * g.c_row);
        };
        for (index_t k0 = 0; k0 < g.k; k0 += KC) {
            const index_t end = at_most(k0 + KC, g.k);
            for (index_t i = 0; i < g.m * part.n; ++i) sums[i] = T(0);
            for (index_t l = k0; l < end; l += at_once) {
                for (index_t q = 0; q < groups; ++q) {
                    const index_t first = q * g.m / groups, rows = (q + 1) * g.m / groups - first;
                    add[rows - 1](g.a + first * g.a_row + l * g.a_col, g.a_row, g.a_col,
                                  part.b + l * g.b_row, g.b_row, at_most(at_once, end - l), part.n,
                                  sums + first * part.n, prefetches);
                }
            }
            // The pieces of a long sum are collected in c.
            if (k0 > 0) {
                each_row([&](T* sum, const T* c) {
                    map(c, sum, sum, part.n, [](Vec<T> x, Vec<T> y) { return x + y; });
                });
            }
            if (end < g.k) {
                each_row(
                    [&](const T* sum, T* c) { map(sum, c, part.n, [](Vec<T> v) { return v; }); });
            }
        }
        write_rows(part, sums, 0, g.m);
    }
}

struct Streamed {
    static constexpr const char* name = "streamed";

    template <class T>
    static PYNN_INLINE bool applies(const Gemm<T>& g) {
        if (g.m > streamed_rows_max || g.b_col != 1) return false;
        if (g.m > 1) return g.n >= min_streamed_columns && exceeds_l2(g);
        return g.n >= min_streamed_columns ? exceeds_l2(g) || exceeds_operand_cache(g)
                                           : 2 * g.n >= min_streamed_columns && exceeds_l2(g);
    }
    template <class T>
    static PYNN_INLINE index_t workspace(const Gemm<T>&) {
        return 0;
    }
    template <class T>
    static PYNN_INLINE void run(const Gemm<T>& g) {
        multiply_streamed(g);
    }
};

PYNN_ISA_END
