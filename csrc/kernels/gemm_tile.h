// The micro-kernel: a tile of the product in registers.
//
// acc[i][j] holds row i of the tile, columns j * width onwards. A step of k loads the vectors of
// one row of b, broadcasts one element of a for each row, and does rows x vectors fused
// multiply-adds. a is read through two strides, so the same code serves a row-major, a transposed
// and a packed operand.
#pragma once

#include "kernels/gemm_epilogue.h"
#include "kernels/optimizers.h"

PYNN_ISA_BEGIN

template <class T>
struct Tile {
    index_t k;
    const T* a;
    index_t a_row, a_col;
    const T* b;
    index_t b_row;
    T* c;
    index_t c_row;
    int last;         // columns in the last vector
    bool accumulate;  // add what is in c first: c holds the sum of the earlier pieces of k
    // Where a piece of k is itself worked off in parts (gemm_skinny.h): the chains of the tile,
    // whole vectors end to end. null: they begin, or end, here.
    const T* resume;
    T* suspend;
    // What a tile that fetches asks for at every few steps of k: two lines of the cache, and how
    // far it is to the next two.
    const char* fetch;
    index_t fetch_step;
    Epilogue epilogue;
    const T* bias;
    T floor, alpha, beta;
    const T* y;
    index_t y_row;
    const Update<T>* update;
};

// The rows of a tile through few registers: x86 addresses reach base + offset * {1, 2, 4, 8}, so a
// base for every five rows, the stride and its triple reach all of them. (A register for each row's
// offset was too many: the compiler kept some in memory and one in a vector register, and moving
// that one back took a multiply-add's place on port 0 in every step.)
template <class T, int MR>
struct RowPointers {
    static constexpr int group = 5, groups = (MR + group - 1) / group;
    const char* base[groups];
    index_t stride, three;

    PYNN_INLINE RowPointers(const T* a, index_t row) {
        stride = row * static_cast<index_t>(sizeof(T));
        three = 3 * stride;
        PYNN_UNROLL
        for (int g = 0; g < groups; ++g) {
            base[g] = reinterpret_cast<const char*>(a) + g * group * stride;
        }
    }
    // The element that is `column` after where the pointers are.
    PYNN_INLINE T at(int row, int column) const {
        const int in_group = row % group;
        const index_t offset = in_group == 3 ? three : in_group * stride;
        const char* const element = base[row / group] + offset;
        return *reinterpret_cast<const T*>(element + column * static_cast<index_t>(sizeof(T)));
    }
    PYNN_INLINE void step(index_t bytes) {
        PYNN_UNROLL
        for (int g = 0; g < groups; ++g) base[g] += bytes;
    }
};

// A line of the cache is fetched once for all of its vectors.
template <class T>
constexpr int vectors_per_line =
    Vec<T>::width * sizeof(T) < 64 ? 64 / (Vec<T>::width * sizeof(T)) : 1;

// A step of k: a row of b by an element of each row of a, which element_of(row) gives.
//
// The last vector is loaded in part if LastPart, whole otherwise (where b was packed and padded,
// or has no odd columns): a masked load takes a place on a multiply-add's port.
template <class T, int MR, int NV, bool LastPart, class F>
PYNN_INLINE void multiply_step(const T* b, int last, F element_of, Vec<T> (&acc)[MR][NV]) {
    constexpr int w = Vec<T>::width;
    Vec<T> bv[NV];
    PYNN_UNROLL
    for (int j = 0; j < NV; ++j) {
        bv[j] = LastPart && j == NV - 1 ? load_part(b + j * w, last) : load(b + j * w);
    }
    PYNN_UNROLL
    for (int i = 0; i < MR; ++i) {
        const Vec<T> av = set1(element_of(i));
        PYNN_UNROLL
        for (int j = 0; j < NV; ++j) add_product(acc[i][j], av, bv[j]);
    }
}

template <class T, int MR, int NV, bool LastPart, bool Fetches>
PYNN_INLINE void multiply(const Tile<T>& t, Vec<T> (&acc)[MR][NV]) {
    constexpr int w = Vec<T>::width;
    constexpr index_t size = sizeof(T);
    RowPointers<T, MR> a(t.a, t.a_row);
    const index_t a_step = t.a_col * size;
    const T* b = t.b;
    constexpr index_t rows_ahead = 8;
    if (t.resume) {
        PYNN_UNROLL
        for (int i = 0; i < MR; ++i) {
            PYNN_UNROLL
            for (int j = 0; j < NV; ++j) acc[i][j] = load(t.resume + (i * NV + j) * w);
        }
    } else {
        PYNN_UNROLL
        for (int i = 0; i < MR; ++i) {
            PYNN_UNROLL
            for (int j = 0; j < NV; ++j) acc[i][j] = set1(T(0));
        }
    }
    index_t l = t.k;
    // (A single row waits for b, which is better fetched ahead than read in fewer instructions.)
    if constexpr (steps_at_once > 1 && MR > 1) {
        // Where the distances of a's elements are known: in rows, and in packed columns. (With an
        // `else` between them GCC 12 moves the accumulators about in the second loop.)
        const char* fetch = Fetches ? t.fetch : nullptr;
        const index_t fetch_step = Fetches ? t.fetch_step : 0;
        if (t.a_col == 1) {
            for (; l >= steps_at_once; l -= steps_at_once) {
                if constexpr (Fetches) {
                    PYNN_PREFETCH_L2(fetch);
                    PYNN_PREFETCH_L2(fetch + 64);
                    fetch += fetch_step;
                }
                PYNN_UNROLL
                for (int s = 0; s < steps_at_once; ++s) {
                    multiply_step<T, MR, NV, LastPart>(
                        b, t.last, [&](int i) { return a.at(i, s); }, acc);
                    b += t.b_row;
                }
                a.step(steps_at_once * size);
            }
        }
        if (t.a_row == 1 && t.a_col == tile_rows_max) {
            const T* columns = t.a;
            for (; l >= steps_at_once; l -= steps_at_once) {
                PYNN_UNROLL
                for (int s = 0; s < steps_at_once; ++s) {
                    const T* const column = columns + s * tile_rows_max;
                    multiply_step<T, MR, NV, LastPart>(
                        b, t.last, [=](int i) { return column[i]; }, acc);
                    b += t.b_row;
                }
                columns += steps_at_once * tile_rows_max;
                a.step(steps_at_once * tile_rows_max * size);
            }
        }
    }
    for (; l > 0; --l) {
        // b's panel passes by from the L2 cache; its next rows are fetched ahead of their use.
        PYNN_UNROLL
        for (int j = 0; j < NV; j += vectors_per_line<T>) {
            PYNN_PREFETCH(b + j * w + rows_ahead * t.b_row);
        }
        multiply_step<T, MR, NV, LastPart>(b, t.last, [&](int i) { return a.at(i, 0); }, acc);
        a.step(a_step);
        b += t.b_row;
    }
}

// What a tile will write at c, on its way to the L1 cache: no processor's own prefetching follows a
// tile's rows, and the epilogue would wait for each of them.
template <class T>
PYNN_INLINE void prefetch_target(const Tile<T>& t, const T* c, index_t rows, index_t columns) {
    const bool updates = t.epilogue == Epilogue::update;
    const index_t at = updates ? c - t.update->w : 0;
    const T* const arrays[] = {c, updates && t.update->m ? t.update->m + at : nullptr,
                               updates && t.update->v ? t.update->v + at : nullptr};
    for (const T* first : arrays) {
        if (!first) continue;
        const T* row = first;
        for (index_t i = 0; i < rows; ++i, row += t.c_row) PYNN_PREFETCH(row);
        constexpr index_t line = 64 / sizeof(T);
        const index_t in_line =
            static_cast<index_t>(reinterpret_cast<uintptr_t>(first) / sizeof(T)) % line;
        if (in_line + columns <= line && t.c_row % line == 0) continue;
        row = first + columns - 1;
        for (index_t i = 0; i < rows; ++i, row += t.c_row) PYNN_PREFETCH(row);
    }
}

// c = f(acc, c's address, row, column of the vector), with whole and partial vectors.
template <class T, int MR, int NV, class F>
PYNN_INLINE void write(const Tile<T>& t, const Vec<T> (&acc)[MR][NV], F f) {
    constexpr int w = Vec<T>::width, last = (NV - 1) * w;
    // (Read once: for all that the compiler knows, c overlaps t.)
    const index_t c_row = t.c_row;
    const int left = t.last;
    const auto whole = [](const T* p) { return load(p); };
    T* row = t.c;
    PYNN_UNROLL
    for (int i = 0; i < MR; ++i, row += c_row) {
        PYNN_UNROLL
        for (int j = 0; j < NV - 1; ++j) {
            T* c = row + j * w;
            store(c, f(acc[i][j], c, i, j * w, whole));
        }
        if (left == w) store(row + last, f(acc[i][NV - 1], row + last, i, last, whole));
    }
    if (left == w) return;
    T* const c = t.c + last;
    // f may read c, and a load near a partial store waits for it: all of them come first.
    const auto part = [&](const T* p) { return load_part(p, left); };
    Vec<T> results[MR];
    PYNN_UNROLL
    for (int i = 0; i < MR; ++i) results[i] = f(acc[i][NV - 1], c + i * c_row, i, last, part);
    PYNN_UNROLL
    for (int i = 0; i < MR; ++i) store_part(c + i * c_row, results[i], left);
}

// The sums of a tile, row by row `row` values apart: what is stored beyond a row is overwritten by
// the next.
template <class T, int MR, int NV>
PYNN_INLINE void store_sums(const Vec<T> (&acc)[MR][NV], T* sums, index_t row) {
    PYNN_UNROLL
    for (int i = 0; i < MR; ++i) {
        PYNN_UNROLL
        for (int j = 0; j < NV; ++j) store(sums + i * row + j * Vec<T>::width, acc[i][j]);
    }
}

template <class T, int MR, int NV, bool LastPart, bool Fetches = false>
void tile(const Tile<T>& t) {
    constexpr int w = Vec<T>::width;
    Vec<T> acc[MR][NV];
    multiply<T, MR, NV, LastPart, Fetches>(t, acc);
    if (t.suspend) {
        store_sums(acc, t.suspend, NV * w);
        return;
    }
    if (t.accumulate) {
        const bool part = t.last != w;
        PYNN_UNROLL
        for (int i = 0; i < MR; ++i) {
            PYNN_UNROLL
            for (int j = 0; j < NV; ++j) {
                const T* c = t.c + i * t.c_row + j * w;
                acc[i][j] = (part && j == NV - 1 ? load_part(c, t.last) : load(c)) + acc[i][j];
            }
        }
    }
    // Where whole rows of c lie end to end, they are one row: without a partial vector at the end
    // of each.
    const index_t n = (NV - 1) * w + t.last;
    const bool whole = t.c_row == n;
    // (`finish`, written out: called from here, GCC 12 keeps the accumulators in memory.)
    switch (t.epilogue) {
        case Epilogue::store:
            write(t, acc, [](Vec<T> v, const T*, int, int, auto) { return v; });
            break;
        case Epilogue::bias: {
            const Vec<T> floor = set1(t.floor);
            const T* const bias = t.bias;
            write(t, acc, [=](Vec<T> v, const T*, int, int j, auto load_at) {
                return max(floor, v + load_at(bias + j));
            });
            break;
        }
        case Epilogue::scale: {
            const Vec<T> alpha = set1(t.alpha), beta = set1(t.beta);
            if (t.beta == T(0)) {
                write(t, acc, [=](Vec<T> v, const T*, int, int, auto) { return alpha * v; });
            } else if (whole && t.last != w) {
                T sums[MR * NV * w];
                store_sums(acc, sums, n);
                add_scaled(t.alpha, sums, t.beta, t.c, MR * n);
            } else if (t.beta == T(1)) {
                write(t, acc, [=](Vec<T> v, const T* c, int, int, auto load_at) {
                    return fma(alpha, v, load_at(c));
                });
            } else {
                write(t, acc, [=](Vec<T> v, const T* c, int, int, auto load_at) {
                    return fma(alpha, v, beta * load_at(c));
                });
            }
            break;
        }
        case Epilogue::relu_backward: {
            const T* const y = t.y;
            const index_t y_row = t.y_row;
            write(t, acc, [=](Vec<T> v, const T*, int i, int j, auto load_at) {
                return relu_gradient(v, load_at(y + i * y_row + j));
            });
            break;
        }
        case Epilogue::update: {
            // By way of the L1 cache: an update in every tile's registers would be most of the
            // wheel.
            T g[MR * NV * w];
            const index_t g_row = whole ? n : NV * w, at = t.c - t.update->w;
            store_sums(acc, g, g_row);
            if (whole) {
                update_kernel(*t.update, g, at, MR * n);
            } else {
                follow_block(*t.update, g, g_row, at, t.c_row, index_t(MR), n);
            }
            break;
        }
    }
}

// Tiles by rows and vectors. A product of few rows may be wider than one of many.
template <class T>
using TileFunction = void (*)(const Tile<T>&);

constexpr int tile_vectors_max = 8;

template <class T>
struct TileTable {
    TileFunction<T> at[tile_rows_max + 1][tile_vectors_max + 1][2];
};

template <class T, int MR, int NV>
constexpr void fill_tiles(TileTable<T>& table) {
    if constexpr (NV <= tile_vectors(MR)) {
        table.at[MR][NV][0] = tile<T, MR, NV, false>;
        table.at[MR][NV][1] = tile<T, MR, NV, true>;
        fill_tiles<T, MR, NV + 1>(table);
    } else if constexpr (MR < tile_rows_max) {
        fill_tiles<T, MR + 1, 1>(table);
    }
}
template <class T>
constexpr TileTable<T> make_tiles() {
    TileTable<T> table{};
    fill_tiles<T, 1, 1>(table);
    return table;
}
template <class T>
constexpr TileTable<T> tiles = make_tiles<T>();

// Tiles of whole panels of packed b that fetch besides, by rows.
template <class T>
struct FetchingTiles {
    TileFunction<T> at[tile_rows_max + 1];
};

template <class T, int MR>
constexpr void fill_fetching_tiles(FetchingTiles<T>& table) {
    table.at[MR] = tile<T, MR, panel_vectors, false, true>;
    if constexpr (MR < tile_rows_max) fill_fetching_tiles<T, MR + 1>(table);
}
template <class T>
constexpr FetchingTiles<T> make_fetching_tiles() {
    FetchingTiles<T> table{};
    fill_fetching_tiles<T, 2>(table);
    return table;
}
template <class T>
constexpr FetchingTiles<T> fetching_tiles = make_fetching_tiles<T>();

PYNN_ISA_END
