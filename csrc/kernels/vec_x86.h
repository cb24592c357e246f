// What the three x86 vector headers have in common: the intrinsics whose names differ by prefix
// (_mm, _mm256, _mm512) and suffix (ps, pd) only.
#pragma once

#include <immintrin.h>

// clang-format off
#define PYNN_X86_VEC(T, P, S, REG, WIDTH)                                                       \
    template <> struct Vec<T> {                                                                 \
        REG r;                                                                                  \
        static constexpr int width = WIDTH;                                                     \
    };                                                                                          \
    PYNN_INLINE Vec<T> load(const T* p) { return {P##_loadu_##S(p)}; }                          \
    PYNN_INLINE void store(T* p, Vec<T> v) { P##_storeu_##S(p, v.r); }                          \
    PYNN_INLINE Vec<T> set1(T x) { return {P##_set1_##S(x)}; }                                  \
    PYNN_INLINE Vec<T> operator+(Vec<T> a, Vec<T> b) { return {P##_add_##S(a.r, b.r)}; }        \
    PYNN_INLINE Vec<T> operator-(Vec<T> a, Vec<T> b) { return {P##_sub_##S(a.r, b.r)}; }        \
    PYNN_INLINE Vec<T> operator*(Vec<T> a, Vec<T> b) { return {P##_mul_##S(a.r, b.r)}; }        \
    PYNN_INLINE Vec<T> operator/(Vec<T> a, Vec<T> b) { return {P##_div_##S(a.r, b.r)}; }        \
    /* The second operand where either is NaN or both are zero: the caller's order matters. */  \
    PYNN_INLINE Vec<T> max(Vec<T> a, Vec<T> b) { return {P##_max_##S(a.r, b.r)}; }              \
    PYNN_INLINE Vec<T> min(Vec<T> a, Vec<T> b) { return {P##_min_##S(a.r, b.r)}; }

#define PYNN_X86_FMA(T, P, S)                                                                   \
    PYNN_INLINE Vec<T> fma(Vec<T> a, Vec<T> b, Vec<T> c) {                                      \
        return {P##_fmadd_##S(a.r, b.r, c.r)};                                                  \
    }                                                                                           \
    PYNN_INLINE Vec<T> fnma(Vec<T> a, Vec<T> b, Vec<T> c) {                                     \
        return {P##_fnmadd_##S(a.r, b.r, c.r)};                                                 \
    }

// The bits of a vector as unsigned integers of the scalar's size.
#define PYNN_X86_BITS(T, P, S, REG, INT, CAST, E, Q)                                            \
    template <> struct Bits<T> { INT r; };                                                      \
    PYNN_INLINE Bits<T> bits(Vec<T> v) { return {P##_cast##S##_##CAST(v.r)}; }                  \
    PYNN_INLINE Vec<T> from_bits(Bits<T> b) { return {P##_cast##CAST##_##S(b.r)}; }             \
    PYNN_INLINE Bits<T> operator+(Bits<T> a, Bits<T> b) { return {P##_add_##E(a.r, b.r)}; }     \
    PYNN_INLINE Bits<T> operator&(Bits<T> a, Bits<T> b) { return {P##_and_##CAST(a.r, b.r)}; }  \
    PYNN_INLINE Bits<T> operator|(Bits<T> a, Bits<T> b) { return {P##_or_##CAST(a.r, b.r)}; }   \
    template <int N> PYNN_INLINE Bits<T> shift_left(Bits<T> b) { return {P##_slli_##E(b.r, N)}; } \
    template <int N> PYNN_INLINE Bits<T> shift_right(Bits<T> b) { return {P##_srli_##E(b.r, N)}; } \
    PYNN_INLINE Bits<T> set_bits(T, Q x) { return {PYNN_PASTE(P##_set1_, PYNN_SET1_##E)(x)}; }
// clang-format on
