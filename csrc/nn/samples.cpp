#include "nn/samples.h"

#include "nn/columns.h"
#include "nn/convert.h"

namespace pynn {
namespace {

template <class T>
constexpr DType own_type = sizeof(T) == 4 ? DType::f32 : DType::f64;

}  // namespace

template <class T>
void gather(const Matrix& m, const int64_t* order, index_t first, index_t count, T* out) {
    if (!order && is_column_major(m)) return copy_rows(m, first, count, own_type<T>, out);
    with_source(m.dtype, [=](auto zero) {
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

Ahead ask_ahead(const Matrix& m, const Matrix& beside, const int64_t* order, index_t first,
                index_t count, double operations) {
    Ahead ahead{};
    ahead.rows = m.data;
    ahead.row_stride = m.row_stride;
    ahead.row_bytes = m.columns * item_size(m.dtype);
    ahead.beside = beside.data;
    ahead.beside_stride = beside.row_stride;
    ahead.order = order;
    ahead.next = first;
    // (Rows that are not in one piece are left alone.)
    const bool in_pieces = m.column_stride != item_size(m.dtype);
    ahead.end = in_pieces ? first : first + count;
    const double lines = static_cast<double>(count * (ahead.row_bytes / 64 + 1));
    // (A little sooner than in time.)
    ahead.lines_per_operation = static_cast<float>(1.1 * lines / operations);
    return ahead;
}

template <class T>
const T* in_place(const Matrix& m, index_t first) {
    const index_t row = m.columns * static_cast<index_t>(sizeof(T));
    const bool contiguous =
        (m.column_stride == sizeof(T) || m.columns == 1) && (m.row_stride == row || m.rows == 1);
    if (m.dtype != own_type<T> || !contiguous) return nullptr;
    return reinterpret_cast<const T*>(m.data + first * row);
}

template void gather(const Matrix&, const int64_t*, index_t, index_t, float*);
template void gather(const Matrix&, const int64_t*, index_t, index_t, double*);
template const float* in_place(const Matrix&, index_t);
template const double* in_place(const Matrix&, index_t);

}  // namespace pynn
