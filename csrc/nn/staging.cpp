#include "nn/staging.h"

#include <algorithm>
#include <cstdlib>

#if defined(__linux__)
#include <sys/mman.h>
#endif

#include "dispatch/dispatch.h"
#include "nn/convert.h"
#include "threads/team.h"

namespace pynn {
namespace {

constexpr index_t line = 64;

// This many columns fill a cache line of the copy.
template <class T>
constexpr index_t tile_columns = line / static_cast<index_t>(sizeof(T));

void prefetch(const char* address) {
#if defined(__GNUC__)
    __builtin_prefetch(address);
#else
    static_cast<void>(address);
#endif
}

// to[i * to_row + j] = from[i + j * column] for 4 and 8 bytes, of whatever type.
template <class T>
void transpose(const T* from, index_t column, index_t rows, index_t columns, T* to,
               index_t to_row) {
    if constexpr (sizeof(T) == 4) {
        kernels<float>().copy(reinterpret_cast<const float*>(from), 1, column, rows, columns,
                              reinterpret_cast<float*>(to), to_row);
    } else if constexpr (sizeof(T) == 8) {
        kernels<double>().copy(reinterpret_cast<const double*>(from), 1, column, rows, columns,
                               reinterpret_cast<double*>(to), to_row);
    } else {
        for (index_t i = 0; i < rows; ++i) {
            for (index_t j = 0; j < columns; ++j) to[i * to_row + j] = from[i + j * column];
        }
    }
}

template <class T, class Source>
void copy_tile(const Matrix& m, index_t first, index_t count, index_t j, index_t columns, T* out) {
    constexpr index_t tile_rows = 64;
    T tile[tile_columns<T> * tile_rows];
    const index_t next = std::min(columns, m.columns - j - columns);  // columns to prefetch
    for (index_t i = 0; i < count; i += tile_rows) {
        const index_t rows = std::min(tile_rows, count - i);
        const char* const from = m.data + (first + i) * m.row_stride + j * m.column_stride;
        for (index_t c = 0; c < columns; ++c) {
            const char* const column = from + c * m.column_stride;
            convert_row<T, Source>(column, m.row_stride, rows, tile + c * tile_rows);
            if (c >= next) continue;
            const char* const later = column + columns * m.column_stride;
            const index_t bytes = rows * m.row_stride;
            for (index_t b = 0; b < bytes; b += line) prefetch(later + b);
        }
        transpose(tile, tile_rows, rows, columns, out + i * m.columns + j, m.columns);
    }
}

// Lines that the next tile reads: `columns` pieces of columns.
struct NextTile {
    const char* from;
    index_t column_stride, columns, bytes;
    index_t column = 0, at = 0;

    void prefetch_some(index_t lines) {
        for (; lines > 0 && column < columns; --lines) {
            prefetch(from + column * column_stride + at);
            at += line;
            if (at < bytes) continue;
            at = 0;
            ++column;
        }
    }
};

template <class T, class Source, index_t columns>
void move_tile(const char* from, index_t row_stride, index_t column_stride, const RowMove* moves,
               index_t count, T* to, index_t to_row, NextTile next) {
    const index_t lines = (next.columns * (next.bytes / line + 1) + count - 1) / count;
    for (index_t i = 0; i < count; ++i) {
        const char* const source = from + moves[i].from * row_stride;
        T* const target = to + moves[i].to * to_row;
        next.prefetch_some(lines);
        for (index_t j = 0; j < columns; ++j) {
            target[j] = converted<T>(*reinterpret_cast<const Source*>(source + j * column_stride));
        }
    }
}

constexpr int group_shift = 8;

// The group's rows are [first, first + rows) of m; `rows` more follow them.
template <class T, class Source>
void move_group(const Matrix& m, index_t first, index_t rows, const RowMove* moves, index_t count,
                T* out) {
    if (count == 0) return;
    constexpr index_t most = std::min<index_t>(16, tile_columns<T>);
    index_t j = 0;
    const auto move = [&](auto columns) {
        constexpr index_t n = decltype(columns)::value;
        for (; j + n <= m.columns; j += n) {
            const bool last = j + n == m.columns;  // then the next group's first tile follows
            const index_t next = last ? std::min(most, m.columns) : std::min(n, m.columns - j - n);
            index_t from = last ? std::min(first + rows, m.rows - rows) : first;
            if (m.row_stride < 0) from += rows - 1;
            const NextTile tile{m.data + from * m.row_stride + (last ? 0 : j + n) * m.column_stride,
                                m.column_stride, next,
                                rows * std::min(std::abs(m.row_stride), line)};
            move_tile<T, Source, n>(m.data + j * m.column_stride, m.row_stride, m.column_stride,
                                    moves, count, out + j, m.columns, tile);
        }
    };
    move(std::integral_constant<index_t, most>());
    move(std::integral_constant<index_t, 4>());
    move(std::integral_constant<index_t, 1>());
}

// Calls f with a value of the type that is written and one of the type that is read.
template <class F>
void with_types(DType from, DType to, F f) {
    if (from == to) {  // whatever the bits mean
        switch (item_size(from)) {
            case 1:
                return f(uint8_t(), uint8_t());
            case 2:
                return f(uint16_t(), uint16_t());
            case 4:
                return f(uint32_t(), uint32_t());
            default:
                return f(uint64_t(), uint64_t());
        }
    }
    dispatch_dtype(from, [&](auto source) {
        return to == DType::f32 ? f(float(), source) : f(double(), source);
    });
}

}  // namespace

bool is_column_major(const Matrix& m) {
    // (Few rows, whose columns are less than a line apart, share all their lines.)
    return m.columns > 1 && m.run == 0 && std::abs(m.column_stride) >= line &&
           std::abs(m.row_stride) < std::abs(m.column_stride) && m.row_stride != 0 &&
           m.rows <= max_staged_rows;
}

template <class T>
DType staging_dtype(const Matrix& m) {
    if (item_size(m.dtype) < static_cast<index_t>(sizeof(T))) return m.dtype;
    return sizeof(T) == 4 ? DType::f32 : DType::f64;
}
template DType staging_dtype<float>(const Matrix&);
template DType staging_dtype<double>(const Matrix&);

index_t item_size(DType type) {
    return dispatch_dtype(type, [](auto zero) { return static_cast<index_t>(sizeof(zero)); });
}

void copy_rows(const Matrix& m, index_t first, index_t count, DType type, void* out) {
    with_types(m.dtype, type, [&](auto to, auto from) {
        using T = decltype(to);
        using Source = decltype(from);
        for (index_t j = 0; j < m.columns; j += tile_columns<T>) {
            copy_tile<T, Source>(m, first, count, j, std::min(tile_columns<T>, m.columns - j),
                                 static_cast<T*>(out));
        }
    });
}

index_t row_groups(const Matrix& m) { return (m.rows >> group_shift) + 1; }

void sort_rows(const Matrix& m, const int64_t* order, index_t first, index_t count, RowMove* moves,
               uint32_t* starts) {
    const index_t groups = row_groups(m);
    const auto row = [&](index_t i) { return order ? order[first + i] : first + i; };
    std::fill(starts, starts + groups + 1, 0);
    for (index_t i = 0; i < count; ++i) ++starts[row(i) >> group_shift];
    uint32_t total = 0;
    for (index_t g = 0; g <= groups; ++g) starts[g] = total += starts[g];
    // Each group is filled from its end.
    for (index_t i = count; i-- > 0;) {
        moves[--starts[row(i) >> group_shift]] = {static_cast<uint32_t>(row(i)),
                                                  static_cast<uint32_t>(i)};
    }
}

void move_rows(const Matrix& m, const RowMove* moves, const uint32_t* starts, index_t begin,
               index_t end, DType type, void* out) {
    with_types(m.dtype, type, [&](auto to, auto from) {
        using T = decltype(to);
        using Source = decltype(from);
        for (index_t g = begin; g < end; ++g) {
            const index_t first = g << group_shift;
            const index_t rows = std::min(index_t{1} << group_shift, m.rows - first);
            move_group<T, Source>(m, first, rows, moves + starts[g], starts[g + 1] - starts[g],
                                  static_cast<T*>(out));
        }
    });
}

namespace {

// Pages of 2 MB, where the system gives them: the first use of 64 MB in pages of 4 KB takes longer
// than copying the rows.
void advise_huge_pages(char* memory, index_t bytes) {
#if defined(__linux__) && defined(MADV_HUGEPAGE)
    constexpr uintptr_t page = 4096;
    const uintptr_t begin = (reinterpret_cast<uintptr_t>(memory) + page - 1) / page * page;
    const uintptr_t end =
        (reinterpret_cast<uintptr_t>(memory) + static_cast<uintptr_t>(bytes)) / page * page;
    if (bytes >= index_t{4} << 20)
        madvise(reinterpret_cast<void*>(begin), end - begin, MADV_HUGEPAGE);
#else
    static_cast<void>(memory);
    static_cast<void>(bytes);
#endif
}

}  // namespace

void StagingBuffer::reserve(StagedCopy& copy, const Matrix& from, DType type) {
    copy.from = &from;
    copy.rows = from;
    copy.rows.dtype = type;
    copy.rows.rows = chunk_rows_;
    copy.rows.column_stride = item_size(type);
    copy.rows.row_stride = from.columns * copy.rows.column_stride;
    const index_t bytes = chunk_rows_ * copy.rows.row_stride;
    char* const memory = copy.memory.reserve(bytes);
    advise_huge_pages(memory, bytes);
    copy.rows.data = memory;
}

void StagingBuffer::begin(const Matrix& x, DType x_type, const Matrix& targets, DType target_type,
                          index_t batch, index_t count, bool ordered) {
    const bool x_staged = is_column_major(x), targets_staged = is_column_major(targets);
    if (!x_staged && !targets_staged) return;
    index_t row_bytes = ordered ? index_t{sizeof(RowMove)} : 0;
    if (x_staged) row_bytes += x.columns * item_size(x_type);
    if (targets_staged) row_bytes += targets.columns * item_size(target_type);
    // Rows in their own order share no lines with those of later runs: the L2 cache will do.
    constexpr index_t near = index_t{512} << 10;
    const index_t most = std::max((ordered ? staging_bytes : near) / row_bytes, batch);
    const index_t runs = (count + most - 1) / most, batches = (count + batch - 1) / batch;
    chunk_rows_ = std::min(count, (batches + runs - 1) / runs * batch);
    count_ = count;
    if (x_staged) reserve(x_, x, x_type);
    if (targets_staged) reserve(targets_, targets, target_type);
    if (ordered) {
        moves_.reserve(chunk_rows_);
        starts_.reserve(row_groups(x) + 1);
    }
}

void StagingBuffer::sort(const int64_t* order, index_t first) {
    if (!order) return;
    sort_rows(x_.from ? *x_.from : *targets_.from, order, first, chunk_rows_at(first),
              moves_.data(), starts_.data());
}

void StagingBuffer::fill(const int64_t* order, index_t first, int index, int count) {
    for (StagedCopy* const copy : {&x_, &targets_}) {
        if (!copy->from) continue;
        const Matrix& m = *copy->from;
        char* const to = copy->memory.data();
        if (order) {
            const Range own = partition(row_groups(m), index, count);
            move_rows(m, moves_.data(), starts_.data(), own.begin, own.end, copy->rows.dtype, to);
        } else {
            const Range own = partition(chunk_rows_at(first), index, count, 16);
            copy_rows(m, first + own.begin, own.size(), copy->rows.dtype,
                      to + own.begin * copy->rows.row_stride);
        }
    }
}

void StagingBuffer::mark_filled(const int64_t* order, index_t first) {
    order_ = order;
    first_ = first;
    valid_rows_ = chunk_rows_at(first);
}

}  // namespace pynn
