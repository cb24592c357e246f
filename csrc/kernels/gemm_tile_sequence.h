// Tiles one after another: what a tile costs beside its sum.
//
// A tile that is called by itself takes up to 190 instructions beside the 21.5 of a step of k: its
// arguments are written and read again, its layout, its sums and its epilogue are tested. Of a
// sum of 32 that is a fifth. A sequence computes the next tile by itself, of whole vectors, for the
// layouts and epilogues that training's products have, and takes about 85.
#pragma once

#include "kernels/gemm_micro_kernel.h"

PYNN_ISA_BEGIN

// How many tiles, and how far from one to the next. What belongs to a column (the bias) or to an
// element (y) moves on as c does, along a row.
struct TileSequence {
    index_t count;
    index_t a, b, c;
    bool prefetches_c;  // what the next tile writes
};

// (In a run, beta is 1.)
constexpr Form form_in_run(Epilogue e) {
    return e == Epilogue::bias            ? Form::bias
           : e == Epilogue::scale         ? Form::add
           : e == Epilogue::relu_backward ? Form::relu_backward
                                          : Form::store;
}

template <class T, int Rows, bool Columns, Epilogue E>
void tile_sequence_kernel(const MicroKernelArgs<T>& t, const TileSequence& sequence) {
    constexpr int w = Vec<T>::width, Vectors = NR_VECTORS, steps = k_unroll;
    constexpr index_t size = sizeof(T);
    const T* tile_a = t.a;
    const T* tile_b = t.b;
    T* tile_c = t.c;
    for (index_t left = sequence.count;;) {
        if (sequence.prefetches_c && left > 1)
            prefetch_c_tile(t, tile_c + sequence.c, Rows, Vectors * w);
        // (The epilogue's zero is another, or it would take a register from the sums.)
        Vec<T> acc[Rows][Vectors], zero = set1(T(0));
        hide_from_optimizer(zero);
        PYNN_UNROLL
        for (int i = 0; i < Rows; ++i) {
            PYNN_UNROLL
            for (int j = 0; j < Vectors; ++j) acc[i][j] = zero;
        }
        const T* b = tile_b;
        const index_t b_row = t.b_row;
        index_t l = t.k;
        if constexpr (Columns) {
            const T* a = tile_a;
            for (; l >= steps; l -= steps) {
                PYNN_UNROLL
                for (int s = 0; s < steps; ++s) {
                    const T* const column = a + s * MR;
                    multiply_step<T, Rows, Vectors, false>(
                        b, w, [=](int i) { return column[i]; }, acc);
                    b += b_row;
                }
                a += steps * MR;
            }
            for (; l > 0; --l) {
                multiply_step<T, Rows, Vectors, false>(b, w, [=](int i) { return a[i]; }, acc);
                a += MR;
                b += b_row;
            }
        } else {
            RowPointers<T, Rows> a(tile_a, t.a_row);
            for (; l >= steps; l -= steps) {
                PYNN_UNROLL
                for (int s = 0; s < steps; ++s) {
                    multiply_step<T, Rows, Vectors, false>(
                        b, w, [&](int i) { return a.at(i, s); }, acc);
                    b += b_row;
                }
                a.step(steps * size);
            }
            for (; l > 0; --l) {
                multiply_step<T, Rows, Vectors, false>(
                    b, w, [&](int i) { return a.at(i, 0); }, acc);
                a.step(size);
                b += b_row;
            }
        }
        PYNN_COMPILER_BARRIER;
        if (t.accumulate) {
            const T* c = tile_c;
            PYNN_UNROLL
            for (int i = 0; i < Rows; ++i, c += t.c_row) {
                PYNN_UNROLL
                for (int j = 0; j < Vectors; ++j) acc[i][j] = load(c + j * w) + acc[i][j];
            }
        }
        if constexpr (E == Epilogue::update) {
            T g[Rows * Vectors * w];
            store_sums(acc, g, Vectors * w);
            update_block(*t.update, g, Vectors * w, tile_c - t.update->w, t.c_row, index_t(Rows),
                         index_t(Vectors * w));
        } else {
            constexpr Form F = form_in_run(E);
            write<F>(t, acc, tile_c, other_of<F>(t, static_cast<const T*>(t.c), 0) + (tile_c - t.c),
                     w);
        }
        PYNN_COMPILER_BARRIER;
        if (--left == 0) return;
        tile_a += sequence.a;
        tile_b += sequence.b;
        tile_c += sequence.c;
    }
}

template <class T>
using TileSequenceKernel = void (*)(const MicroKernelArgs<T>&, const TileSequence&);

template <class T, int Rows, bool Columns>
PYNN_INLINE TileSequenceKernel<T> tile_sequence_kernel_for(Epilogue epilogue) {
    switch (epilogue) {
        case Epilogue::store:
            return tile_sequence_kernel<T, Rows, Columns, Epilogue::store>;
        case Epilogue::scale:
            return tile_sequence_kernel<T, Rows, Columns, Epilogue::scale>;
        case Epilogue::update:
            return Columns ? tile_sequence_kernel<T, Rows, true, Epilogue::update> : nullptr;
        case Epilogue::bias:
            return Columns ? nullptr : tile_sequence_kernel<T, Rows, false, Epilogue::bias>;
        case Epilogue::relu_backward:
            return Columns ? nullptr
                           : tile_sequence_kernel<T, Rows, false, Epilogue::relu_backward>;
    }
    return nullptr;
}

// The sequence for tiles like t, of `rows` rows; null: one by one. Where a step of k is not
// unrolled a tile's other instructions were not in the way.
template <class T>
PYNN_INLINE TileSequenceKernel<T> find_tile_sequence_kernel(const MicroKernelArgs<T>& t,
                                                            index_t rows) {
    if constexpr (max_sequence_k > 0) {
        if (is_left_out(tile_sequence_name)) return nullptr;
        if (t.k > max_sequence_k || rows < min_sequence_rows || t.acc_in || t.acc_out)
            return nullptr;
        if (t.epilogue == Epilogue::scale && t.beta != T(1)) return nullptr;
        if (t.a_row == 1 && t.a_col == MR) {
            return rows == MR ? tile_sequence_kernel_for<T, MR, true>(t.epilogue)
                              : tile_sequence_kernel_for<T, min_sequence_rows, true>(t.epilogue);
        }
        if (t.a_col == 1) {
            return rows == MR ? tile_sequence_kernel_for<T, MR, false>(t.epilogue)
                              : tile_sequence_kernel_for<T, min_sequence_rows, false>(t.epilogue);
        }
    }
    return nullptr;
}

PYNN_ISA_END
