#include "nn/samples.h"

#include <cmath>
#include <cstring>
#include <type_traits>

namespace pynn {
namespace {

struct Half {
    uint16_t bits;
    explicit operator float() const {
        const int exponent = (bits >> 10) & 31, fraction = bits & 1023;
        const float sign = bits & 0x8000 ? -1.0f : 1.0f;
        if (exponent == 31) return fraction ? NAN : sign * INFINITY;
        if (exponent == 0) return sign * std::ldexp(static_cast<float>(fraction), -24);
        return sign * std::ldexp(static_cast<float>(fraction + 1024), exponent - 25);
    }
    explicit operator double() const { return static_cast<float>(*this); }
};

index_t item_size(DType t) {
    switch (t) {
        case DType::i8:
        case DType::u8:
            return 1;
        case DType::f16:
        case DType::i16:
        case DType::u16:
            return 2;
        case DType::f32:
        case DType::i32:
        case DType::u32:
            return 4;
        default:
            return 8;
    }
}

template <class T, class Source>
void convert_row(const char* row, index_t stride, index_t n, T* out) {
    if (stride == sizeof(Source)) {
        const Source* values = reinterpret_cast<const Source*>(row);
        if constexpr (std::is_same_v<T, Source>) {
            std::memcpy(out, values, static_cast<std::size_t>(n) * sizeof(T));
        } else {
            for (index_t j = 0; j < n; ++j) out[j] = static_cast<T>(values[j]);
        }
    } else {
        for (index_t j = 0; j < n; ++j) {
            out[j] = static_cast<T>(*reinterpret_cast<const Source*>(row + j * stride));
        }
    }
}

template <class T, class Source>
void convert(const Matrix& m, const int64_t* order, index_t first, index_t count, T* out) {
    for (index_t i = 0; i < count; ++i) {
        const index_t row = order ? static_cast<index_t>(order[first + i]) : first + i;
        convert_row<T, Source>(m.data + row * m.row_stride, m.column_stride, m.columns,
                               out + i * m.columns);
    }
}

}  // namespace

template <class T>
void gather(const Matrix& m, const int64_t* order, index_t first, index_t count, T* out) {
    switch (m.dtype) {
        case DType::f32:
            return convert<T, float>(m, order, first, count, out);
        case DType::f64:
            return convert<T, double>(m, order, first, count, out);
        case DType::f16:
            return convert<T, Half>(m, order, first, count, out);
        case DType::i8:
            return convert<T, int8_t>(m, order, first, count, out);
        case DType::u8:
            return convert<T, uint8_t>(m, order, first, count, out);
        case DType::i16:
            return convert<T, int16_t>(m, order, first, count, out);
        case DType::u16:
            return convert<T, uint16_t>(m, order, first, count, out);
        case DType::i32:
            return convert<T, int32_t>(m, order, first, count, out);
        case DType::u32:
            return convert<T, uint32_t>(m, order, first, count, out);
        case DType::i64:
            return convert<T, int64_t>(m, order, first, count, out);
        case DType::u64:
            return convert<T, uint64_t>(m, order, first, count, out);
    }
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
    constexpr DType own = sizeof(T) == 4 ? DType::f32 : DType::f64;
    const index_t row = m.columns * static_cast<index_t>(sizeof(T));
    const bool contiguous =
        (m.column_stride == sizeof(T) || m.columns == 1) && (m.row_stride == row || m.rows == 1);
    if (m.dtype != own || !contiguous) return nullptr;
    return reinterpret_cast<const T*>(m.data + first * row);
}

template void gather(const Matrix&, const int64_t*, index_t, index_t, float*);
template void gather(const Matrix&, const int64_t*, index_t, index_t, double*);
template const float* in_place(const Matrix&, index_t);
template const double* in_place(const Matrix&, index_t);

}  // namespace pynn
