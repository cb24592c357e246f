// The baseline of machines that have no vector header here: one lane, plain C++.
#pragma once

#include <string.h>

PYNN_ISA_BEGIN

constexpr bool has_fma = false;

template <class T>
struct Vec {
    T r;
    static constexpr int width = 1;
};
template <class T>
struct Bits;
template <>
struct Bits<float> {
    uint32_t r;
};
template <>
struct Bits<double> {
    uint64_t r;
};

template <class T>
PYNN_INLINE Vec<T> load(const T* p) {
    return {*p};
}
template <class T>
PYNN_INLINE void store(T* p, Vec<T> v) {
    *p = v.r;
}
PYNN_INLINE Vec<float> set1(float x) { return {x}; }
PYNN_INLINE Vec<double> set1(double x) { return {x}; }
template <class T>
PYNN_INLINE Vec<T> operator+(Vec<T> a, Vec<T> b) {
    return {a.r + b.r};
}
template <class T>
PYNN_INLINE Vec<T> operator-(Vec<T> a, Vec<T> b) {
    return {a.r - b.r};
}
template <class T>
PYNN_INLINE Vec<T> operator*(Vec<T> a, Vec<T> b) {
    return {a.r * b.r};
}
template <class T>
PYNN_INLINE Vec<T> operator/(Vec<T> a, Vec<T> b) {
    return {a.r / b.r};
}
PYNN_INLINE Vec<float> sqrt(Vec<float> v) { return {__builtin_sqrtf(v.r)}; }
PYNN_INLINE Vec<double> sqrt(Vec<double> v) { return {__builtin_sqrt(v.r)}; }
template <class T>
PYNN_INLINE Vec<T> max(Vec<T> a, Vec<T> b) {
    return {a.r > b.r ? a.r : b.r};
}
template <class T>
PYNN_INLINE Vec<T> min(Vec<T> a, Vec<T> b) {
    return {a.r < b.r ? a.r : b.r};
}
template <class T>
PYNN_INLINE Vec<T> fma(Vec<T> a, Vec<T> b, Vec<T> c) {
    return a * b + c;
}
template <class T>
PYNN_INLINE Vec<T> fnma(Vec<T> a, Vec<T> b, Vec<T> c) {
    return c - a * b;
}
template <class T>
PYNN_INLINE Vec<T> select_less(Vec<T> a, Vec<T> b, Vec<T> x, Vec<T> y) {
    return a.r < b.r ? x : y;
}
template <class T>
PYNN_INLINE Bits<T> bits(Vec<T> v) {
    Bits<T> b;
    memcpy(&b.r, &v.r, sizeof(T));
    return b;
}
PYNN_INLINE Vec<float> from_bits(Bits<float> b) {
    Vec<float> v;
    memcpy(&v.r, &b.r, sizeof(float));
    return v;
}
PYNN_INLINE Vec<double> from_bits(Bits<double> b) {
    Vec<double> v;
    memcpy(&v.r, &b.r, sizeof(double));
    return v;
}
template <class T>
PYNN_INLINE Bits<T> operator+(Bits<T> a, Bits<T> b) {
    return {a.r + b.r};
}
template <class T>
PYNN_INLINE Bits<T> operator&(Bits<T> a, Bits<T> b) {
    return {a.r & b.r};
}
template <class T>
PYNN_INLINE Bits<T> operator|(Bits<T> a, Bits<T> b) {
    return {a.r | b.r};
}
template <class T>
PYNN_INLINE Bits<T> operator^(Bits<T> a, Bits<T> b) {
    return {a.r ^ b.r};
}
// The products of the lower halves of 64-bit lanes.
PYNN_INLINE Bits<double> multiply_halves(Bits<double> a, Bits<double> b) {
    return {(a.r & 0xffffffffu) * (b.r & 0xffffffffu)};
}
template <int N, class T>
PYNN_INLINE Bits<T> shift_left(Bits<T> b) {
    return {b.r << N};
}
template <int N, class T>
PYNN_INLINE Bits<T> shift_right(Bits<T> b) {
    return {b.r >> N};
}
PYNN_INLINE Bits<float> set_bits(float, int32_t x) { return {static_cast<uint32_t>(x)}; }
PYNN_INLINE Bits<double> set_bits(double, int64_t x) { return {static_cast<uint64_t>(x)}; }

template <class T>
PYNN_INLINE Vec<T> load_n(const T* p, int n) {
    return {n > 0 ? *p : T(0)};
}
template <class T>
PYNN_INLINE void store_n(T* p, Vec<T> v, int n) {
    if (n > 0) *p = v.r;
}
template <class T>
PYNN_INLINE Vec<T> blend_first(Vec<T> v, int n, Vec<T> rest) {
    return n > 0 ? v : rest;
}
template <class T>
PYNN_INLINE T fold_sum(Vec<T> v) {
    return v.r;
}
template <class T>
PYNN_INLINE T fold_max(Vec<T> v) {
    return v.r;
}

template <class T>
struct Square {
    static constexpr int size = 1;
    T r[1];
};
template <class T>
PYNN_INLINE Square<T> load_transposed(const T* from, index_t) {
    return {{*from}};
}
PYNN_INLINE void store(float* p, float v) { *p = v; }
PYNN_INLINE void store(double* p, double v) { *p = v; }
PYNN_INLINE float load_square(const float* p) { return *p; }
PYNN_INLINE double load_square(const double* p) { return *p; }
PYNN_INLINE float fma(float a, float b, float c) { return a * b + c; }
PYNN_INLINE double fma(double a, double b, double c) { return a * b + c; }

template <class T>
PYNN_INLINE Vec<T> relu(Vec<T> v) {
    return max(set1(T(0)), v);
}

PYNN_ISA_END
