// Rows of matrices whose columns are contiguous: a DataFrame's values, a transposed array.
//
// A value of such a row shares its cache line with other rows. Rows in a random order, one by one,
// fetch a line for each value: 8 times the bytes of float64, 16 times those of float32. Many rows
// at a time use each line for several of them.
#pragma once

#include "nn/buffer.h"
#include "nn/matrix.h"

namespace pynn {

bool is_column_major(const Matrix& m);

// What a RowMove can tell apart; a column-major matrix of more rows is read row by row.
constexpr index_t max_staged_rows = UINT32_MAX;

// The type in which rows of m are staged for a network of T: m's own where that is smaller.
template <class T>
DType staging_dtype(const Matrix& m);
index_t item_size(DType type);

// Rows first .. first + count of m to out, contiguous values of `type`: m's, or a float type.
void copy_rows(const Matrix& m, index_t first, index_t count, DType type, void* out);

// A row of a matrix and its index among those of the copy.
struct RowMove {
    uint32_t from, to;
};

// Rows in groups, each so small that a tile of its columns stays in the L1 cache.
index_t row_groups(const Matrix& m);

// Writes the moves of rows order[first .. first + count) (or first .. if order is null), group by
// group, to `moves`; those of group g begin at starts[g]. `starts` has row_groups(m) + 1 elements.
void sort_rows(const Matrix& m, const int64_t* order, index_t first, index_t count, RowMove* moves,
               uint32_t* starts);

// Makes the moves of groups begin .. end: rows of m to rows of `out`, contiguous values of `type`.
void move_rows(const Matrix& m, const RowMove* moves, const uint32_t* starts, index_t begin,
               index_t end, DType type, void* out);

// Rows order[first ..] of m, or first .. if there is no order.
struct RowSource {
    const Matrix* m;
    const int64_t* order;
    index_t first;
};

// The samples of a run of mini-batches, row-major: staged together from a column-major matrix of
// inputs, of targets, or both. At most `staged_bytes`, or a mini-batch if that is more.
constexpr index_t staging_bytes = index_t{96} << 20;

class StagingBuffer {
public:
    // Allocates. Mini-batches of `batch` rows follow, `count` rows in all. Types: of the copies.
    void begin(const Matrix& x, DType x_type, const Matrix& targets, DType target_type,
               index_t batch, index_t count, bool ordered);
    bool is_used() const { return x_.from || targets_.from; }
    bool x_is_staged() const { return x_.from != nullptr; }
    bool targets_are_staged() const { return targets_.from != nullptr; }

    // True if the mini-batch at `first` is in the buffer.
    bool contains(const int64_t* order, index_t first) const {
        return order == order_ && first >= first_ && first < first_ + valid_rows_;
    }
    // Stages the run that begins at `first`: one thread sorts its rows; after a barrier each fills
    // its part, and one says what the stage holds; a barrier follows.
    void sort(const int64_t* order, index_t first);
    void fill(const int64_t* order, index_t first, int index, int count);
    void mark_filled(const int64_t* order, index_t first);

    // Where the rows order[first ..] are; `given` where they are not staged.
    RowSource x(RowSource given) const { return source(x_, given); }
    RowSource targets(RowSource given) const { return source(targets_, given); }

private:
    struct StagedCopy {
        const Matrix* from = nullptr;  // null: not staged
        Matrix rows;
        Buffer<char> memory;
    };
    void reserve(StagedCopy& copy, const Matrix& from, DType type);
    RowSource source(const StagedCopy& copy, RowSource given) const {
        return copy.from ? RowSource{&copy.rows, nullptr, given.first - first_} : given;
    }
    index_t chunk_rows_at(index_t first) const {
        return first + chunk_rows_ < count_ ? chunk_rows_ : count_ - first;
    }

    StagedCopy x_, targets_;
    Buffer<RowMove> moves_;
    Buffer<uint32_t> starts_;
    index_t chunk_rows_ = 0, count_ = 0;  // rows of a run; in all
    const int64_t* order_ = nullptr;
    index_t first_ = 0, valid_rows_ = 0;
};

}  // namespace pynn
