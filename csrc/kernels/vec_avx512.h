// AVX-512 F, DQ, VL: 32 registers of 64 bytes, masks in separate registers.
#pragma once

#include "kernels/vec_x86.h"

#define PYNN_SET1_epi32 epi32
#define PYNN_SET1_epi64 epi64

PYNN_ISA_BEGIN

constexpr bool has_fma = true;

template <class T>
struct Vec;
template <class T>
struct Bits;

PYNN_X86_VEC(float, _mm512, ps, __m512, 16)
PYNN_X86_VEC(double, _mm512, pd, __m512d, 8)
PYNN_X86_FMA(float, _mm512, ps)
PYNN_X86_FMA(double, _mm512, pd)
PYNN_X86_SQRT(double, _mm512, pd)
PYNN_X86_BITS(float, _mm512, ps, __m512, __m512i, si512, epi32, int32_t)
PYNN_X86_BITS(double, _mm512, pd, __m512d, __m512i, si512, epi64, int64_t)
PYNN_X86_MULTIPLY_HALVES(_mm512)

PYNN_INLINE __mmask16 first16(int n) { return static_cast<__mmask16>((1u << n) - 1u); }
PYNN_INLINE __mmask8 first8(int n) { return static_cast<__mmask8>((1u << n) - 1u); }

// The first n lanes, 0 <= n < width; nothing beyond them is read or written.
PYNN_INLINE Vec<float> load_n(const float* p, int n) {
    return {_mm512_maskz_loadu_ps(first16(n), p)};
}
PYNN_INLINE Vec<double> load_n(const double* p, int n) {
    return {_mm512_maskz_loadu_pd(first8(n), p)};
}
PYNN_INLINE void store_n(float* p, Vec<float> v, int n) {
    _mm512_mask_storeu_ps(p, first16(n), v.r);
}
PYNN_INLINE void store_n(double* p, Vec<double> v, int n) {
    _mm512_mask_storeu_pd(p, first8(n), v.r);
}
PYNN_INLINE Vec<float> blend_first(Vec<float> v, int n, Vec<float> rest) {
    return {_mm512_mask_blend_ps(first16(n), rest.r, v.r)};
}
PYNN_INLINE Vec<double> blend_first(Vec<double> v, int n, Vec<double> rest) {
    return {_mm512_mask_blend_pd(first8(n), rest.r, v.r)};
}

// a < b ? x : y
PYNN_INLINE Vec<float> select_less(Vec<float> a, Vec<float> b, Vec<float> x, Vec<float> y) {
    return {_mm512_mask_blend_ps(_mm512_cmp_ps_mask(a.r, b.r, _CMP_LT_OQ), y.r, x.r)};
}
PYNN_INLINE Vec<double> select_less(Vec<double> a, Vec<double> b, Vec<double> x, Vec<double> y) {
    return {_mm512_mask_blend_pd(_mm512_cmp_pd_mask(a.r, b.r, _CMP_LT_OQ), y.r, x.r)};
}

// p * 2**n for whole n, rounded once, as the multiplications elsewhere (math.h) are in the end.
PYNN_INLINE Vec<float> ldexp(Vec<float> p, Vec<float> n) { return {_mm512_scalef_ps(p.r, n.r)}; }
PYNN_INLINE Vec<double> ldexp(Vec<double> p, Vec<double> n) { return {_mm512_scalef_pd(p.r, n.r)}; }

// The divider takes twelve cycles for the root of sixteen floats and ten for a quotient, and Adam
// needs both of every parameter: the root is left to the multipliers. Goldschmidt's iteration from
// the 14 bits of rsqrt14, the last step with the exact remainder, gives the rounded root (checked
// for every float of the range below), the same bits as the instruction elsewhere.
PYNN_INLINE Vec<float> sqrt(Vec<float> v) {
    const __m512 least = _mm512_set1_ps(0x1p-100f), most = _mm512_set1_ps(0x1p100f);
    const __mmask16 inside =
        _mm512_cmp_ps_mask(v.r, least, _CMP_GE_OQ) & _mm512_cmp_ps_mask(v.r, most, _CMP_LE_OQ);
    if (inside != 0xffff) return {_mm512_sqrt_ps(v.r)};
    const __m512 half = _mm512_set1_ps(0.5f), y = _mm512_rsqrt14_ps(v.r);
    __m512 root = _mm512_mul_ps(v.r, y), h = _mm512_mul_ps(half, y);
    const __m512 error = _mm512_fnmadd_ps(h, root, half);
    root = _mm512_fmadd_ps(root, error, root);
    h = _mm512_fmadd_ps(h, error, h);
    return {_mm512_fmadd_ps(h, _mm512_fnmadd_ps(root, root, v.r), root)};
}

PYNN_X86_SQUARE

PYNN_X86_FOLD(sum, add)
PYNN_X86_FOLD(max, max)
PYNN_X86_FOLD_AVX(sum, add)
PYNN_X86_FOLD_AVX(max, max)
PYNN_X86_FOLD_AVX512(sum, add)
PYNN_X86_FOLD_AVX512(max, max)

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
