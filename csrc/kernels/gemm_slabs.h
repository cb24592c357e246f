// Few rows times a matrix b that no near cache holds: b is read once, in the order it lies in.
//
// A tile that sums over 512 rows of b reads 128 bytes here and 128 bytes a whole row further on,
// which no prefetcher of a processor follows, and the next tile of rows reads them again from far
// away. So a few rows of b, a slab, are worked off from end to end: for each panel of columns, all
// tiles of rows. The chains wait in a workspace meanwhile, a slab further each time.
#pragma once

#include "kernels/gemm_block.h"

PYNN_ISA_BEGIN

template <class T>
PYNN_INLINE bool goes_by_slabs(const Gemm<T>& g) {
    return !panels_stay_in_l1 && g.b_col == 1 && g.m > 1 && g.m < many_rows && is_far(g);
}

template <class T>
struct SlabPlan {
    static constexpr index_t size = sizeof(T);
    static constexpr int width = Vec<T>::width;
    // A slab's part of a and two panels' of b stay in the L1 cache.
    static constexpr index_t depth = 256 / size;
    static constexpr index_t chain_bytes = 1024 * 1024;  // beside the slab in the L2 cache

    int panel;
    index_t columns;  // of b at a time
    index_t a_bytes;

    PYNN_INLINE explicit SlabPlan(const Gemm<T>& g) {
        const RowTiles split(g.m);
        panel = tile_vectors(static_cast<int>(split.most())) * width;
        columns = at_most(g.n, at_least(1, chain_bytes / size / g.m / panel) * panel);
        a_bytes = Plan<T>::round_up(g.m * depth * size);
    }
    static PYNN_INLINE index_t chains(index_t rows, index_t columns) {
        return rows * ceil_div(columns, width) * width * size;
    }
};

// What g needs, or fewer of its rows.
template <class T>
PYNN_INLINE index_t slab_bytes(const Gemm<T>& g) {
    using P = SlabPlan<T>;
    if (panels_stay_in_l1 || g.b_col != 1 || !is_far(g)) return 0;
    const index_t rows = at_most(g.m, many_rows - 1);
    return Plan<T>::round_up(rows * P::depth * P::size) +
           at_most(P::chain_bytes, P::chains(rows, g.n));
}

template <class T>
void multiply_by_slabs(const Gemm<T>& g) {
    constexpr int w = Vec<T>::width;
    const SlabPlan<T> plan(g);
    T* const a = static_cast<T*>(g.workspace);
    T* const chains = reinterpret_cast<T*>(static_cast<char*>(g.workspace) + plan.a_bytes);
    const RowTiles split(g.m);
    Tile<T> t = tile_of(g);
    t.a_col = 1;
    t.b_row = g.b_row;
    for (index_t j0 = 0; j0 < g.n; j0 += plan.columns) {
        const index_t end = at_most(j0 + plan.columns, g.n);
        for (index_t l = 0; l < g.k; l += t.k) {
            const index_t in_chunk = l % k_chunk, chunk = at_most(k_chunk, g.k - l + in_chunk);
            t.k = at_most(plan.depth, chunk - in_chunk);
            const bool begins = in_chunk == 0, ends = in_chunk + t.k == chunk;
            t.accumulate = l >= k_chunk;
            t.epilogue = l + t.k == g.k ? g.epilogue : Epilogue::store;
            t.a_row = t.k;
            copy_block(g.a + l * g.a_col, g.a_row, g.a_col, g.m, t.k, a, t.k);
            for (index_t j = j0; j < end; j += plan.panel) {
                const index_t used = at_most(plan.panel, end - j);
                const int vectors = static_cast<int>(ceil_div(used, w));
                t.last = static_cast<int>(used - (vectors - 1) * w);
                t.b = g.b + l * g.b_row + j;
                t.bias = g.bias ? g.bias + j : nullptr;
                for (index_t i = 0; i < split.count; ++i) {
                    const index_t start = split.start(i), rows = split.start(i + 1) - start;
                    if (j + used < end) {
                        prefetch_panel(t.b + used, g.b_row, t.k * i / split.count,
                                       t.k * (i + 1) / split.count, at_most(used, end - j - used));
                    }
                    if (g.ahead) {
                        fetch_ahead(*g.ahead,
                                    static_cast<float>(rows * used) * static_cast<float>(t.k));
                    }
                    T* const chain = chains + (j - j0) * g.m + start * (vectors * w);
                    t.resume = begins ? nullptr : chain;
                    t.suspend = ends ? nullptr : chain;
                    t.a = a + start * t.k;
                    t.c = g.c + start * g.c_row + j;
                    t.y = g.y ? g.y + start * g.y_row + j : nullptr;
                    tiles<T>.at[rows][vectors][t.last != w](t);
                }
            }
        }
    }
}

PYNN_ISA_END
