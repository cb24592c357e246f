// Values of the caller's types, converted to a network's.
#pragma once

#include <cmath>
#include <cstring>
#include <type_traits>

#include "nn/matrix.h"

namespace pynn {

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

// Calls f with a value of the type.
template <class F>
auto dispatch_dtype(DType t, F f) {
    switch (t) {
        case DType::f32:
            return f(float());
        case DType::f64:
            return f(double());
        case DType::f16:
            return f(Half());
        case DType::i8:
            return f(int8_t());
        case DType::u8:
            return f(uint8_t());
        case DType::i16:
            return f(int16_t());
        case DType::u16:
            return f(uint16_t());
        case DType::i32:
            return f(int32_t());
        case DType::u32:
            return f(uint32_t());
        case DType::i64:
            return f(int64_t());
        case DType::u64:
            break;
    }
    return f(uint64_t());
}

template <class T, class Source>
T converted(Source value) {
    if constexpr (std::is_same_v<T, Source>) {
        return value;
    } else {
        return static_cast<T>(value);
    }
}

// n values of a row or a column, `stride` bytes apart.
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
            out[j] = converted<T>(*reinterpret_cast<const Source*>(row + j * stride));
        }
    }
}

}  // namespace pynn
