// Copying a matrix of any strides into contiguous rows: what packing consists of.
#pragma once

#include "kernels/vec.h"

PYNN_ISA_BEGIN

// to[i * to_row + j] = from[i * row + j * column] for a column of `from` contiguous (row == 1):
// squares in registers. The last squares overlap those before them rather than being cut.
template <class T>
PYNN_INLINE void copy_transposed(const T* from, index_t column, index_t rows, index_t columns,
                                 T* to, index_t to_row) {
    constexpr index_t s = Square<T>::size;
    for (index_t j = 0; j < columns; j += s) {
        if (j + s > columns) j = columns - s;
        for (index_t i = 0; i < rows; i += s) {
            if (i + s > rows) i = rows - s;
            const Square<T> square = load_transposed(from + j * column + i, column);
            PYNN_UNROLL
            for (int l = 0; l < s; ++l) store(to + (i + l) * to_row + j, square.r[l]);
        }
    }
}

// to[i * to_row + j] = from[i * row + j * column]
template <class T>
void copy_block(const T* from, index_t row, index_t column, index_t rows, index_t columns, T* to,
                index_t to_row) {
    constexpr index_t s = Square<T>::size;
    if (column == 1) {
        for (index_t i = 0; i < rows; ++i) {
            map(from + i * row, to + i * to_row, columns, [](Vec<T> v) { return v; });
        }
    } else if (row == 1 && rows >= s && columns >= s) {
        copy_transposed(from, column, rows, columns, to, to_row);
    } else {
        for (index_t j = 0; j < columns; ++j) {
            for (index_t i = 0; i < rows; ++i) to[i * to_row + j] = from[i * row + j * column];
        }
    }
}

PYNN_ISA_END
