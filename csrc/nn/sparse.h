// Samples as a sparse matrix in compressed rows: the caller's arrays, read a row at a time.
//
// Nothing here is as large as rows times columns. The forward product reads the rows as they are;
// the weight gradient, which sums over rows, reads them by columns, a bounded number of stored
// values at a time.
#pragma once

#include <algorithm>
#include <utility>
#include <vector>

#include "nn/buffer.h"
#include "nn/matrix.h"
#include "threads/team.h"

namespace pynn {

template <class T>
class Layer;
struct RngPosition;

// Compressed sparse rows: a row's columns increase.
struct CsrMatrix {
    index_t rows = 0, columns = 0;
    index_t nnz = 0;  // of the arrays below
    const void *row_pointers = nullptr,
               *column = nullptr;  // rows + 1 positions; one a stored value
    bool int64_row_pointers = false, int64_columns = false;  // int64 instead of int32
    const char* values = nullptr;
    DType dtype = DType::f64;
    index_t value_bytes = 8;

    index_t start(index_t row) const {
        return int64_row_pointers
                   ? static_cast<index_t>(static_cast<const int64_t*>(row_pointers)[row])
                   : static_cast<const int32_t*>(row_pointers)[row];
    }
    index_t column_at(index_t position) const {
        return int64_columns ? static_cast<index_t>(static_cast<const int64_t*>(column)[position])
                             : static_cast<const int32_t*>(column)[position];
    }
};

// What is wrong with the `count` rows that `order` names (null: with the first ones), or null;
// `row` is set to the bad one's. The arrays are the caller's, so they are looked at whenever they
// are used.
const char* csr_error(const CsrMatrix& m, const int64_t* order, index_t count, index_t& row);

// Stored values of a row, in place or converted, and a copy of their columns.
template <class T>
struct SparseRow {
    index_t count;
    const int32_t* columns;
    const T* values;
};

// Room for a row, and what was found in the rows read with it.
template <class T>
struct RowBuffers {
    Buffer<int32_t> columns;
    Buffer<T> values, raw;
    index_t room = 0;      // stored values
    index_t bad_row = -1;  // of the matrix: one whose positions or columns do not fit

    void reserve(index_t stored) {
        room = std::max(room, stored);
        columns.reserve(stored);
        values.reserve(stored);
        raw.reserve(stored);
    }
};

// Rows of a matrix as a mini-batch: row i is the matrix's order[first + i], or first + i. A layer
// that maps 0 to 0, dropout, may stand before the first one with parameters.
//
// The arrays are the caller's, who may change them meanwhile. So positions and columns are read
// once, and looked at where they are read; a row that does not fit is empty, and is noted.
template <class T>
struct SparseBatch {
    const CsrMatrix* x;
    const int64_t* order;
    index_t first, rows;
    const Layer<T>* before;  // or null
    Range* taken;            // by row: the positions that `take` has read; or null

    index_t row(index_t i) const {
        return order ? static_cast<index_t>(order[first + i]) : first + i;
    }
    // Positions of row i in the matrix's arrays.
    Range take(index_t i, RowBuffers<T>& space) const;
    Range positions(index_t i) const { return taken[i]; }
    // Those positions of row i, in T, and as `before` passes them on; `columns` are those that may
    // be there. `finite` is set to false where a value is not.
    SparseRow<T> read(index_t i, Range positions, Range columns, const RngPosition& rng,
                      RowBuffers<T>& space, bool* finite = nullptr) const;
    // All stored values.
    index_t nnz() const;
};

// The most values that a row stores, and a mini-batch of `size` of the rows that `order` names.
index_t max_row_nnz(const CsrMatrix& m);
index_t max_batch_nnz(const CsrMatrix& m, const int64_t* order, index_t count, index_t size);

// The stored values of a mini-batch by columns, for a range of them.
//
// A histogram over the columns divides them among threads and into groups whose values fit into
// memory of a fixed size; a group's values are sorted by column and, within a column, by row.
template <class T>
class ColumnReader {
public:
    // Allocates what a mini-batch of `rows` rows and `stored` values needs.
    void reserve(index_t rows, index_t stored, index_t longest_row, int threads);

    // Columns of part `index` of `count`, which have about equal costs: one for each stored value
    // and `column_cost` for each column.
    Range divide(const SparseBatch<T>& x, double column_cost, int index, int count);

    // f(i, row) for what each row of `rows` stores in `columns`, which begin where those of the
    // last call for it, or of begin(), ended; whether there was any.
    void begin(const SparseBatch<T>& x, index_t column) {
        for (index_t i = 0; i < x.rows; ++i) cursors_.data()[i] = find(x, i, column);
    }
    template <class F>
    bool each_row(const SparseBatch<T>& x, Range rows, Range columns, const RngPosition& rng, F f) {
        bool any = false;
        for (index_t i = rows.begin; i < rows.end; ++i) {
            const Range positions = advance(x, i, columns.end);
            if (positions.size() == 0) continue;
            f(i, x.read(i, positions, columns, rng, space_));
            any = true;
        }
        return any;
    }

    // f(column, row) for each column in `own` with stored values, in increasing order; `row` has
    // the rows' numbers as its columns.
    template <class F>
    void each_column(const SparseBatch<T>& x, Range own, const RngPosition& rng, F f) {
        begin(x, own.begin);
        by_groups(x, own, rng, [&] {
            const int32_t* const rows = sorted_rows_.data();
            for (index_t e = 0, end; e < entries_; e = end) {
                const index_t column = column_of(e);
                for (end = e + 1; end < entries_ && column_of(end) == column;) ++end;
                const SparseRow<T> row{end - e, rows + e, sorted_values_.data() + e};
                f(column, row);
            }
        });
    }

    // A row of the matrix whose columns have changed since begin(), or -1; -1 from here on.
    index_t take_bad_row() { return std::exchange(space_.bad_row, -1); }

private:
    static constexpr int buckets = 1024;
    // Columns `begin` on, in buckets of 2**shift.
    struct Histogram {
        index_t begin;
        int shift;
        index_t counts[buckets];
        explicit Histogram(Range columns);
        index_t start(int bucket) const { return begin + (static_cast<index_t>(bucket) << shift); }
    };

    // The positions of row i before column `end`, behind which its cursor is then.
    Range advance(const SparseBatch<T>& x, index_t i, index_t end) {
        const index_t first = cursors_.data()[i], stop = x.positions(i).end;
        index_t at = first;
        if (first < stop && x.x->column_at(stop - 1) < end) {
            at = stop;
        } else if (x.x->int64_columns) {
            while (at < stop && x.x->column_at(at) < end) ++at;
        } else {
            const int32_t* const columns = static_cast<const int32_t*>(x.x->column);
            while (at < stop && columns[at] < end) ++at;
        }
        cursors_.data()[i] = at;
        return {first, at};
    }

    static index_t find(const SparseBatch<T>& x, index_t i, index_t column);
    void count(const SparseBatch<T>& x, Range columns, Histogram& h);
    template <class F>
    void by_groups(const SparseBatch<T>& x, Range columns, const RngPosition& rng, const F& f) {
        Histogram h(columns);
        count(x, columns, h);
        for (int bucket = 0; bucket < buckets && h.start(bucket) < columns.end;) {
            index_t values = h.counts[bucket];
            int next = bucket + 1;
            while (next < buckets && values + h.counts[next] <= max_group_nnz_)
                values += h.counts[next++];
            const Range group{h.start(bucket), std::min(h.start(next), columns.end)};
            bucket = next;
            if (values == 0) continue;
            if (values > max_group_nnz_ && group.size() > 1) {
                by_groups(x, group, rng, f);
                continue;
            }
            collect(x, group, rng);
            f();
        }
    }
    // Takes the group's values from the rows, moves the cursors behind them, and sorts them.
    void collect(const SparseBatch<T>& x, Range group, const RngPosition& rng);
    void sort(index_t columns);
    index_t column_of(index_t entry) const {
        return group_begin_ + static_cast<index_t>(keys_[entry] >> 32);
    }

    index_t max_group_nnz_ = 0, room_ = 0, entries_ = 0, group_begin_ = 0;
    Buffer<index_t> cursors_;          // by row: positions
    Buffer<uint64_t> first_, second_;  // keys: column and number, in the order of the rows
    const uint64_t* keys_ = nullptr;   // sorted: one of the two
    Buffer<int32_t> rows_, sorted_rows_;
    Buffer<T> values_, sorted_values_;
    RowBuffers<T> space_;
};

}  // namespace pynn
