// Sums over the rows of a mini-batch, column by column, in the fixed order of all such sums: each
// piece of 512 samples (with all their positions) is a chain over its rows, cut every KC rows; the
// pieces are added from left to right. No sum depends on the number of threads, which divide the
// columns.
#pragma once

#include <algorithm>

#include "kernels/kernel_table.h"

namespace pynn {

// Samples of a piece: where each has one position, a product's own cut.
constexpr index_t piece_samples = KC;

// sums[j] = the sum over rows r of term(r, j), for `columns` columns; `part` and `piece` are as
// long.
template <class T, class Term>
void sum_columns_of(index_t samples, index_t positions, index_t columns, T* sums, T* piece, T* part,
                    const Term& term) {
    std::fill(sums, sums + columns, T(0));
    for (index_t first = 0; first < samples; first += piece_samples) {
        const index_t begin = first * positions;
        const index_t end = std::min(samples, first + piece_samples) * positions;
        T* const to = first == 0 ? sums : piece;
        for (index_t row = begin; row < end; row += KC) {
            T* const chain = row == begin ? to : part;
            std::fill(chain, chain + columns, T(0));
            const index_t stop = std::min(end, row + KC);
            for (index_t r = row; r < stop; ++r) {
                for (index_t j = 0; j < columns; ++j) chain[j] += term(r, j);
            }
            if (chain == part) {
                for (index_t j = 0; j < columns; ++j) to[j] += part[j];
            }
        }
        if (to == piece) {
            for (index_t j = 0; j < columns; ++j) sums[j] += piece[j];
        }
    }
}

}  // namespace pynn
