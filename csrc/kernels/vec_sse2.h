// The x86-64 baseline, SSE2: 16 registers of 16 bytes, no fused multiply-add and no masks. It is
// there so that the package runs everywhere; its results agree with the others' within rounding.
#pragma once

#include "kernels/vec_x86.h"

#define PYNN_SET1_epi32 epi32
#define PYNN_SET1_epi64 epi64x

PYNN_ISA_BEGIN

constexpr bool has_fma = false;

template <class T>
struct Vec;
template <class T>
struct Bits;

PYNN_X86_VEC(float, _mm, ps, __m128, 4)
PYNN_X86_VEC(double, _mm, pd, __m128d, 2)
PYNN_X86_SQRT(float, _mm, ps)
PYNN_X86_SQRT(double, _mm, pd)
PYNN_X86_BITS(float, _mm, ps, __m128, __m128i, si128, epi32, int32_t)
PYNN_X86_BITS(double, _mm, pd, __m128d, __m128i, si128, epi64, int64_t)
PYNN_X86_MULTIPLY_HALVES(_mm)

template <class T>
PYNN_INLINE Vec<T> fma(Vec<T> a, Vec<T> b, Vec<T> c) {
    return a * b + c;
}
template <class T>
PYNN_INLINE Vec<T> fnma(Vec<T> a, Vec<T> b, Vec<T> c) {
    return c - a * b;
}

// The first n lanes, 0 <= n < width; nothing beyond them is read or written.
template <class T>
PYNN_INLINE Vec<T> load_n(const T* p, int n) {
    T lanes[Vec<T>::width] = {};
    for (int i = 0; i < n; ++i) lanes[i] = p[i];
    return load(lanes);
}
PYNN_INLINE void store_n(float* p, Vec<float> v, int n) {
    if (n & 4) {
        _mm_storeu_ps(p, v.r);
        return;
    }
    __m128 rest = v.r;
    if (n & 2) {
        // (Not _mm_storel_pd: its double would have to be aligned.)
        _mm_storel_epi64(reinterpret_cast<__m128i*>(p), _mm_castps_si128(rest));
        rest = _mm_movehl_ps(rest, rest);
        p += 2;
    }
    if (n & 1) _mm_store_ss(p, rest);
}
PYNN_INLINE void store_n(double* p, Vec<double> v, int n) {
    if (n & 2) {
        _mm_storeu_pd(p, v.r);
    } else if (n & 1) {
        _mm_store_sd(p, v.r);
    }
}
template <class T>
PYNN_INLINE Vec<T> blend_first(Vec<T> v, int n, Vec<T> rest) {
    T lanes[Vec<T>::width], others[Vec<T>::width];
    store(lanes, v);
    store(others, rest);
    for (int i = n; i < Vec<T>::width; ++i) lanes[i] = others[i];
    return load(lanes);
}

// a < b ? x : y
PYNN_INLINE Vec<float> select_less(Vec<float> a, Vec<float> b, Vec<float> x, Vec<float> y) {
    const __m128 mask = _mm_cmplt_ps(a.r, b.r);
    return {_mm_or_ps(_mm_and_ps(mask, x.r), _mm_andnot_ps(mask, y.r))};
}
PYNN_INLINE Vec<double> select_less(Vec<double> a, Vec<double> b, Vec<double> x, Vec<double> y) {
    const __m128d mask = _mm_cmplt_pd(a.r, b.r);
    return {_mm_or_pd(_mm_and_pd(mask, x.r), _mm_andnot_pd(mask, y.r))};
}

PYNN_X86_SQUARE

PYNN_X86_FOLD(sum, add)
PYNN_X86_FOLD(max, max)

template <class T>
PYNN_INLINE T fold_sum(Vec<T> v) {
    return fold_sum(v.r);
}
template <class T>
PYNN_INLINE T fold_max(Vec<T> v) {
    return fold_max(v.r);
}

template <class T>
PYNN_INLINE Vec<T> relu(Vec<T> v) {
    return max(set1(T(0)), v);
}

PYNN_ISA_END
