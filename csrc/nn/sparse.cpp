#include "nn/sparse.h"

#include <algorithm>
#include <limits>

#include "dispatch/dispatch.h"
#include "nn/key_sort.h"
#include "nn/layer.h"

namespace pynn {
namespace {

template <class Index>
const char* find_bad_columns(const Index* columns, Range positions, index_t count) {
    if (positions.size() == 0) return nullptr;
    Index faults = 0;  // (of the columns' own width: the loop fills vectors)
    for (index_t e = positions.begin + 1; e < positions.end; ++e) {
        faults |= columns[e - 1] < columns[e] ? 0 : 1;
    }
    if (faults) return "X has a row whose column indices do not increase";
    if (columns[positions.begin] < 0 || columns[positions.end - 1] >= count) {
        return "X has a column index that is out of range";
    }
    return nullptr;
}

template <class Index>
index_t find_column(const Index* columns, Range positions, index_t column) {
    return std::lower_bound(columns + positions.begin, columns + positions.end, column) - columns;
}

// Calls f with the column indices in their type.
template <class F>
auto with_columns(const CsrMatrix& m, F f) {
    return m.int64_columns ? f(static_cast<const int64_t*>(m.column))
                           : f(static_cast<const int32_t*>(m.column));
}

// Copies n columns; false: one of the copies is not in `range`.
template <class Index>
bool copy_columns(const Index* columns, index_t n, Range range, int32_t* copies) {
    const Index begin = static_cast<Index>(range.begin), end = static_cast<Index>(range.end);
    Index faults = 0;  // (of the columns' own width: the loop fills vectors)
    for (index_t e = 0; e < n; ++e) {
        const Index column = columns[e];
        copies[e] = static_cast<int32_t>(column);
        faults |= (column < begin ? 1 : 0) | (column >= end ? 1 : 0);
    }
    return faults == 0;
}

}  // namespace

const char* csr_error(const CsrMatrix& m, const int64_t* order, index_t count, index_t& row) {
    constexpr index_t most = std::numeric_limits<int32_t>::max();
    row = -1;
    if (m.columns > most || m.rows > most) return "a sparse X may have at most 2**31 - 1 columns";
    for (index_t i = 0; i < count; ++i) {
        row = order ? static_cast<index_t>(order[i]) : i;
        const Range positions{m.start(row), m.start(row + 1)};
        if (positions.begin < 0 || positions.size() < 0 || positions.end > m.nnz) {
            return "the row pointers of X do not fit its stored values";
        }
        const char* const fault = with_columns(
            m, [&](auto columns) { return find_bad_columns(columns, positions, m.columns); });
        if (fault) return fault;
    }
    return nullptr;
}

template <class T>
Range SparseBatch<T>::take(index_t i, RowBuffers<T>& space) const {
    const index_t at = row(i);
    Range positions{x->start(at), x->start(at + 1)};
    if (positions.begin < 0 || positions.size() < 0 || positions.end > x->nnz ||
        positions.size() > space.room) {
        space.bad_row = at;
        positions = {0, 0};
    }
    if (taken) taken[i] = positions;
    return positions;
}

template <class T>
SparseRow<T> SparseBatch<T>::read(index_t i, Range own, Range range, const RngPosition& rng,
                                  RowBuffers<T>& space, bool* finite) const {
    constexpr DType native_dtype = sizeof(T) == 4 ? DType::f32 : DType::f64;
    const index_t n = own.size();
    int32_t* const copies = space.columns.data();
    SparseRow<T> row{n, copies, reinterpret_cast<const T*>(x->values) + own.begin};
    const bool fits = n <= space.room && with_columns(*x, [=](auto columns) {
                          return copy_columns(columns + own.begin, n, range, copies);
                      });
    if (!fits) {
        space.bad_row = this->row(i);
        row.count = 0;
        return row;
    }
    if (x->dtype != native_dtype) {
        Matrix stored;
        stored.data = x->values + own.begin * x->value_bytes;
        stored.dtype = x->dtype;
        stored.rows = 1;
        stored.columns = n;
        stored.column_stride = x->value_bytes;
        gather(stored, nullptr, 0, 1, space.raw.data());
        row.values = space.raw.data();
    }
    if (finite && !kernels<T>().all_finite(row.values, n)) *finite = false;
    if (before) {
        before->forward_sparse_row(row, i, x->columns, rng, space.values.data());
        row.values = space.values.data();
    }
    return row;
}

template <class T>
index_t SparseBatch<T>::nnz() const {
    index_t total = 0;
    for (index_t i = 0; i < rows; ++i) total += positions(i).size();
    return total;
}

index_t max_row_nnz(const CsrMatrix& m) {
    index_t most = 0;
    for (index_t row = 0; row < m.rows; ++row) {
        most = std::max(most, m.start(row + 1) - m.start(row));
    }
    return std::min({most, m.columns, m.nnz});
}

index_t max_batch_nnz(const CsrMatrix& m, const int64_t* order, index_t count, index_t size) {
    index_t most = 0;
    for (index_t first = 0; first < count; first += size) {
        index_t stored = 0;
        for (index_t i = first; i < std::min(first + size, count); ++i) {
            const index_t row = order ? static_cast<index_t>(order[i]) : i;
            stored += m.start(row + 1) - m.start(row);
        }
        most = std::max(most, stored);
    }
    return most;
}

template <class T>
ColumnReader<T>::Histogram::Histogram(Range columns) : begin(columns.begin), shift(0) {
    while ((columns.size() - 1) >> shift >= buckets) ++shift;
    std::fill(counts, counts + buckets, index_t(0));
}

template <class T>
void ColumnReader<T>::reserve(index_t rows, index_t stored, index_t longest_row, int threads) {
    // A group has a few megabytes, or a small part of a mini-batch that has many.
    constexpr index_t few = 1 << 18;
    constexpr index_t parts = 32;
    max_group_nnz_ = std::max<index_t>({few, stored / (parts * threads), rows});
    const index_t room = room_ = std::clamp<index_t>(stored, 0, max_group_nnz_);
    cursors_.reserve(rows);
    first_.reserve(room);
    second_.reserve(room);
    rows_.reserve(room);
    sorted_rows_.reserve(room);
    values_.reserve(room);
    sorted_values_.reserve(room);
    space_.reserve(longest_row);
}

template <class T>
index_t ColumnReader<T>::find(const SparseBatch<T>& x, index_t i, index_t column) {
    const Range positions = x.positions(i);
    return with_columns(*x.x,
                        [=](auto columns) { return find_column(columns, positions, column); });
}

template <class T>
void ColumnReader<T>::count(const SparseBatch<T>& x, Range own, Histogram& h) {
    with_columns(*x.x, [&](auto columns) {
        for (index_t i = 0; i < x.rows; ++i) {
            const index_t end = x.positions(i).end;
            for (index_t e = cursors_.data()[i]; e < end; ++e) {
                const index_t column = static_cast<index_t>(columns[e]);
                if (column >= own.end) break;
                if (column < h.begin) {
                    space_.bad_row = x.row(i);
                    break;
                }
                ++h.counts[(column - h.begin) >> h.shift];
            }
        }
    });
}

template <class T>
Range ColumnReader<T>::divide(const SparseBatch<T>& x, double column_cost, int index, int threads) {
    const Range all{0, x.x->columns};
    if (threads == 1) return all;
    // (A part of the rows will do.)
    constexpr index_t enough = 64;
    const index_t step = std::max<index_t>(1, x.rows / enough);
    for (index_t i = 0; i < x.rows; ++i) {
        const Range positions = x.positions(i);
        cursors_.data()[i] = i % step == 0 ? positions.begin : positions.end;
    }
    Histogram h(all);
    count(x, all, h);
    const auto cost = [&](int bucket) {
        const index_t width = std::min(h.start(bucket + 1), all.end) - h.start(bucket);
        return static_cast<double>(h.counts[bucket] * step) +
               column_cost * static_cast<double>(width);
    };
    const int used = static_cast<int>((all.end - 1) >> h.shift) + 1;
    double total = 0;
    for (int bucket = 0; bucket < used; ++bucket) total += cost(bucket);
    // (The same sums on every thread, so the parts meet.)
    const auto boundary = [&](int part) {
        const double wanted = total * part / threads;
        double sum = 0;
        int bucket = 0;
        while (bucket < used && sum + cost(bucket) / 2 < wanted) sum += cost(bucket++);
        return std::min(h.start(bucket), all.end);
    };
    return {index == 0 ? 0 : boundary(index), index == threads - 1 ? all.end : boundary(index + 1)};
}

template <class T>
void ColumnReader<T>::collect(const SparseBatch<T>& x, Range group, const RngPosition& rng) {
    group_begin_ = group.begin;
    index_t n = 0;
    each_row(x, {0, x.rows}, group, rng, [&](index_t i, const SparseRow<T>& row) {
        if (row.count > room_ - n) {
            space_.bad_row = x.row(i);
            return;
        }
        for (index_t e = 0; e < row.count; ++e, ++n) {
            const uint64_t column = static_cast<uint64_t>(row.columns[e] - group.begin);
            first_.data()[n] = column << 32 | static_cast<uint64_t>(n);
            rows_.data()[n] = static_cast<int32_t>(i);
            values_.data()[n] = row.values[e];
        }
    });
    entries_ = n;
    sort(group.size());
    for (index_t e = 0; e < n; ++e) {
        const std::size_t from = keys_[e] & 0xffffffff;
        sorted_rows_.data()[e] = rows_.data()[from];
        sorted_values_.data()[e] = values_.data()[from];
    }
}

// By the columns, which keeps the order of the rows.
template <class T>
void ColumnReader<T>::sort(index_t columns) {
    keys_ = sort_keys(first_.data(), second_.data(), entries_, columns);
}

template struct SparseBatch<float>;
template struct SparseBatch<double>;
template class ColumnReader<float>;
template class ColumnReader<double>;

}  // namespace pynn
