// Strategy "transposed": c^T = b^T a^T, where that fills vectors or reads an operand in place.
//
// Condition and reason:
// - One column (the weight gradient of one output). Its transpose is a row, which fills vectors;
// one
//   lane of a tile would do the work of a whole vector.
// - Few columns of a column-major a (the weight gradient of a classifier's last layer). Ten columns
//   cost as much as sixteen; rows fill whole vectors.
// - Few rows, b's columns contiguous (an input gradient, delta W^T). The micropanels of b would
// have
//   to be transposed while they are packed. The transposed product reads b in place; a and the
//   result, which are small, are transposed instead.
// Gain (python bench/strategies.py, Zen 4): one column 5.7 to 6.3, few columns 1.3 to 3.5, few rows
// 1.0 to 1.5, on both sets.
#pragma once

#include "kernels/gemm_blocks.h"
#include "kernels/gemv.h"

PYNN_ISA_BEGIN

// Transposes `part` of c, whose transpose is in `result` (rows c_row apart), and applies the
// epilogue.
template <class T>
PYNN_INLINE void write_transposed(const Gemm<T>& part, const T* result, index_t c_row, T* sums) {
    copy_block(result, 1, c_row, part.m, part.n, sums, part.n);
    write_rows(part, sums, 0, part.m);
}

// (A bias would be one value for the whole row.)
template <class T>
PYNN_INLINE bool is_plain_column(const Gemm<T>& g) {
    return is_column(g) && !g.bias;
}

template <class T>
PYNN_INLINE bool has_few_columns(const Gemm<T>& g) {
    constexpr int w = Vec<T>::width;
    const index_t vectors = ceil_div(g.n, w);
    return g.n > 1 && g.n <= 2 * w && 4 * g.n <= 3 * vectors * w && g.a_row == 1 && g.a_col != 1 &&
           g.b_col == 1 && g.m >= 2 * w && g.k >= w;
}
template <class T>
void multiply_few_columns(const Gemm<T>& g) {
    constexpr index_t group = 4 * Vec<T>::width, widest = 2 * Vec<T>::width;
    T result[group * widest], sums[group * widest];
    for (index_t i = 0; i < g.m; i += group) {
        const Gemm<T> part = row_range(g, i, at_most(group, g.m - i));
        multiply_blocked<true>(transposed(part, result, group));
        write_transposed(part, result, group, sums);
    }
}

template <class T>
struct TransposedPlan {
    static constexpr index_t size = sizeof(T);
    static constexpr index_t nr = NR_VECTORS * Vec<T>::width;
    static constexpr index_t group = 4 * MR;  // columns of c at a time

    index_t rows, width;  // of a at a time; the same in whole vectors
    index_t a_bytes, result_bytes, bytes;

    PYNN_INLINE explicit TransposedPlan(const Gemm<T>& g) {
        const index_t fitting = BlockingPlan<T>::block_bytes / (g.k * size) / nr;
        rows = at_most(g.m, at_least(fitting, 2) * nr);
        width = ceil_div(rows, Vec<T>::width) * Vec<T>::width;
        a_bytes = BlockingPlan<T>::round_up(width * g.k * size);
        result_bytes = BlockingPlan<T>::round_up(rows * group * size);
        bytes = a_bytes + 2 * result_bytes;
    }
};

// The largest number of rows that is faster transposed; 0: none. Transposing a value of the result
// costs half as much again as one of an operand. The rows of a, or some micropanels of them, have
// to fit the L2 cache over all of k.
template <class T>
PYNN_INLINE index_t most_transposed_rows(const Gemm<T>& g) {
    if (g.b_row != 1 || g.b_col == 1 || g.a_col != 1 || g.k < min_transposed_k) return 0;
    const index_t cheap = 2 * g.k * g.n / (2 * g.k + 3 * g.n);
    const index_t fitting = l2_bytes / (g.k * TransposedPlan<T>::size);
    return fitting >= 2 * TransposedPlan<T>::nr ? cheap : at_most(cheap, fitting);
}

// All rows of a are packed once, as micropanels of the transposed product's b.
template <class T>
void multiply_few_rows(const Gemm<T>& g, const TransposedPlan<T>& whole) {
    char* const space = static_cast<char*>(g.workspace);
    T* const packed = reinterpret_cast<T*>(space);
    T* const result = reinterpret_cast<T*>(space + whole.a_bytes);
    T* const sums = reinterpret_cast<T*>(space + whole.a_bytes + whole.result_bytes);
    const Gemm<T> all = transposed(g, result, g.m);
    const index_t width = ceil_div(g.m, Vec<T>::width) * Vec<T>::width;
    BlockingPlan<T> plan(all);
    plan.nr = static_cast<int>(TransposedPlan<T>::nr);
    for (index_t l = 0; l < g.k; l += KC) {
        pack_b(all, plan.nr, l, at_most(KC, g.k - l), 0, g.m, packed + l * width);
    }
    CacheBlock<T> s{};
    s.columns = g.m;
    for (index_t j = 0; j < g.n; j += whole.group) {
        const Gemm<T> part = column_range(g, j, at_most(whole.group, g.n - j));
        const Gemm<T> t = transposed(part, result, g.m);
        for (s.k0 = 0; s.k0 < g.k; s.k0 += KC) {
            s.depth = at_most(KC, g.k - s.k0);
            s.packed_b = packed + s.k0 * width;
            macro_kernel<true>(t, plan, s);
        }
        write_transposed(part, result, g.m, sums);
    }
}

struct Transposed {
    static constexpr const char* name = "transposed";

    template <class T>
    static PYNN_INLINE bool applies(const Gemm<T>& g) {
        return is_plain_column(g) || has_few_columns(g) ||
               (g.m > 1 && g.m <= most_transposed_rows(g));
    }
    template <class T>
    static PYNN_INLINE index_t workspace(const Gemm<T>& g) {
        if (is_plain_column(g)) return Blocks::workspace(column_as_row(g));
        Gemm<T> most = g;
        most.m = at_most(g.m, most_transposed_rows(g));
        return most.m > 1 ? TransposedPlan<T>(most).bytes : 0;
    }
    template <class T>
    static PYNN_INLINE void run(const Gemm<T>& g) {
        if (is_plain_column(g)) return multiply_blocked<true>(column_as_row(g));
        if (has_few_columns(g)) return multiply_few_columns(g);
        const TransposedPlan<T> plan(g);
        for (index_t i = 0; i < g.m; i += plan.rows) {
            multiply_few_rows(row_range(g, i, at_most(plan.rows, g.m - i)), plan);
        }
    }
};

PYNN_ISA_END
