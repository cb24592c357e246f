// Few rows times a matrix b that no near cache holds, the other way round than in gemm_block.h: a
// panel of b stays in the L1 cache while the few tiles of a pass by.
//
// b is read once, so how fast it arrives decides. It is packed a block at a time, 128 KB, and while
// a block is multiplied the tiles ask for the next one, two lines every few steps: all at once they
// would be more than the processor keeps under way, and asked for by the copy alone, the
// multiply-adds would wait for them. The chains of a block's tiles wait in a workspace until the
// next block of the same columns.
#pragma once

#include "kernels/gemm_block.h"

PYNN_ISA_BEGIN

// (A near b whose rows lie badly is packed anyway, and is not asked for in advance.)
template <class T>
PYNN_INLINE bool goes_by_few_rows(const Gemm<T>& g) {
    if (!panels_stay_in_l1 || g.m <= tile_rows_max || g.b_col != 1 || has_columns(g)) return false;
    if (g.m < many_rows && g.m >= 4 * tile_rows_max && is_badly_placed(g)) return true;
    return g.m < 3 * many_rows && is_far(g);
}

template <class T>
struct FewRowsPlan {
    static constexpr index_t size = sizeof(T);
    static constexpr int panel = panel_vectors * Vec<T>::width;
    static constexpr index_t block_bytes = 128 * 1024;
    static constexpr index_t deepest = 256, shallowest = 128;

    index_t depth, columns;  // of a block of b
    bool pack_a;
    index_t a_row;
    index_t b_bytes, a_bytes, bytes;

    PYNN_INLINE explicit FewRowsPlan(const Gemm<T>& g) {
        const index_t chunk = at_most(g.k, k_chunk);
        // Fewer rows have less to do with a panel, and take longer runs of b's rows instead.
        const index_t most = g.m < 4 * tile_rows_max ? shallowest : deepest;
        columns = at_most(block_bytes / size / most, ceil_div(g.n, panel) * panel);
        depth = ceil_div(chunk, ceil_div(chunk, most));
        // A line more than the rows need, so that rows do not share a set of the L1 cache.
        pack_a = g.a_col != 1 || g.a_row * size % conflict_bytes == 0;
        a_row = pack_a ? ceil_div(chunk, Plan<T>::line) * Plan<T>::line + Plan<T>::line : g.a_row;
        b_bytes = block_bytes;
        a_bytes = pack_a ? Plan<T>::round_up(g.m * a_row * size) : 0;
        // (Enough for fewer rows, too, of which a block has more columns.)
        const index_t few = at_most(g.m, 4 * tile_rows_max) * (block_bytes / size / shallowest);
        bytes = b_bytes + a_bytes + Plan<T>::round_up(at_least(few, g.m * columns) * size);
    }
};

// What g needs, or fewer of its rows.
template <class T>
PYNN_INLINE index_t few_rows_bytes(const Gemm<T>& g) {
    Gemm<T> most = g;
    if (!goes_by_few_rows(most)) most.m = at_most(g.m, 3 * many_rows - 1);
    if (!goes_by_few_rows(most)) most.m = at_most(g.m, many_rows - 1);
    return goes_by_few_rows(most) ? FewRowsPlan<T>(most).bytes : 0;
}

// A block of b on its way to the L2 cache: so many tiles share its lines, pair by pair, each some
// rows of one pair.
struct Coming {
    static constexpr index_t line = 64, pair = 2 * line;

    const char* start;
    index_t stride, rows, pairs, bands, tile;

    template <class T>
    PYNN_INLINE Coming(const T* b, index_t b_row, index_t depth, index_t columns, index_t tiles) {
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
    PYNN_INLINE void share(Tile<T>& t) {
        t.fetch = start + rows * (tile / pairs) / bands * stride + tile % pairs * pair;
        t.fetch_step = stride;
        ++tile;
    }
};

template <class T>
void multiply_few_rows(const Gemm<T>& g) {
    constexpr int w = Vec<T>::width;
    const FewRowsPlan<T> plan(g);
    char* const space = static_cast<char*>(g.workspace);
    T* const packed_b = reinterpret_cast<T*>(space);
    T* const packed_a = reinterpret_cast<T*>(space + plan.b_bytes);
    T* const chains = reinterpret_cast<T*>(space + plan.b_bytes + plan.a_bytes);
    const RowTiles split(g.m);
    Tile<T> t = tile_of(g);
    t.a_row = plan.a_row;
    t.a_col = 1;
    for (index_t k0 = 0; k0 < g.k; k0 += k_chunk) {
        const index_t chunk = at_most(k_chunk, g.k - k0);
        const T* a = g.a + k0 * g.a_col;
        if (plan.pack_a) {
            copy_block(a, g.a_row, g.a_col, g.m, chunk, packed_a, plan.a_row);
            a = packed_a;
        }
        t.accumulate = k0 > 0;
        t.epilogue = k0 + chunk == g.k ? g.epilogue : Epilogue::store;
        for (index_t j0 = 0; j0 < g.n; j0 += plan.columns) {
            const index_t end = at_most(j0 + plan.columns, g.n);
            for (index_t l = 0; l < chunk; l += plan.depth) {
                t.k = at_most(plan.depth, chunk - l);
                const bool ends = l + t.k == chunk;
                pack_b(g, plan.panel, k0 + l, t.k, j0, end - j0, packed_b);
                // The block after this one: below it, right of it, or the first of the next chunk.
                const index_t next_j = !ends ? j0 : end < g.n ? end : 0;
                const index_t next_k = ends && end < g.n ? k0 : k0 + l + t.k;
                const bool fetches = next_k < g.k && is_far(g);
                Coming coming(
                    g.b + next_k * g.b_row + next_j, g.b_row, at_most(plan.depth, g.k - next_k),
                    at_most(plan.columns, g.n - next_j), split.count * ((end - j0) / plan.panel));
                for (index_t j = j0; j < end; j += plan.panel) {
                    const index_t used = at_most(plan.panel, end - j);
                    const int vectors = static_cast<int>(ceil_div(used, w));
                    t.last = static_cast<int>(used - (vectors - 1) * w);
                    t.b = packed_b + (j - j0) * t.k;
                    t.b_row = vectors * w;
                    t.bias = g.bias ? g.bias + j : nullptr;
                    for (index_t i = 0; i < split.count; ++i) {
                        const index_t start = split.start(i), rows = split.start(i + 1) - start;
                        if (g.ahead) {
                            fetch_ahead(*g.ahead, static_cast<float>(rows * t.b_row) *
                                                      static_cast<float>(t.k));
                        }
                        T* const chain = chains + (j - j0) * g.m + start * t.b_row;
                        t.resume = l > 0 ? chain : nullptr;
                        t.suspend = ends ? nullptr : chain;
                        t.a = a + start * t.a_row + l;
                        t.c = g.c + start * g.c_row + j;
                        t.y = g.y ? g.y + start * g.y_row + j : nullptr;
                        if (fetches && vectors == panel_vectors) {
                            coming.share(t);
                            fetching_tiles<T>.at[rows](t);
                        } else {
                            tiles<T>.at[rows][vectors][0](t);
                        }
                    }
                }
            }
        }
    }
}

PYNN_ISA_END
