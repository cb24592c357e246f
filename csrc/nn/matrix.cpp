#include "nn/matrix.h"

#include "nn/convert.h"
#include "nn/staging.h"

namespace pynn {
namespace {

template <class T>
constexpr DType native_dtype = sizeof(T) == 4 ? DType::f32 : DType::f64;

// The values of a row, in any layout.
template <class T, class Source>
void convert_sample(const Matrix& m, const char* row, T* out) {
    if (m.run == 0) return convert_row<T, Source>(row, m.column_stride, m.columns, out);
    for (index_t i = 0; i < m.axes[0]; ++i) {
        for (index_t j = 0; j < m.axes[1]; ++j) {
            for (index_t k = 0; k < m.axes[2]; ++k, out += m.run) {
                const char* const run =
                    row + i * m.axis_strides[0] + j * m.axis_strides[1] + k * m.axis_strides[2];
                convert_row<T, Source>(run, m.column_stride, m.run, out);
            }
        }
    }
}

}  // namespace

template <class T>
void gather(const Matrix& m, const int64_t* order, index_t first, index_t count, T* out) {
    if (m.run > 0) {
        dispatch_dtype(m.dtype, [&](auto zero) {
            using Source = decltype(zero);
            for (index_t i = 0; i < count; ++i) {
                const index_t row = order ? static_cast<index_t>(order[first + i]) : first + i;
                convert_sample<T, Source>(m, m.data + row * m.row_stride, out + i * m.columns);
            }
        });
        return;
    }
    if (!order && is_column_major(m)) return copy_rows(m, first, count, native_dtype<T>, out);
    dispatch_dtype(m.dtype, [=](auto zero) {
        using Source = decltype(zero);
        // (Copies: for all the compiler knows, a row that is written may lie in the closure.)
        const char* const data = m.data;
        const index_t row_stride = m.row_stride, column_stride = m.column_stride;
        const index_t columns = m.columns, rows = count;
        const int64_t* const named = order ? order + first : nullptr;
        T* to = out;
        for (index_t i = 0; i < rows; ++i, to += columns) {
            const index_t row = named ? static_cast<index_t>(named[i]) : first + i;
            convert_row<T, Source>(data + row * row_stride, column_stride, columns, to);
        }
    });
}

bool is_integer(DType type) {
    return type != DType::f16 && type != DType::f32 && type != DType::f64;
}

BadToken gather_tokens(const Matrix& m, const int64_t* order, index_t first, index_t count,
                       int64_t limit, int64_t* out) {
    BadToken bad;
    dispatch_dtype(m.dtype, [&](auto zero) {
        using Source = decltype(zero);
        if constexpr (std::is_integral_v<Source>) {
            for (index_t i = 0; i < count; ++i) {
                const index_t row = order ? static_cast<index_t>(order[first + i]) : first + i;
                int64_t* const to = out + i * m.columns;
                convert_sample<int64_t, Source>(m, m.data + row * m.row_stride, to);
                for (index_t j = 0; j < m.columns; ++j) {
                    if (to[j] >= 0 && to[j] < limit) continue;
                    if (bad.row < 0) bad = {row, j, to[j]};
                    to[j] = 0;
                }
            }
        }
    });
    return bad;
}

RowPrefetcher make_row_prefetcher(const Matrix& m, const Matrix& targets, const int64_t* order,
                                  index_t first, index_t count, double flops) {
    RowPrefetcher prefetcher{};
    prefetcher.rows = m.data;
    prefetcher.row_stride = m.row_stride;
    prefetcher.row_bytes = m.columns * item_size(m.dtype);
    prefetcher.targets = targets.data;
    prefetcher.target_stride = targets.row_stride;
    prefetcher.order = order;
    prefetcher.next = first;
    // (Rows that are not in one piece are left alone.)
    const bool in_pieces = m.run > 0 || m.column_stride != item_size(m.dtype);
    prefetcher.end = in_pieces ? first : first + count;
    const double lines = static_cast<double>(count * (prefetcher.row_bytes / 64 + 1));
    // (A little sooner than in time.)
    prefetcher.lines_per_fma = static_cast<float>(1.1 * lines / flops);
    return prefetcher;
}

template <class T>
const T* in_place(const Matrix& m, index_t first) {
    const index_t row = m.columns * static_cast<index_t>(sizeof(T));
    const bool contiguous =
        (m.column_stride == sizeof(T) || m.columns == 1) && (m.row_stride == row || m.rows == 1);
    if (m.dtype != native_dtype<T> || !contiguous || m.run > 0) return nullptr;
    return reinterpret_cast<const T*>(m.data + first * row);
}

template void gather(const Matrix&, const int64_t*, index_t, index_t, float*);
template void gather(const Matrix&, const int64_t*, index_t, index_t, double*);
template const float* in_place(const Matrix&, index_t);
template const double* in_place(const Matrix&, index_t);

}  // namespace pynn
