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
void pack_b_terms(const T* b, index_t b_row, index_t b_col, index_t terms, int nr, index_t depth,
                  index_t columns, index_t first, T* out) {
    constexpr index_t group = BlockingPlan<T>::line;
    for (index_t l = 0; l < terms; l += group, b += group * b_row) {
        const index_t rows = at_most(group, terms - l);
        for (index_t j = 0; j < columns; j += nr) {
            const index_t used = at_most(nr, columns - j);
            const index_t stride = ceil_div(used, Vec<T>::width) * Vec<T>::width;
            pack_micropanel(b + j * b_col, b_row, b_col, rows, used,
                            out + j * depth + (first + l) * stride, stride);
        }
    }
}
template <class T>
PYNN_INLINE void pack_b(const Gemm<T>& g, int nr, index_t k0, index_t depth, index_t j0,
                        index_t columns, T* out) {
    if (!g.pieces) {
        pack_b_terms(g.b + k0 * g.b_row + j0 * g.b_col, g.b_row, g.b_col, depth, nr, depth, columns,
                     0, out);
        return;
    }
    for_each_segment(g, k0, depth, [&](const GemmPiece<T>& s, index_t first) {
        pack_b_terms(s.b + j0 * s.b_col, s.b_row, s.b_col, s.k, nr, depth, columns, first, out);
    });
}

// n values in whole vectors: what is stored beyond them is the caller's to overwrite. from: null
// for zeros.
template <class T, int vectors>
PYNN_INLINE void pack_vectors(const T* from, index_t n, T* out) {
    constexpr int w = Vec<T>::width;
    PYNN_UNROLL
    for (int j = 0; j < vectors; ++j) {
        const index_t left = n - j * w;
        if (left >= w) {
            store(out + j * w, load(from + j * w));
        } else if (left > 0) {
            store(out + j * w, load_n(from + j * w, static_cast<int>(left)));
        }
    }
}

// Columns [l, l + depth) of rows [start, start + rows) of a segment of a, depth x MR contiguous.
// What is stored beyond a column's rows is overwritten by the next column.
template <class T>
PYNN_INLINE void pack_columns(const GemmPiece<T>& s, index_t l, index_t depth, index_t start,
                              index_t rows, T* out) {
    constexpr int w = Vec<T>::width, vectors = (MR + w - 1) / w;
    const T* a = s.a + start;
    if (s.a_cols) {
        for (const int32_t *at = s.a_cols + l, *end = at + depth; at < end; ++at, out += MR) {
            if (*at >= 0) {
                pack_vectors<T, vectors>(a + *at, rows, out);
            } else {
                for (index_t i = 0; i < rows; ++i) out[i] = T(0);
            }
        }
        return;
    }
    a += l * s.a_col;
    for (; depth > 0; --depth, a += s.a_col, out += MR) pack_vectors<T, vectors>(a, rows, out);
}

// Rows [start, start + rows) of a segment of a, out_row apart. What is stored beyond a row's
// columns is overwritten by the segment after it, or lies within the line between two rows.
template <class T>
PYNN_INLINE void pack_rows(const GemmPiece<T>& s, index_t start, index_t rows, T* out,
                           index_t out_row) {
    constexpr int w = Vec<T>::width;
    if (!has_table(s)) {
        copy_block(s.a + start * s.a_row, s.a_row, s.a_col, rows, s.k, out, out_row);
        return;
    }
    for (index_t i = 0; i < rows; ++i, out += out_row) {
        const int32_t at = s.a_rows ? s.a_rows[start + i] : 0;
        if (at < 0) {
            for (index_t l = 0; l < s.k; ++l) out[l] = T(0);
        } else if (s.a_rows && s.a_col == 1) {
            for (index_t l = 0; l < s.k; l += w) pack_vectors<T, 1>(s.a + at + l, s.k - l, out + l);
        } else {
            const T* const row = s.a_rows ? s.a + at : s.a + start + i;
            for (index_t l = 0; l < s.k; ++l) {
                const index_t column = s.a_rows ? l * s.a_col : s.a_cols[l];
                out[l] = column < 0 && !s.a_rows ? T(0) : row[column];
            }
        }
    }
}

PYNN_ISA_END
