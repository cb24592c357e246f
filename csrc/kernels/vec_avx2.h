// AVX2 and FMA: 16 registers of 32 bytes, masks are vectors.
#pragma once

#include "kernels/vec_x86.h"

#define PYNN_SET1_epi32 epi32
#define PYNN_SET1_epi64 epi64x

PYNN_ISA_BEGIN

constexpr bool has_fma = true;

template <class T>
struct Vec;
template <class T>
struct Bits;

PYNN_X86_VEC(float, _mm256, ps, __m256, 8)
PYNN_X86_VEC(double, _mm256, pd, __m256d, 4)
PYNN_X86_FMA(float, _mm256, ps)
PYNN_X86_FMA(double, _mm256, pd)
PYNN_X86_SQRT(float, _mm256, ps)
PYNN_X86_SQRT(double, _mm256, pd)
PYNN_X86_BITS(float, _mm256, ps, __m256, __m256i, si256, epi32, int32_t)
PYNN_X86_BITS(double, _mm256, pd, __m256d, __m256i, si256, epi64, int64_t)
PYNN_X86_MULTIPLY_HALVES(_mm256)

// A window into these is a mask of the first n lanes.
alignas(64) constexpr int32_t mask_window[16] = {-1, -1, -1, -1, -1, -1, -1, -1,
                                                 0,  0,  0,  0,  0,  0,  0,  0};

PYNN_INLINE __m256i first_mask(float, int n) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(mask_window + 8 - n));
}
PYNN_INLINE __m256i first_mask(double, int n) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(mask_window + 8 - 2 * n));
}

// The first n lanes, 0 <= n < width; nothing beyond them is read or written.
PYNN_INLINE Vec<float> load_n(const float* p, int n) {
    return {_mm256_maskload_ps(p, first_mask(0.0f, n))};
}
PYNN_INLINE Vec<double> load_n(const double* p, int n) {
    return {_mm256_maskload_pd(p, first_mask(0.0, n))};
}
// vmaskmov's store takes dozens of micro-operations on AMD: in halves it is cheaper.
PYNN_INLINE void store_n(float* p, Vec<float> v, int n) {
    __m128 rest = _mm256_castps256_ps128(v.r);
    if (n & 4) {
        _mm_storeu_ps(p, rest);
        rest = _mm256_extractf128_ps(v.r, 1);
        p += 4;
    }
    if (n & 2) {
        // (Not _mm_storel_pd: its double would have to be aligned.)
        _mm_storel_epi64(reinterpret_cast<__m128i*>(p), _mm_castps_si128(rest));
        rest = _mm_movehl_ps(rest, rest);
        p += 2;
    }
    if (n & 1) _mm_store_ss(p, rest);
}
PYNN_INLINE void store_n(double* p, Vec<double> v, int n) {
    __m128d rest = _mm256_castpd256_pd128(v.r);
    if (n & 2) {
        _mm_storeu_pd(p, rest);
        rest = _mm256_extractf128_pd(v.r, 1);
        p += 2;
    }
    if (n & 1) _mm_store_sd(p, rest);
}
PYNN_INLINE Vec<float> blend_first(Vec<float> v, int n, Vec<float> rest) {
    return {_mm256_blendv_ps(rest.r, v.r, _mm256_castsi256_ps(first_mask(0.0f, n)))};
}
PYNN_INLINE Vec<double> blend_first(Vec<double> v, int n, Vec<double> rest) {
    return {_mm256_blendv_pd(rest.r, v.r, _mm256_castsi256_pd(first_mask(0.0, n)))};
}

#if defined(__GNUC__) && !defined(__clang__)
// In the micro-kernel's unrolled loop GCC 12 takes forms of the instruction that overwrite another
// operand, and moves the accumulators about.
PYNN_INLINE void add_product(Vec<float>& sum, Vec<float> a, Vec<float> b) {
    asm("vfmadd231ps %2, %1, %0" : "+x"(sum.r) : "x"(a.r), "xm"(b.r));
}
PYNN_INLINE void add_product(Vec<double>& sum, Vec<double> a, Vec<double> b) {
    asm("vfmadd231pd %2, %1, %0" : "+x"(sum.r) : "x"(a.r), "xm"(b.r));
}
#endif

// The compiler no longer knows what v is.
template <class T>
PYNN_INLINE void hide_from_optimizer(Vec<T>& v) {
#if defined(__GNUC__)
    asm("" : "+x"(v.r));
#else
    static_cast<void>(v);
#endif
}

// a < b ? x : y
PYNN_INLINE Vec<float> select_less(Vec<float> a, Vec<float> b, Vec<float> x, Vec<float> y) {
    return {_mm256_blendv_ps(y.r, x.r, _mm256_cmp_ps(a.r, b.r, _CMP_LT_OQ))};
}
PYNN_INLINE Vec<double> select_less(Vec<double> a, Vec<double> b, Vec<double> x, Vec<double> y) {
    return {_mm256_blendv_pd(y.r, x.r, _mm256_cmp_pd(a.r, b.r, _CMP_LT_OQ))};
}

PYNN_X86_SQUARE

PYNN_X86_FOLD(sum, add)
PYNN_X86_FOLD(max, max)
PYNN_X86_FOLD_AVX(sum, add)
PYNN_X86_FOLD_AVX(max, max)

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
