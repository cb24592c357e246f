// A whole matrix product on one thread.
#pragma once

#include "kernels/gemm_few_rows.h"
#include "kernels/gemm_panels.h"
#include "kernels/gemm_slabs.h"
#include "kernels/gemm_streamed.h"
#include "kernels/gemm_turned.h"
#include "kernels/gemv.h"
#include "kernels/outer.h"

PYNN_ISA_BEGIN

// A product with a single column is the product of the transposed operands, c^T = b^T a^T, whose
// single row fills whole vectors: one lane of a tile would do the work of its sixteen.
template <class T>
PYNN_INLINE Gemm<T> oriented(const Gemm<T>& g) {
    const bool turn = g.n == 1 && g.m > 1 && g.c_row == 1 && (!g.y || g.y_row == 1);
    if (!turn) return g;
    Gemm<T> t = g;
    t.m = 1;
    t.n = g.m;
    t.a = g.b;
    t.a_row = 1;
    t.a_col = g.b_row;
    t.b = g.a;
    t.b_row = g.a_col;
    t.b_col = g.a_row;
    t.c_row = g.m;
    t.y_row = g.m;
    return t;
}

// Block by block. same_bias: as many times the bias as a tile is wide; null: one a column.
template <class T>
PYNN_INLINE void multiply_blocks(const Gemm<T>& g, const T* same_bias) {
    const Plan<T> plan(g);
    T* const b_space = reinterpret_cast<T*>(static_cast<char*>(g.workspace) + plan.a_bytes);
    Block<T> s;
    s.packed_a = plan.pack_a ? static_cast<T*>(g.workspace) : nullptr;
    s.packed_b = plan.pack_b ? b_space : nullptr;
    s.same_bias = same_bias;
    for (s.j0 = 0; s.j0 < g.n; s.j0 += plan.columns) {
        s.columns = at_most(plan.columns, g.n - s.j0);
        s.k0 = 0;
        do {  // once for k = 0 too: the empty sum has an epilogue
            s.depth = at_most(k_chunk, g.k - s.k0);
            if (plan.pack_b) pack_b(g, plan.panel, s.k0, s.depth, s.j0, s.columns, b_space);
            multiply_block(g, plan, s);
            s.k0 += s.depth;
        } while (s.k0 < g.k);
    }
}

// A product of few columns, which would fill their vectors badly, with a's columns contiguous (the
// weight gradient of a network's last layer): vectors are filled with rows instead.
template <class T>
PYNN_INLINE bool is_narrow(const Gemm<T>& g) {
    constexpr int w = Vec<T>::width;
    const index_t vectors = ceil_div(g.n, w);
    return g.n > 1 && g.n <= 2 * w && 4 * g.n <= 3 * vectors * w && g.a_row == 1 && g.a_col != 1 &&
           g.b_col == 1 && g.m >= 2 * w && g.k >= w;
}

template <class T>
void multiply_narrow(const Gemm<T>& g) {
    constexpr index_t group = 4 * Vec<T>::width, widest = 2 * Vec<T>::width;
    T turned[group * widest], sums[group * widest];
    Gemm<T> t{};
    t.m = g.n;
    t.k = g.k;
    t.a = g.b;
    t.a_row = 1;
    t.a_col = g.b_row;
    t.b_row = g.a_col;
    t.b_col = 1;
    t.c = turned;
    t.c_row = group;
    t.epilogue = Epilogue::store;
    for (index_t i = 0; i < g.m; i += group) {
        t.n = at_most(group, g.m - i);
        t.b = g.a + i;
        multiply_blocks<T>(t, nullptr);
        copy_block(turned, 1, group, t.n, g.n, sums, g.n);
        write_rows(g, sums, i, t.n);
    }
}

// Each shape in the way that suits it.
template <class T>
void multiply_shape(const Gemm<T>& given) {
    if (given.n == 1 && given.a_col == 1 && given.c_row == 1 && given.epilogue == Epilogue::store &&
        gemv(given.a, given.a_row, given.b, given.b_row, given.m, given.k, given.c)) {
        return;
    }
    if (given.k == 1 && given.b_col == 1) {
        multiply_outer(given);
        return;
    }
    if (is_streamed(given)) {
        multiply_streamed(given);
        return;
    }
    if (is_turned_gemv(given)) {
        multiply_turned_gemv(given);
        return;
    }
    if (is_narrow(given)) {
        multiply_narrow(given);
        return;
    }
    const Gemm<T> g = oriented(given);
    if (is_worth_turning(g)) {
        multiply_turned(g);
        return;
    }
    if (goes_by_few_rows(g)) {
        multiply_few_rows(g);
        return;
    }
    if (goes_by_panels(g)) {
        multiply_by_panels(g);
        return;
    }
    if (goes_by_slabs(g)) {
        multiply_by_slabs(g);
        return;
    }
    if (g.m != given.m && g.bias) {
        T bias[tile_vectors_max * Vec<T>::width];
        for (T& value : bias) value = *g.bias;
        multiply_blocks(g, bias);
    } else {
        multiply_blocks<T>(g, nullptr);
    }
}

// A sum in several pieces is collected in c. Where the epilogue reads c, it is collected aside.
template <class T>
PYNN_INLINE bool is_staged(const Gemm<T>& g) {
    const bool reads_c =
        g.epilogue == Epilogue::scale ? g.beta != T(0) : g.epilogue == Epilogue::update;
    return reads_c && g.k > k_chunk;
}

template <class T>
PYNN_INLINE index_t stage_bytes(const Gemm<T>& g) {
    return Plan<T>::round_up(g.m * g.n * static_cast<index_t>(sizeof(T)));
}
template <class T>
PYNN_INLINE Gemm<T> staged(const Gemm<T>& g) {
    Gemm<T> s = g;
    s.c = static_cast<T*>(g.workspace);
    s.c_row = g.n;
    s.epilogue = Epilogue::store;
    if (g.workspace) s.workspace = static_cast<char*>(g.workspace) + stage_bytes(g);
    return s;
}

template <class T>
PYNN_INLINE index_t shape_bytes(const Gemm<T>& g) {
    const index_t of_l1 = at_least(panel_bytes(g), few_rows_bytes(g));
    const index_t bytes = at_least(Plan<T>(g).bytes, of_l1);
    return at_least(bytes, at_least(slab_bytes(g), turned_bytes(g)));
}

template <class T>
index_t gemm_workspace_kernel(const Gemm<T>& g) {
    if (is_staged(g)) return stage_bytes(g) + shape_bytes(oriented(staged(g)));
    return shape_bytes(oriented(g));
}

template <class T>
void gemm_kernel(const Gemm<T>& g) {
    if (g.m == 0 || g.n == 0) return;
    if (is_staged(g)) {
        const Gemm<T> s = staged(g);
        multiply_shape(s);
        write_rows(g, s.c, 0, g.m);
    } else {
        multiply_shape(g);
    }
}

PYNN_ISA_END
