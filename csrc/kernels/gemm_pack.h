// Packing: copies of a block of b and of a tile of a in the order in which the tiles read them.
#pragma once

#include "kernels/copy.h"
#include "kernels/gemm_plan.h"

PYNN_ISA_BEGIN

// `rows` rows of a micropanel of b, each `used` of its `stride` columns; the rest are zeros.
template <class T>
PYNN_INLINE void pack_micropanel(const T* b, index_t b_row, index_t b_col, index_t rows,
                                 index_t used, T* out, index_t stride) {
    constexpr int w = Vec<T>::width;
    constexpr index_t prefetch_distance = 8;  // rows: what the next call reads is on its way
    if (b_col == 1 && used == NR_VECTORS * w) {
        for (index_t l = 0; l < rows; ++l) {
            PYNN_UNROLL
            for (int j = 0; j < NR_VECTORS; ++j) {
                if (j % vectors_per_line<T> == 0)
                    PYNN_PREFETCH(b + prefetch_distance * b_row + j * w);
                store(out + j * w, load(b + j * w));
            }
            b += b_row;
            out += stride;
        }
        return;
    }
    if (b_row == 1) {
        for (index_t i = 0; i < used; ++i) PYNN_PREFETCH(b + i * b_col + rows);
    }
    copy_block(b, b_row, b_col, rows, used, out, stride);
    for (index_t i = used; i < stride; ++i) {
        for (index_t l = 0; l < rows; ++l) out[l * stride + i] = T(0);
    }
}

// Panels of `micropanel` columns (the last with fewer, in whole vectors), each k x columns
// contiguous. A few rows of all micropanels at a time: whole cache lines are read, one after the
// other, of b's rows as of the columns of a transposed operand.
template <class T>
void pack_b(const Gemm<T>& g, int nr, index_t k0, index_t depth, index_t j0, index_t columns,
            T* out) {
    constexpr index_t group = BlockingPlan<T>::line;
    for (index_t l = 0; l < depth; l += group) {
        const index_t rows = at_most(group, depth - l);
        const T* b = g.b + (k0 + l) * g.b_row + j0 * g.b_col;
        for (index_t j = 0; j < columns; j += nr) {
            const index_t used = at_most(nr, columns - j);
            const index_t stride = ceil_div(used, Vec<T>::width) * Vec<T>::width;
            pack_micropanel(b + j * g.b_col, g.b_row, g.b_col, rows, used,
                            out + j * depth + l * stride, stride);
        }
    }
}

// The columns of a tile of a, k x MR contiguous. What is stored beyond a column's rows
// is overwritten by the next column.
template <class T>
PYNN_INLINE void pack_columns(const T* a, index_t a_col, index_t depth, index_t rows, T* out) {
    constexpr int w = Vec<T>::width;
    constexpr int vectors = (MR + w - 1) / w;
    for (index_t l = 0; l < depth; ++l) {
        PYNN_UNROLL
        for (int j = 0; j < vectors; ++j) {
            const index_t left = rows - j * w;
            if (left >= w) {
                store(out + j * w, load(a + j * w));
            } else if (left > 0) {
                store(out + j * w, load_n(a + j * w, static_cast<int>(left)));
            }
        }
        a += a_col;
        out += MR;
    }
}

PYNN_ISA_END
