// Strategy "skinny": few rows times a matrix b that no near cache holds.
//
// Condition: b's rows contiguous and b beyond the L2 cache; 2 to 111 rows (AVX2: 7 to 143, a by
// rows).
// Reason: how fast b arrives decides. b is read once, a block at a time. All rows of a meet the
// block while it is near, and the partial sums of its columns wait in the workspace for the next
// block below it. How a block is read depends on the registers (micropanels_stay_in_l1):
// - Where a micro-kernel has six rows, b passes by from the L1 cache too often to be read in place.
//   A block of 128 KB is packed; its micro-kernels prefetch the next one, two lines every few steps
//   of k. All at once they would be more lines than the processor keeps under way.
// - Where it has fourteen, a block is some whole rows of b, read in place and in order. A
//   micro-kernel that sums over 512 rows would read 128 bytes here and 128 bytes a whole row
//   further on, which no processor's prefetcher follows.
// Gain (python bench/strategies.py, Zen 4): AVX2 1.07 to 1.6. AVX-512 0.9 to 1.15 where the L3
// cache holds b, 1.5 to 1.8 beyond it; 1.3 to 1.4 on a Xeon with 2 MB of L2.
#pragma once

#include "kernels/gemm_blocks.h"

PYNN_ISA_BEGIN

template <class T>
struct SkinnyPlan {
    static constexpr index_t size = sizeof(T);
    static constexpr int width = Vec<T>::width;
    static constexpr bool packs = micropanels_stay_in_l1;
    static constexpr index_t b_bytes = packs ? skinny_block_bytes : 0;
    static constexpr index_t deepest = packs ? skinny_deep : skinny_slab_bytes / size;
    static constexpr index_t flattest = packs ? skinny_flat : deepest;

    int nr;                  // columns of a micropanel
    index_t depth, columns;  // of a block
    bool copies_a;
    index_t a_row, a_bytes;

    PYNN_INLINE explicit SkinnyPlan(const Gemm<T>& g) {
        const index_t chunk = at_most(g.k, KC);
        if constexpr (packs) {
            // Fewer rows have less work for a micropanel, and take longer runs of b's rows instead.
            const index_t most = g.m < 4 * MR ? flattest : deepest;
            depth = ceil_div(chunk, ceil_div(chunk, most));
            nr = NR_VECTORS * width;
            columns = at_most(skinny_block_bytes / size / most, ceil_div(g.n, nr) * nr);
        } else {
            depth = deepest;
            nr = vectors_for_rows(static_cast<int>(RowPartition(g.m).most())) * width;
            columns = at_most(g.n, at_least(1, skinny_sums_bytes / size / g.m / nr) * nr);
        }
        copies_a = !packs || g.a_col != 1 || g.a_row * size % conflict_bytes == 0;
        a_row = copies_a ? copied_row(chunk) : g.a_row;
        a_bytes = copies_a ? round_up(g.m * a_row * size) : 0;
    }
    // A line more than the row needs, so that rows do not share a set of the L1 cache.
    static PYNN_INLINE index_t copied_row(index_t chunk) {
        constexpr index_t line = BlockingPlan<T>::line;
        return ceil_div(chunk, line) * line + line;
    }
    static PYNN_INLINE index_t round_up(index_t bytes) { return BlockingPlan<T>::round_up(bytes); }
    // What g takes, or fewer of its rows, whose blocks may have more columns.
    static PYNN_INLINE index_t most_bytes(const Gemm<T>& g) {
        const index_t a = round_up(g.m * copied_row(at_most(g.k, KC)) * size);
        const index_t n = ceil_div(g.n, width) * width;
        const index_t widest =
            packs ? at_most(skinny_block_bytes / size / flattest, n + NR_VECTORS * width) : n;
        const index_t sums = round_up(g.m * widest * size);
        return b_bytes + a + (packs ? sums : at_most(sums, round_up(skinny_sums_bytes)));
    }
};

// The next block of b, to be prefetched into the L2 cache: the micro-kernels share its lines, pair
// by pair, each some rows of one pair.
struct NextBlock {
    static constexpr index_t line = 64, pair = 2 * line;

    const char* start;
    index_t stride, rows, pairs, bands, tile;

    template <class T>
    PYNN_INLINE NextBlock(const T* b, index_t b_row, index_t depth, index_t columns,
                          index_t tiles) {
        constexpr index_t size = sizeof(T);
        const index_t in_line = static_cast<index_t>(reinterpret_cast<uintptr_t>(b)) % line;
        start = reinterpret_cast<const char*>(b) - in_line;
        stride = b_row * size;
        rows = depth;
        pairs = ceil_div(in_line + columns * size, pair);
        bands = at_least(tiles / pairs, 1);
        tile = 0;
    }
    template <class T>
    PYNN_INLINE void share(MicroKernelArgs<T>& t) {
        t.prefetch = start + rows * (tile / pairs) / bands * stride + tile % pairs * pair;
        t.prefetch_stride = stride;
        ++tile;
    }
};

template <class T>
void multiply_skinny(const Gemm<T>& g) {
    using P = SkinnyPlan<T>;
    constexpr int w = Vec<T>::width;
    const P plan(g);
    char* const space = static_cast<char*>(g.workspace);
    T* const packed_b = reinterpret_cast<T*>(space);
    T* const copied_a = reinterpret_cast<T*>(space + P::b_bytes);
    T* const sums = reinterpret_cast<T*>(space + P::b_bytes + plan.a_bytes);
    const RowPartition split(g.m);
    MicroKernelArgs<T> t = micro_kernel_args(g);
    t.a_row = plan.a_row;
    t.a_col = 1;
    for (index_t k0 = 0; k0 < g.k; k0 += KC) {
        const index_t chunk = at_most(KC, g.k - k0);
        const T* a = g.a + k0 * g.a_col;
        if (plan.copies_a) {
            copy_block(a, g.a_row, g.a_col, g.m, chunk, copied_a, plan.a_row);
            a = copied_a;
        }
        t.accumulate = k0 > 0;
        t.epilogue = k0 + chunk == g.k ? g.epilogue : Epilogue::store;
        for (index_t j0 = 0; j0 < g.n; j0 += plan.columns) {
            const index_t end = at_most(j0 + plan.columns, g.n);
            for (index_t l = 0; l < chunk; l += plan.depth) {
                t.k = at_most(plan.depth, chunk - l);
                const bool ends = l + t.k == chunk;
                if constexpr (P::packs) pack_b(g, plan.nr, k0 + l, t.k, j0, end - j0, packed_b);
                // The block after this one: below it, right of it, or the first of the next chunk.
                const index_t next_j = !ends ? j0 : end < g.n ? end : 0;
                const index_t next_k = ends && end < g.n ? k0 : k0 + l + t.k;
                const bool prefetches = P::packs && next_k < g.k;
                NextBlock next(
                    g.b + next_k * g.b_row + next_j, g.b_row, at_most(plan.depth, g.k - next_k),
                    at_most(plan.columns, g.n - next_j), split.count * ((end - j0) / plan.nr));
                for (index_t j = j0; j < end; j += plan.nr) {
                    const index_t used = at_most(plan.nr, end - j);
                    const int vectors = static_cast<int>(ceil_div(used, w));
                    t.last = static_cast<int>(used - (vectors - 1) * w);
                    t.b = P::packs ? packed_b + (j - j0) * t.k : g.b + (k0 + l) * g.b_row + j;
                    t.b_row = P::packs ? vectors * w : g.b_row;
                    t.bias = g.bias ? g.bias + j : nullptr;
                    for (index_t i = 0; i < split.count; ++i) {
                        const index_t start = split.start(i), rows = split.start(i + 1) - start;
                        if (!P::packs && j + used < end) {
                            prefetch_micropanel(t.b + used, g.b_row, t.k * i / split.count,
                                                t.k * (i + 1) / split.count,
                                                at_most(used, end - j - used));
                        }
                        if (g.prefetcher) {
                            prefetch_rows(*g.prefetcher, static_cast<float>(rows * used) *
                                                             static_cast<float>(t.k));
                        }
                        T* const partial = sums + (j - j0) * g.m + start * (vectors * w);
                        t.acc_in = l > 0 ? partial : nullptr;
                        t.acc_out = ends ? nullptr : partial;
                        t.acc_in_row = t.acc_out_row = vectors * w;
                        t.a = a + start * t.a_row + l;
                        t.c = g.c + start * g.c_row + j;
                        t.y = g.y ? g.y + start * g.y_row + j : nullptr;
                        if (prefetches && vectors == NR_VECTORS) {
                            next.share(t);
                            prefetching_micro_kernels<T>.at[rows](t);
                        } else {
                            micro_kernels<T>.at[rows][vectors][!P::packs && t.last != w](t);
                        }
                    }
                }
            }
        }
    }
}

struct Skinny {
    static constexpr const char* name = "skinny";
    static constexpr index_t fewest_rows = (micropanels_stay_in_l1 ? MR : 1) + 1;
    static constexpr index_t most_rows =
        micropanels_stay_in_l1 ? 3 * min_rows_to_pack_b - 1 : min_rows_to_pack_b - 1;

    template <class T>
    static PYNN_INLINE bool applies(const Gemm<T>& g) {
        return g.b_col == 1 && g.m >= fewest_rows && g.m <= most_rows && exceeds_l2(g) &&
               !(micropanels_stay_in_l1 && is_column_major_a(g));
    }
    template <class T>
    static PYNN_INLINE index_t workspace(const Gemm<T>& g) {
        Gemm<T> most = g;
        most.m = at_most(g.m, most_rows);
        return applies(most) ? SkinnyPlan<T>::most_bytes(most) : 0;
    }
    template <class T>
    static PYNN_INLINE void run(const Gemm<T>& g) {
        multiply_skinny(g);
    }
};

PYNN_ISA_END
