// A whole matrix product on one thread: blocking, packing, and the walk over the tiles.
//
// The order of every sum is fixed before this file decides anything (kernel_table.h: k_chunk), so
// blocks, panels and tiles can be chosen for speed alone.
#pragma once

#include "kernels/copy.h"
#include "kernels/gemm_tile.h"
#include "kernels/gemv.h"

PYNN_ISA_BEGIN

constexpr index_t at_most(index_t a, index_t b) { return a < b ? a : b; }
constexpr index_t ceil_div(index_t a, index_t b) { return (a + b - 1) / b; }

// How a product is cut. A block of a (rows x k_chunk) is meant for the L2 cache, a block of b
// (k_chunk x columns) for the L3 cache.
template <class T>
struct Plan {
    static constexpr int width = Vec<T>::width;
    static constexpr index_t block_rows = 16 * tile_rows_max;

    bool pack_a, pack_b;
    int panel;                     // columns of a panel of packed b
    index_t rows, columns, depth;  // of a block
    index_t a_bytes, bytes;

    PYNN_INLINE explicit Plan(const Gemm<T>& g) {
        constexpr index_t size = sizeof(T);
        // (A single row needs more columns for its chains to hide the latency.)
        panel = (g.m == 1 ? 4 : panel_vectors) * width;
        const index_t block_columns = 1024 / panel * panel;
        // Packing pays where it mends something: b without contiguous rows, or so large that a
        // panel is read again from memory; rows whose distance puts them into the same few sets
        // of the caches. (Measured: elsewhere reading in place is up to 13 % faster.)
        const bool many_rows = g.m > 2 * tile_rows_max && g.k >= 64;
        const bool large = g.m >= 512 && g.k * g.n * size > 1024 * 1024;
        pack_b = g.b_col != 1 || large || (many_rows && g.b_row * size % 4096 == 0);
        const index_t a_stride = (g.a_row == 1 ? g.a_col : g.a_row) * size;
        pack_a = many_rows && g.n >= 4 * panel && a_stride >= 2048 && a_stride % 1024 == 0;
        depth = at_most(g.k, k_chunk);
        rows = pack_a ? at_most(g.m, block_rows) : g.m;
        columns = pack_b ? at_most(ceil_div(g.n, width) * width, block_columns) : g.n;
        a_bytes = pack_a ? round_up(rows * depth * size) : 0;
        bytes = a_bytes + (pack_b ? round_up(ceil_div(columns, panel) * panel * depth * size) : 0);
    }
    static PYNN_INLINE index_t round_up(index_t n) { return (n + 63) / 64 * 64; }
};

// Rows of the tile that starts at row i of m: the m rows are divided as evenly as tiles of at
// most tile_rows_max allow, since a last tile of a row or two would have too few chains.
struct RowTiles {
    index_t count, rows;
    PYNN_INLINE explicit RowTiles(index_t m) : count(ceil_div(m, tile_rows_max)), rows(m) {}
    PYNN_INLINE index_t start(index_t tile) const { return tile * rows / count; }
};

// Panels of `panel` columns (the last with fewer, in whole vectors), each k x columns contiguous.
template <class T>
void pack_b(const Gemm<T>& g, int panel, index_t k0, index_t depth, index_t j0, index_t columns,
            T* out) {
    for (index_t j = 0; j < columns; j += panel) {
        const index_t used = at_most(panel, columns - j);
        const index_t stride = ceil_div(used, Vec<T>::width) * Vec<T>::width;
        const T* b = g.b + k0 * g.b_row + (j0 + j) * g.b_col;
        copy_block(b, g.b_row, g.b_col, depth, used, out, stride);
        for (index_t i = used; i < stride; ++i) {
            for (index_t l = 0; l < depth; ++l) out[l * stride + i] = T(0);
        }
        out += depth * stride;
    }
}

// Tiles of rows, each k x rows contiguous.
template <class T>
void pack_a(const Gemm<T>& g, index_t i0, index_t rows, index_t k0, index_t depth, T* out) {
    const RowTiles split(rows);
    for (index_t t = 0; t < split.count; ++t) {
        const index_t start = split.start(t), count = split.start(t + 1) - start;
        const T* a = g.a + (i0 + start) * g.a_row + k0 * g.a_col;
        copy_block(a, g.a_col, g.a_row, depth, count, out, count);
        out += depth * count;
    }
}

// One block of a times one block of b.
template <class T>
struct Block {
    index_t i0, rows, k0, depth, j0, columns;
    const T *packed_a, *packed_b;  // null: read the operand where it is
    int panel;                     // columns of a panel of packed_b
    const T* same_bias;            // as many times the bias as a tile is wide; null: one a column
};

template <class T>
void multiply_block(const Gemm<T>& g, const Block<T>& s) {
    constexpr int w = Vec<T>::width;
    const RowTiles split(s.rows);
    Tile<T> t;
    t.k = s.depth;
    t.c_row = g.c_row;
    t.y_row = g.y_row;
    t.floor = g.floor;
    t.alpha = g.alpha;
    t.beta = g.beta;
    t.accumulate = s.k0 > 0;
    t.epilogue = s.k0 + s.depth == g.k ? g.epilogue : Epilogue::store;
    // The widest tile that the rows leave room for.
    const int rows_max = static_cast<int>(ceil_div(s.rows, split.count));
    const int vectors_max = s.packed_b ? s.panel / w : tile_vectors(rows_max);
    for (index_t j = 0; j < s.columns;) {
        const index_t used = at_most(vectors_max * w, s.columns - j);
        const int vectors = static_cast<int>(ceil_div(used, w));
        const index_t column = s.j0 + j;
        t.last = static_cast<int>(used - (vectors - 1) * w);
        if (s.packed_b) {
            t.b = s.packed_b + j * s.depth;
            t.b_row = vectors * w;
        } else {
            t.b = g.b + s.k0 * g.b_row + column;
            t.b_row = g.b_row;
        }
        t.bias = s.same_bias ? s.same_bias : g.bias ? g.bias + column : nullptr;
        const bool last_part = !s.packed_b && t.last != w;
        for (index_t i = 0; i < split.count; ++i) {
            const index_t start = split.start(i), count = split.start(i + 1) - start;
            if (s.packed_a) {
                t.a = s.packed_a + start * s.depth;
                t.a_row = 1;
                t.a_col = count;
            } else {
                t.a = g.a + (s.i0 + start) * g.a_row + s.k0 * g.a_col;
                t.a_row = g.a_row;
                t.a_col = g.a_col;
            }
            t.c = g.c + (s.i0 + start) * g.c_row + column;
            t.y = g.y ? g.y + (s.i0 + start) * g.y_row + column : nullptr;
            tiles<T>.at[count][vectors][last_part](t);
        }
        j += used;
    }
}

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

template <class T>
index_t gemm_workspace_kernel(const Gemm<T>& g) {
    return Plan<T>(oriented(g)).bytes;
}

template <class T>
void gemm_kernel(const Gemm<T>& given) {
    if (given.m == 0 || given.n == 0) return;
    if (given.n == 1 && given.a_col == 1 && given.c_row == 1 && given.epilogue == Epilogue::store &&
        gemv(given.a, given.a_row, given.b, given.b_row, given.m, given.k, given.c)) {
        return;
    }
    const Gemm<T> g = oriented(given);
    const Plan<T> plan(g);
    T* const a_space = static_cast<T*>(g.workspace);
    T* const b_space = reinterpret_cast<T*>(static_cast<char*>(g.workspace) + plan.a_bytes);
    Block<T> s;
    s.panel = plan.panel;
    T bias[tile_vectors_max * Vec<T>::width];
    const bool turned = g.m != given.m;
    s.same_bias = turned && g.bias ? bias : nullptr;
    if (s.same_bias) {
        for (T& value : bias) value = *g.bias;
    }
    for (s.j0 = 0; s.j0 < g.n; s.j0 += plan.columns) {
        s.columns = at_most(plan.columns, g.n - s.j0);
        s.k0 = 0;
        do {  // once for k = 0 too: the empty sum has an epilogue
            s.depth = at_most(k_chunk, g.k - s.k0);
            if (plan.pack_b) pack_b(g, plan.panel, s.k0, s.depth, s.j0, s.columns, b_space);
            s.packed_b = plan.pack_b ? b_space : nullptr;
            for (s.i0 = 0; s.i0 < g.m; s.i0 += plan.rows) {
                s.rows = at_most(plan.rows, g.m - s.i0);
                if (plan.pack_a) pack_a(g, s.i0, s.rows, s.k0, s.depth, a_space);
                s.packed_a = plan.pack_a ? a_space : nullptr;
                multiply_block(g, s);
            }
            s.k0 += s.depth;
        } while (s.k0 < g.k);
    }
}

PYNN_ISA_END
