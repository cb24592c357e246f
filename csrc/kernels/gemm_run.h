// Tiles one after another: what a tile costs beside its sum.
//
// A tile that is called by itself takes up to 190 instructions beside the 21.5 of a step of k: its
// arguments are written and read again, its layout, its chains and its epilogue are asked for. Of a
// sum of 32 that is a fifth. A run goes on to the next tile by itself, of whole vectors, for the
// layouts and epilogues that training's products have, and takes about 85.
#pragma once

#include "kernels/gemm_tile.h"

PYNN_ISA_BEGIN

// How many tiles, and how far from one to the next. What belongs to a column (the bias) or to an
// element (y) goes on as c does, along a row.
struct Run {
    index_t count;
    index_t a, b, c;
    bool target_far;  // ask for what the next tile writes
};

constexpr int run_rows_min = tile_rows_max - 1;
// Of a longer sum the rest is less than a twentieth, and what a tile fetches for the next one would
// come all at once.
constexpr index_t longest_in_run = 192;
// Where something is fetched ahead between tiles, it must not come all at once.
constexpr index_t tiles_between_fetches = 4;

// (In a run, beta is 1.)
constexpr Form form_in_run(Epilogue e) {
    return e == Epilogue::bias            ? Form::bias
           : e == Epilogue::scale         ? Form::add
           : e == Epilogue::relu_backward ? Form::relu_backward
                                          : Form::store;
}

template <class T, int MR, bool Columns, Epilogue E>
void run_tiles(const Tile<T>& t, const Run& run) {
    constexpr int w = Vec<T>::width, NV = panel_vectors, steps = steps_at_once;
    constexpr index_t size = sizeof(T);
    const T* tile_a = t.a;
    const T* tile_b = t.b;
    T* tile_c = t.c;
    for (index_t left = run.count;;) {
        if (run.target_far && left > 1) prefetch_target(t, tile_c + run.c, MR, NV * w);
        // (The epilogue's zero is another, or it would take a register from the sums.)
        Vec<T> acc[MR][NV], zero = set1(T(0));
        forget_value(zero);
        PYNN_UNROLL
        for (int i = 0; i < MR; ++i) {
            PYNN_UNROLL
            for (int j = 0; j < NV; ++j) acc[i][j] = zero;
        }
        const T* b = tile_b;
        const index_t b_row = t.b_row;
        index_t l = t.k;
        if constexpr (Columns) {
            const T* a = tile_a;
            for (; l >= steps; l -= steps) {
                PYNN_UNROLL
                for (int s = 0; s < steps; ++s) {
                    const T* const column = a + s * tile_rows_max;
                    multiply_step<T, MR, NV, false>(b, w, [=](int i) { return column[i]; }, acc);
                    b += b_row;
                }
                a += steps * tile_rows_max;
            }
            for (; l > 0; --l) {
                multiply_step<T, MR, NV, false>(b, w, [=](int i) { return a[i]; }, acc);
                a += tile_rows_max;
                b += b_row;
            }
        } else {
            RowPointers<T, MR> a(tile_a, t.a_row);
            for (; l >= steps; l -= steps) {
                PYNN_UNROLL
                for (int s = 0; s < steps; ++s) {
                    multiply_step<T, MR, NV, false>(b, w, [&](int i) { return a.at(i, s); }, acc);
                    b += b_row;
                }
                a.step(steps * size);
            }
            for (; l > 0; --l) {
                multiply_step<T, MR, NV, false>(b, w, [&](int i) { return a.at(i, 0); }, acc);
                a.step(size);
                b += b_row;
            }
        }
        PYNN_FORGET;
        if (t.accumulate) {
            const T* c = tile_c;
            PYNN_UNROLL
            for (int i = 0; i < MR; ++i, c += t.c_row) {
                PYNN_UNROLL
                for (int j = 0; j < NV; ++j) acc[i][j] = load(c + j * w) + acc[i][j];
            }
        }
        if constexpr (E == Epilogue::update) {
            T g[MR * NV * w];
            store_sums(acc, g, NV * w);
            follow_block(*t.update, g, NV * w, tile_c - t.update->w, t.c_row, index_t(MR),
                         index_t(NV * w));
        } else {
            constexpr Form F = form_in_run(E);
            const Vec<T> factor = factor_of<F, T>(t);
            const index_t c_row = t.c_row, y_row = t.y_row;
            T* c = tile_c;
            const T* other = other_of<F>(t, static_cast<const T*>(t.c), 0) + (tile_c - t.c);
            PYNN_UNROLL
            for (int i = 0; i < MR; ++i) {
                PYNN_UNROLL
                for (int j = 0; j < NV; ++j) {
                    store(c + j * w, finish<F>(factor, factor, acc[i][j], other + j * w,
                                               [](const T* p) { return load(p); }));
                }
                c += c_row;
                if constexpr (F == Form::add) other += c_row;
                if constexpr (F == Form::relu_backward) other += y_row;
            }
        }
        PYNN_FORGET;
        if (--left == 0) return;
        tile_a += run.a;
        tile_b += run.b;
        tile_c += run.c;
    }
}

template <class T>
using RunFunction = void (*)(const Tile<T>&, const Run&);

template <class T, int MR, bool Columns>
PYNN_INLINE RunFunction<T> run_with(Epilogue epilogue) {
    switch (epilogue) {
        case Epilogue::store:
            return run_tiles<T, MR, Columns, Epilogue::store>;
        case Epilogue::scale:
            return run_tiles<T, MR, Columns, Epilogue::scale>;
        case Epilogue::update:
            return Columns ? run_tiles<T, MR, true, Epilogue::update> : nullptr;
        case Epilogue::bias:
            return Columns ? nullptr : run_tiles<T, MR, false, Epilogue::bias>;
        case Epilogue::relu_backward:
            return Columns ? nullptr : run_tiles<T, MR, false, Epilogue::relu_backward>;
    }
    return nullptr;
}

// How tiles like t, of so many rows, run; null: one by one. Where a step of k is not unrolled a
// tile's other instructions were not in the way.
template <class T>
PYNN_INLINE RunFunction<T> run_of(const Tile<T>& t, index_t rows) {
    if constexpr (steps_at_once > 1) {
        if (t.k > longest_in_run || rows < run_rows_min || t.resume || t.suspend) return nullptr;
        if (t.epilogue == Epilogue::scale && t.beta != T(1)) return nullptr;
        if (t.a_row == 1 && t.a_col == tile_rows_max) {
            return rows == tile_rows_max ? run_with<T, tile_rows_max, true>(t.epilogue)
                                         : run_with<T, run_rows_min, true>(t.epilogue);
        }
        if (t.a_col == 1) {
            return rows == tile_rows_max ? run_with<T, tile_rows_max, false>(t.epilogue)
                                         : run_with<T, run_rows_min, false>(t.epilogue);
        }
    }
    return nullptr;
}

PYNN_ISA_END
