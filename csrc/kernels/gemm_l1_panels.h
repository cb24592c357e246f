// Strategy "l1_panels" (AVX2): a weight gradient, x^T delta, with the cache blocks the other way
// round than in gemm_blocks.h: a micropanel of b stays in the L1 cache, and the tiles of a block of
// a, packed, pass by from the L2 cache (Goto and van de Geijn 2008).
//
// Condition: a column-major, k >= min_panels_k, and enough rows and columns to pay for packing a.
// Reason: a tile of 6 x 16 reads 64 bytes of b and 24 of a in six cycles of multiply-adds, so a is
// the cheaper one to have passing.
// Gain (python bench/strategies.py avx2, Zen 4): 1.0 to 1.34. Below min_panels_rows 0.6 to 0.95.
#pragma once

#include "kernels/gemm_blocks.h"

PYNN_ISA_BEGIN

// This strategy uses no RowPrefetcher, nor does a sequence of tiles.
static_assert(!prefetches_rows || (!micropanels_stay_in_l1 && k_unroll == 1));

template <class T>
struct GebpPlan {
    static constexpr index_t size = sizeof(T);
    static constexpr index_t line = BlockingPlan<T>::line;
    static constexpr int nr = NR_VECTORS * Vec<T>::width;
    static constexpr index_t columns_many = panel_columns / nr * nr;
    static constexpr index_t columns_few = 4 * nr;

    index_t blocks;       // of a
    index_t columns;      // of b at a time
    index_t tile_stride;  // from one packed tile to the next
    index_t a_bytes, partial_sums_bytes, bytes;

    PYNN_INLINE explicit GebpPlan(const Gemm<T>& g) {
        const index_t chunk = at_most(g.k, KC);
        blocks = ceil_div(g.m, tiles_of_a_block(chunk) * MR);
        // b is packed once for many blocks; for a single one while it is in the L1 cache.
        columns = at_most(g.n, blocks == 1 ? columns_few : columns_many);
        // (A line more than the tile needs, so that tiles do not share a set of the L1 cache.)
        tile_stride = chunk * MR + line;
        // Enough for fewer rows or a shorter sum, too.
        const index_t tiles = ceil_div(g.m, MR);
        a_bytes =
            BlockingPlan<T>::round_up(at_most(tiles * MR * chunk * size, a_block_bytes) +
                                      at_most(tiles, tiles_of_a_block(min_panels_k)) * line * size);
        partial_sums_bytes = 0;
        if (chunk > panel_depth) {
            const index_t most = at_most(tiles, tiles_of_a_block(panel_depth));
            partial_sums_bytes = BlockingPlan<T>::round_up(most * MR * nr * size);
        }
        const index_t b_columns = ceil_div(columns, Vec<T>::width) * Vec<T>::width;
        bytes = a_bytes + partial_sums_bytes + BlockingPlan<T>::round_up(chunk * b_columns * size);
    }
    static PYNN_INLINE index_t tiles_of_a_block(index_t chunk) {
        return at_least(a_block_bytes / size / chunk / MR, 1);
    }
};

// A block of a from row `first` on, a few columns of all its tiles at a time, so that whole cache
// lines are read.
template <class T>
PYNN_INLINE void pack_a(const Gemm<T>& g, const GebpPlan<T>& plan, index_t k0, index_t depth,
                        index_t first, const RowPartition& split, T* out) {
    constexpr index_t group = 16;
    for_each_segment(g, k0, depth, [&](const GemmPiece<T>& s, index_t at) {
        for (index_t l = 0; l < s.k; l += group) {
            for (index_t i = 0; i < split.count; ++i) {
                const index_t start = split.start(i), rows = split.start(i + 1) - start;
                pack_columns(s, l, at_most(group, s.k - l), first + start, rows,
                             out + i * plan.tile_stride + (at + l) * MR);
            }
        }
    });
}

// The tiles of a packed block of a by one micropanel of b, whose sum over a chunk is cut where the
// micropanel would outgrow the L1 cache; the chains wait in a workspace. t has what is the same for
// all of them.
template <class T>
PYNN_INLINE void multiply_micropanel(const Gemm<T>& g, MicroKernelArgs<T> t,
                                     const RowPartition& split, index_t tile_stride, index_t chunk,
                                     const T* b, int vectors, T* partial_sums) {
    const index_t depth = ceil_div(chunk, ceil_div(chunk, panel_depth));
    const T* const a = t.a;
    T* const c = t.c;
    const T* const y = t.y;
    t.b_row = vectors * Vec<T>::width;
    const bool prefetches_c = should_prefetch_c(g);
    const bool is_whole = t.b_row == GebpPlan<T>::nr && t.last == Vec<T>::width;
    for (index_t l = 0; l < chunk; l += depth) {
        t.k = at_most(depth, chunk - l);
        t.b = b + l * t.b_row;
        const bool ends = l + t.k == chunk;
        for (index_t i = 0; i < split.count;) {
            const index_t start = split.start(i), rows = split.start(i + 1) - start;
            T* const partial_sum = partial_sums + start * t.b_row;
            t.acc_in = l > 0 ? partial_sum : nullptr;
            t.acc_out = ends ? nullptr : partial_sum;
            t.acc_in_row = t.acc_out_row = t.b_row;
            t.a = a + i * tile_stride + l * MR;
            t.c = c + start * t.c_row;
            t.y = y ? y + start * t.y_row : nullptr;
            const TileSequenceKernel<T> run =
                is_whole ? find_tile_sequence_kernel(t, rows) : nullptr;
            const index_t tiles_now = run ? (i < split.larger ? split.larger : split.count) - i : 1;
            const bool asks = prefetches_c && ends;
            if (run) {
                run(t, {tiles_now, tile_stride, 0, rows * t.c_row, asks});
            } else {
                if (asks && i + 1 < split.count) {
                    const T* const next = t.c + rows * t.c_row;
                    prefetch_c_tile(t, next, split.start(i + 2) - split.start(i + 1), t.b_row);
                }
                micro_kernels<T>.at[rows][vectors][0](t);
            }
            i += tiles_now;
        }
    }
}

template <class T>
void multiply_gebp(const Gemm<T>& g) {
    constexpr int w = Vec<T>::width;
    const GebpPlan<T> plan(g);
    char* const space = static_cast<char*>(g.workspace);
    T* const packed_a = reinterpret_cast<T*>(space);
    T* const partial_sums = reinterpret_cast<T*>(space + plan.a_bytes);
    T* const packed_b = reinterpret_cast<T*>(space + plan.a_bytes + plan.partial_sums_bytes);
    MicroKernelArgs<T> t = micro_kernel_args(g);
    t.a_row = 1;
    t.a_col = MR;
    for (index_t k0 = 0; k0 < g.k; k0 += KC) {
        const index_t chunk = at_most(KC, g.k - k0);
        t.accumulate = k0 > 0;
        t.epilogue = k0 + chunk == g.k ? g.epilogue : Epilogue::store;
        for (index_t j0 = 0; j0 < g.n; j0 += plan.columns) {
            const index_t end = at_most(j0 + plan.columns, g.n);
            pack_b(g, plan.nr, k0, chunk, j0, end - j0, packed_b);
            for (index_t block = 0; block < plan.blocks; ++block) {
                const index_t first = block * g.m / plan.blocks;
                const RowPartition split((block + 1) * g.m / plan.blocks - first);
                if (plan.blocks > 1 || j0 == 0) {
                    pack_a(g, plan, k0, chunk, first, split, packed_a);
                }
                t.a = packed_a;
                for (index_t j = j0; j < end; j += plan.nr) {
                    const index_t used = at_most(plan.nr, end - j);
                    const int vectors = static_cast<int>(ceil_div(used, w));
                    t.last = static_cast<int>(used - (vectors - 1) * w);
                    t.bias = g.bias ? g.bias + j : nullptr;
                    t.c = g.c + first * g.c_row + j;
                    t.y = g.y ? g.y + first * g.y_row + j : nullptr;
                    multiply_micropanel(g, t, split, plan.tile_stride, chunk,
                                        packed_b + (j - j0) * chunk, vectors, partial_sums);
                }
            }
        }
    }
}

struct L1Panels {
    static constexpr const char* name = "l1_panels";

    template <class T>
    static PYNN_INLINE bool applies(const Gemm<T>& g) {
        constexpr index_t nr = NR_VECTORS * Vec<T>::width;
        const bool pays = g.n >= 4 * nr ? g.m >= min_panels_rows : g.m >= min_panels_rows_of_few;
        return micropanels_stay_in_l1 && pays && g.n > nr && g.k >= min_panels_k &&
               g.k_before == 0 && !g.acc_out &&
               all_pieces(g, [](const GemmPiece<T>& p) { return is_column_major_a(p); });
    }
    template <class T>
    static PYNN_INLINE index_t workspace(const Gemm<T>& g) {
        return applies(g) ? GebpPlan<T>(g).bytes : 0;
    }
    template <class T>
    static PYNN_INLINE void run(const Gemm<T>& g) {
        multiply_gebp(g);
    }
};

PYNN_ISA_END
