// How a product is cut into blocks and tiles, and what is packed.
//
// The order of every sum is fixed before this file decides anything (kernel_table.h: KC), so
// blocks, micropanels and tiles can be chosen for speed alone.
#pragma once

#include "kernels/gemm_micro_kernel.h"
#include "kernels/gemm_pieces.h"

PYNN_ISA_BEGIN

// True if b comes from beyond the L2 cache.
template <class T>
PYNN_INLINE bool exceeds_l2(const Gemm<T>& g) {
    return g.b_exceeds_l2 || g.k * g.n * static_cast<index_t>(sizeof(T)) > l2_bytes;
}

// True if b is large, or its rows lie so, that packing it pays for many rows of a: in the
// same few sets of the L1 cache; or, where a micropanel's rows are single cache lines, across two
// each.
template <class T>
PYNN_INLINE bool exceeds_operand_cache(const Gemm<T>& g) {
    return g.k * g.n * static_cast<index_t>(sizeof(T)) > operand_bytes;
}
template <class T>
PYNN_INLINE bool conflicts_in_cache(const Gemm<T>& g) {
    constexpr uintptr_t line = 64;
    const GemmPiece<T>& p = first_piece(g);
    const uintptr_t row_bytes = static_cast<uintptr_t>(p.b_row) * sizeof(T);
    const bool is_aligned = (row_bytes | reinterpret_cast<uintptr_t>(p.b)) % line == 0;
    const bool across_lines = micropanels_stay_in_l1 && !is_aligned && row_bytes > line;
    return g.k >= min_k_to_pack &&
           (row_bytes % static_cast<uintptr_t>(conflict_bytes) == 0 || across_lines);
}

// True if a tile prefetches what the next one writes: c from beyond the caches, if a tile
// works long enough to make up for asking; or an optimizer's arrays, beside whose long instructions
// a processor does not reach the next loads by itself.
template <class T>
PYNN_INLINE bool should_prefetch_c(const Gemm<T>& g) {
    const index_t bytes = g.m * g.n * static_cast<index_t>(sizeof(T));
    if (g.epilogue == Epilogue::update && g.update->m) {
        return bytes * (g.update->v ? 3 : 2) > operand_bytes;
    }
    return g.k >= min_k_to_prefetch_c && bytes > l2_bytes;
}

// How a product is cut. For a block of b (KC x columns) that stays in the L2 cache, each tile
// of rows of a (at most MR x KC) stays in the L1 cache while b's micropanels pass by.
template <class T>
struct BlockingPlan {
    static constexpr int width = Vec<T>::width;
    static constexpr index_t size = sizeof(T);
    static constexpr index_t line = 64 / size;
    static constexpr index_t block_bytes = b_block_bytes;

    bool packs_a, packs_b, prefetches_a;
    int nr;                // columns of a micropanel of packed b
    index_t depth;         // of the longest piece of k
    index_t columns;       // of a block of b
    index_t a_row, a_col;  // strides of a packed tile
    index_t a_bytes, bytes;

    PYNN_INLINE explicit BlockingPlan(const Gemm<T>& g) {
        const GemmPiece<T>& first = first_piece(g);
        depth = at_most(g.k, KC);
        // (A single row needs more columns for its chains to hide the latency.)
        nr = (g.m == 1 ? 4 : NR_VECTORS) * width;
        const index_t row_bytes = at_least(depth, 1) * size;
        columns = g.n * row_bytes <= block_bytes ? g.n : block_bytes / row_bytes / nr * nr;
        // Packing pays where it mends something; elsewhere reading in place is up to 10 % faster.
        // b: without contiguous rows, or read so often that its micropanels come from far away
        // again and again.
        packs_b = first.b_col != 1 ||
                  (g.m >= min_rows_to_pack_b &&
                   (exceeds_l2(g) || exceeds_operand_cache(g) || conflicts_in_cache(g)));
        // a: columns (a cache line is then read for fourteen elements) where four micropanels share
        // them, or two if a does not stay in the L2 cache; or rows whose distance puts them into
        // the same few sets of the cache.
        const bool by_columns =
            all_pieces(g, [](const GemmPiece<T>& p) { return is_column_major_a(p); });
        const bool conflicts = first.a_row * size % (2 * conflict_bytes) == 0;
        const index_t worth = g.m * g.k * size > block_bytes ? width + 1 : 4 * nr;
        packs_a = g.m > 2 * MR && g.k >= min_k_to_pack &&
                  (by_columns ? g.n >= worth : conflicts && g.n >= 16 * nr);
        prefetches_a = g.m * g.k * size > block_bytes / 2 && g.n >= 4 * nr;
        if (!is_plain(g)) {
            const bool in_place = g.piece_count <= max_pieces_in_place;
            packs_a |= !(in_place && all_pieces(g, [](const auto& p) { return !has_table(p); }));
            packs_b |= !(in_place || is_one_b(g)) ||
                       !all_pieces(g, [](const auto& p) { return p.b_col == 1; });
            prefetches_a = false;
        }
        // A line more than the rows need, so that rows do not share a set of the L1 cache.
        a_row = by_columns ? 1 : ceil_div(depth, line) * line + line;
        a_col = by_columns ? MR : 1;
        a_bytes = packs_a ? round_up((by_columns ? depth : a_row) * MR * size) + 64 : 0;
        // (Enough for a shorter sum, too, of which a block may have more columns.)
        constexpr index_t most = block_bytes + (width - 1) * KC * size;
        bytes = a_bytes;
        if (packs_b) bytes += round_up(at_most(ceil_div(g.n, width) * width * depth * size, most));
    }
    static PYNN_INLINE index_t round_up(index_t n) { return ceil_div(n, 64) * 64; }
};

// How m rows are divided among tiles: as evenly as tiles of at most MR allow, since a
// last tile of a row or two would have too few chains.
struct RowPartition {
    index_t count, rows, larger;  // tiles; rows of each; how many have one more
    PYNN_INLINE explicit RowPartition(index_t m)
        : count(ceil_div(m, MR)), rows(count == 1 ? m : m / count), larger(m - rows * count) {}
    PYNN_INLINE index_t most() const { return rows + (larger > 0); }
    PYNN_INLINE index_t start(index_t tile) const { return tile * rows + at_most(tile, larger); }
};

PYNN_ISA_END
