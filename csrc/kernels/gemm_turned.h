// A few rows times the transpose of a matrix that lies row by row: an input gradient, delta W^T.
//
// b's columns are contiguous, so its panels would have to be turned on their way to the tiles. The
// transposed product, c^T = b^T a^T, reads b where it lies, row by row; what is turned instead is
// a, once, and the result.
#pragma once

#include "kernels/gemm_block.h"
#include "kernels/gemm_rows.h"

PYNN_ISA_BEGIN

template <class T>
struct TurnedPlan {
    static constexpr index_t size = sizeof(T);
    static constexpr index_t panel = panel_vectors * Vec<T>::width;
    static constexpr index_t group = 4 * tile_rows_max;  // columns of c at a time

    index_t rows, width;  // of a at a time; the same in whole vectors
    index_t a_bytes, turned_bytes, bytes;

    PYNN_INLINE explicit TurnedPlan(const Gemm<T>& g) {
        const index_t fitting = Plan<T>::block_bytes / (g.k * size) / panel;
        rows = at_most(g.m, at_least(fitting, 2) * panel);
        width = ceil_div(rows, Vec<T>::width) * Vec<T>::width;
        a_bytes = Plan<T>::round_up(width * g.k * size);
        turned_bytes = Plan<T>::round_up(rows * group * size);
        bytes = a_bytes + 2 * turned_bytes;
    }
};

constexpr index_t shortest_turned = 32;  // sum

// The most rows of a that are worth turning; 0: none. Turning a value of the result costs about
// half as much again as one of an operand, and the rows of a, or some panels of them, have to fit
// the L2 cache from end to end.
template <class T>
PYNN_INLINE index_t most_turned_rows(const Gemm<T>& g) {
    if (g.b_row != 1 || g.b_col == 1 || g.a_col != 1 || g.k < shortest_turned) return 0;
    const index_t cheap = 2 * g.k * g.n / (2 * g.k + 3 * g.n);
    const index_t fitting = near_bytes / (g.k * TurnedPlan<T>::size);
    return fitting >= 2 * TurnedPlan<T>::panel ? cheap : at_most(cheap, fitting);
}
template <class T>
PYNN_INLINE bool is_worth_turning(const Gemm<T>& g) {
    return g.m > 1 && g.m <= most_turned_rows(g);
}

// What g needs, or fewer of its rows.
template <class T>
PYNN_INLINE index_t turned_bytes(const Gemm<T>& g) {
    Gemm<T> most = g;
    most.m = at_most(g.m, most_turned_rows(g));
    return most.m > 1 ? TurnedPlan<T>(most).bytes : 0;
}

// The transposed product, without an epilogue.
template <class T>
PYNN_INLINE Gemm<T> transposed(const Gemm<T>& g, T* c) {
    Gemm<T> t{};
    t.m = g.n;
    t.n = g.m;
    t.k = g.k;
    t.a = g.b;
    t.a_row = g.b_col;
    t.a_col = g.b_row;
    t.b = g.a;
    t.b_row = g.a_col;
    t.b_col = g.a_row;
    t.c = c;
    t.c_row = g.m;
    t.epilogue = Epilogue::store;
    t.ahead = g.ahead;
    return t;
}

// g, whose rows are few enough for all of a to be packed.
template <class T>
void multiply_turned_rows(const Gemm<T>& g, const TurnedPlan<T>& whole) {
    char* const space = static_cast<char*>(g.workspace);
    T* const packed = reinterpret_cast<T*>(space);
    T* const turned = reinterpret_cast<T*>(space + whole.a_bytes);
    T* const sums = reinterpret_cast<T*>(space + whole.a_bytes + whole.turned_bytes);
    const Gemm<T> all = transposed(g, turned);
    const index_t width = ceil_div(g.m, Vec<T>::width) * Vec<T>::width;
    Plan<T> plan(all);
    plan.panel = static_cast<int>(TurnedPlan<T>::panel);
    for (index_t l = 0; l < g.k; l += k_chunk) {
        pack_b(all, plan.panel, l, at_most(k_chunk, g.k - l), 0, g.m, packed + l * width);
    }
    Block<T> s{};
    s.columns = g.m;
    for (index_t j = 0; j < g.n; j += whole.group) {
        const Gemm<T> part = columns_of(g, j, at_most(whole.group, g.n - j));
        const Gemm<T> t = transposed(part, turned);
        for (s.k0 = 0; s.k0 < g.k; s.k0 += k_chunk) {
            s.depth = at_most(k_chunk, g.k - s.k0);
            s.packed_b = packed + s.k0 * width;
            multiply_block(t, plan, s);
        }
        copy_block(turned, 1, g.m, g.m, t.m, sums, t.m);
        write_rows(part, sums, 0, g.m);
    }
}

template <class T>
void multiply_turned(const Gemm<T>& g) {
    const TurnedPlan<T> plan(g);
    for (index_t i = 0; i < g.m; i += plan.rows) {
        Gemm<T> rows = g;
        rows.m = at_most(plan.rows, g.m - i);
        rows.a += i * g.a_row;
        rows.c += i * g.c_row;
        if (g.y) rows.y += i * g.y_row;
        multiply_turned_rows(rows, plan);
    }
}

PYNN_ISA_END
