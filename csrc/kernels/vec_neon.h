// AArch64 Advanced SIMD: 32 registers of 16 bytes, fused multiply-add everywhere, no masks.
#pragma once

#include <arm_neon.h>

PYNN_ISA_BEGIN

constexpr bool has_fma = true;

template <class T>
struct Vec;
template <class T>
struct Bits;

// clang-format off
#define PYNN_NEON_VEC(T, S, U, REG, UREG, WIDTH)                                               \
    template <> struct Vec<T> {                                                                \
        REG r;                                                                                 \
        static constexpr int width = WIDTH;                                                    \
    };                                                                                         \
    template <> struct Bits<T> { UREG r; };                                                    \
    PYNN_INLINE Vec<T> load(const T* p) { return {vld1q_##S(p)}; }                             \
    PYNN_INLINE void store(T* p, Vec<T> v) { vst1q_##S(p, v.r); }                              \
    PYNN_INLINE Vec<T> set1(T x) { return {vdupq_n_##S(x)}; }                                  \
    PYNN_INLINE Vec<T> operator+(Vec<T> a, Vec<T> b) { return {vaddq_##S(a.r, b.r)}; }         \
    PYNN_INLINE Vec<T> operator-(Vec<T> a, Vec<T> b) { return {vsubq_##S(a.r, b.r)}; }         \
    PYNN_INLINE Vec<T> operator*(Vec<T> a, Vec<T> b) { return {vmulq_##S(a.r, b.r)}; }         \
    PYNN_INLINE Vec<T> operator/(Vec<T> a, Vec<T> b) { return {vdivq_##S(a.r, b.r)}; }         \
    PYNN_INLINE Vec<T> sqrt(Vec<T> v) { return {vsqrtq_##S(v.r)}; }                            \
    PYNN_INLINE Vec<T> fma(Vec<T> a, Vec<T> b, Vec<T> c) { return {vfmaq_##S(c.r, a.r, b.r)}; } \
    PYNN_INLINE Vec<T> fnma(Vec<T> a, Vec<T> b, Vec<T> c) { return {vfmsq_##S(c.r, a.r, b.r)}; } \
    /* a < b ? x : y */                                                                        \
    PYNN_INLINE Vec<T> select_less(Vec<T> a, Vec<T> b, Vec<T> x, Vec<T> y) {                   \
        return {vbslq_##S(vcltq_##S(a.r, b.r), x.r, y.r)};                                     \
    }                                                                                          \
    /* As on x86: the second operand where either is NaN or both are zero. */                  \
    PYNN_INLINE Vec<T> max(Vec<T> a, Vec<T> b) {                                               \
        return {vbslq_##S(vcgtq_##S(a.r, b.r), a.r, b.r)};                                     \
    }                                                                                          \
    PYNN_INLINE Vec<T> min(Vec<T> a, Vec<T> b) { return select_less(a, b, a, b); }             \
    PYNN_INLINE Bits<T> bits(Vec<T> v) { return {vreinterpretq_##U##_##S(v.r)}; }              \
    PYNN_INLINE Vec<T> from_bits(Bits<T> b) { return {vreinterpretq_##S##_##U(b.r)}; }         \
    PYNN_INLINE Bits<T> operator+(Bits<T> a, Bits<T> b) { return {vaddq_##U(a.r, b.r)}; }      \
    PYNN_INLINE Bits<T> operator&(Bits<T> a, Bits<T> b) { return {vandq_##U(a.r, b.r)}; }      \
    PYNN_INLINE Bits<T> operator|(Bits<T> a, Bits<T> b) { return {vorrq_##U(a.r, b.r)}; }      \
    PYNN_INLINE Bits<T> operator^(Bits<T> a, Bits<T> b) { return {veorq_##U(a.r, b.r)}; }      \
    template <int N> PYNN_INLINE Bits<T> shift_left(Bits<T> b) { return {vshlq_n_##U(b.r, N)}; } \
    template <int N> PYNN_INLINE Bits<T> shift_right(Bits<T> b) { return {vshrq_n_##U(b.r, N)}; }
// clang-format on

PYNN_NEON_VEC(float, f32, u32, float32x4_t, uint32x4_t, 4)
PYNN_NEON_VEC(double, f64, u64, float64x2_t, uint64x2_t, 2)

PYNN_INLINE Bits<float> set_bits(float, int32_t x) {
    return {vdupq_n_u32(static_cast<uint32_t>(x))};
}
PYNN_INLINE Bits<double> set_bits(double, int64_t x) {
    return {vdupq_n_u64(static_cast<uint64_t>(x))};
}

// The products of the lower halves of 64-bit lanes.
PYNN_INLINE Bits<double> multiply_halves(Bits<double> a, Bits<double> b) {
    return {vmull_u32(vmovn_u64(a.r), vmovn_u64(b.r))};
}

// The first n lanes, 0 <= n < width; nothing beyond them is read or written.
template <class T>
PYNN_INLINE Vec<T> load_n(const T* p, int n) {
    T lanes[Vec<T>::width] = {};
    for (int i = 0; i < n; ++i) lanes[i] = p[i];
    return load(lanes);
}
template <class T>
PYNN_INLINE void store_n(T* p, Vec<T> v, int n) {
    T lanes[Vec<T>::width];
    store(lanes, v);
    for (int i = 0; i < Vec<T>::width; ++i) {  // (the bound that GCC 12 can see)
        if (i < n) p[i] = lanes[i];
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

// The lanes of one vector: lane l with l + width / 2, and so on down to one.
PYNN_INLINE float fold_sum(Vec<float> v) {
    const float32x2_t half = vadd_f32(vget_low_f32(v.r), vget_high_f32(v.r));
    return vget_lane_f32(half, 0) + vget_lane_f32(half, 1);
}
PYNN_INLINE double fold_sum(Vec<double> v) {
    return vgetq_lane_f64(v.r, 0) + vgetq_lane_f64(v.r, 1);
}
PYNN_INLINE float fold_max(Vec<float> v) { return vmaxvq_f32(v.r); }
PYNN_INLINE double fold_max(Vec<double> v) { return vmaxvq_f64(v.r); }

// A square of S x S elements in registers, for reading columns of a matrix whose rows are
// contiguous: load_columns gives column j of the square at `from` as r[j].
template <class T>
struct Square;
template <>
struct Square<float> {
    static constexpr int size = 4;
    float32x4_t r[4];
};
template <>
struct Square<double> {
    static constexpr int size = 2;
    float64x2_t r[2];
};
PYNN_INLINE Square<float> load_transposed(const float* from, index_t row) {
    const float32x4_t a = vld1q_f32(from), b = vld1q_f32(from + row);
    const float32x4_t c = vld1q_f32(from + 2 * row), d = vld1q_f32(from + 3 * row);
    const float32x4x2_t ab = vtrnq_f32(a, b), cd = vtrnq_f32(c, d);
    return {{vcombine_f32(vget_low_f32(ab.val[0]), vget_low_f32(cd.val[0])),
             vcombine_f32(vget_low_f32(ab.val[1]), vget_low_f32(cd.val[1])),
             vcombine_f32(vget_high_f32(ab.val[0]), vget_high_f32(cd.val[0])),
             vcombine_f32(vget_high_f32(ab.val[1]), vget_high_f32(cd.val[1]))}};
}
PYNN_INLINE Square<double> load_transposed(const double* from, index_t row) {
    const float64x2_t a = vld1q_f64(from), b = vld1q_f64(from + row);
    return {{vzip1q_f64(a, b), vzip2q_f64(a, b)}};
}
PYNN_INLINE void store(float* p, float32x4_t v) { vst1q_f32(p, v); }
PYNN_INLINE void store(double* p, float64x2_t v) { vst1q_f64(p, v); }
PYNN_INLINE float32x4_t load_square(const float* p) { return vld1q_f32(p); }
PYNN_INLINE float64x2_t load_square(const double* p) { return vld1q_f64(p); }
PYNN_INLINE float32x4_t fma(float a, float32x4_t b, float32x4_t c) {
    return vfmaq_f32(c, vdupq_n_f32(a), b);
}
PYNN_INLINE float64x2_t fma(double a, float64x2_t b, float64x2_t c) {
    return vfmaq_f64(c, vdupq_n_f64(a), b);
}

// -0 and NaN stay what they are. (Compared with 0 itself, Clang makes it fmax, which turns -0 to
// 0.)
PYNN_INLINE Vec<float> relu(Vec<float> v) {
    return {vbslq_f32(vcleq_f32(v.r, vdupq_n_f32(-0x1p-149f)), vdupq_n_f32(0.0f), v.r)};
}
PYNN_INLINE Vec<double> relu(Vec<double> v) {
    return {vbslq_f64(vcleq_f64(v.r, vdupq_n_f64(-0x1p-1074)), vdupq_n_f64(0.0), v.r)};
}

PYNN_ISA_END
