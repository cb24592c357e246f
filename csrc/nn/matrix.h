// The caller's arrays, read a mini-batch at a time: rows gathered by index and converted to the
// network's type, so that nothing is ever copied as a whole.
#pragma once

#include "kernels/kernel_table.h"

namespace pynn {

enum class DType { f32, f64, f16, i8, u8, i16, u16, i32, u32, i64, u64 };

// A matrix somewhere in memory; strides in bytes, of any sign.
struct Matrix {
    const char* data = nullptr;
    DType dtype = DType::f64;
    index_t rows = 0, columns = 0;
    index_t row_stride = 0, column_stride = 0;
    // Of samples with several axes that do not lie at one stride (an image with its channels
    // first): the columns are runs of `run` values at column_stride, one for each index of the axes
    // before. 0: a single run.
    index_t run = 0;
    index_t axes[3] = {1, 1, 1}, axis_strides[3] = {0, 0, 0};
};

// An index that fitted when a call began and does not where it is read: the caller's arrays may
// change meanwhile.
struct Changed {
    index_t row = -1;  // of the samples; -1: none
    enum class Kind { sparse_row, label, token } kind = Kind::sparse_row;
    int64_t value = 0;     // of the label or the token
    bool applied = false;  // found by a step that was not refused
};

// Rows order[first .. first + count) of m (or first .. if order is null) to out, contiguous.
template <class T>
void gather(const Matrix& m, const int64_t* order, index_t first, index_t count, T* out);

// The same for integers, which are to be in [0, limit): others are 0 in `out`, and the first of
// them is returned.
struct BadToken {
    index_t row = -1, position = 0;  // -1: none
    int64_t token = 0;
};
bool is_integer(DType type);
BadToken gather_tokens(const Matrix& m, const int64_t* order, index_t first, index_t count,
                       int64_t limit, int64_t* out);

// Prefetches rows order[first .. first + count) of m, and of `targets` if it is not empty, during
// `flops` multiply-adds.
RowPrefetcher make_row_prefetcher(const Matrix& m, const Matrix& targets, const int64_t* order,
                                  index_t first, index_t count, double flops);

// The rows from `first` on where they are, if they are contiguous values of T; else null.
template <class T>
const T* in_place(const Matrix& m, index_t first);

}  // namespace pynn
