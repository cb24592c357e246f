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

// S x S elements: to[j * to_row + i] = from[i * from_row + j].
#if defined(__AVX2__)
#define PYNN_X86_TRANSPOSE                                                                         \
    template <class T>                                                                             \
    constexpr int transpose_size = sizeof(T) == 4 ? 8 : 4;                                         \
    PYNN_INLINE void transpose_square(const float* from, index_t from_row, float* to,              \
                                      index_t to_row) {                                            \
        __m256 r[8], s[8];                                                                         \
        PYNN_UNROLL                                                                                \
        for (int i = 0; i < 8; ++i) r[i] = _mm256_loadu_ps(from + i * from_row);                   \
        PYNN_UNROLL                                                                                \
        for (int i = 0; i < 8; i += 2) {                                                           \
            s[i] = _mm256_unpacklo_ps(r[i], r[i + 1]);                                             \
            s[i + 1] = _mm256_unpackhi_ps(r[i], r[i + 1]);                                         \
        }                                                                                          \
        PYNN_UNROLL                                                                                \
        for (int i = 0; i < 8; i += 4) {                                                           \
            r[i] = _mm256_shuffle_ps(s[i], s[i + 2], 0x44);                                        \
            r[i + 1] = _mm256_shuffle_ps(s[i], s[i + 2], 0xee);                                    \
            r[i + 2] = _mm256_shuffle_ps(s[i + 1], s[i + 3], 0x44);                                \
            r[i + 3] = _mm256_shuffle_ps(s[i + 1], s[i + 3], 0xee);                                \
        }                                                                                          \
        PYNN_UNROLL                                                                                \
        for (int i = 0; i < 4; ++i) {                                                              \
            _mm256_storeu_ps(to + i * to_row, _mm256_permute2f128_ps(r[i], r[i + 4], 0x20));       \
            _mm256_storeu_ps(to + (i + 4) * to_row, _mm256_permute2f128_ps(r[i], r[i + 4], 0x31)); \
        }                                                                                          \
    }                                                                                              \
    PYNN_INLINE void transpose_square(const double* from, index_t from_row, double* to,            \
                                      index_t to_row) {                                            \
        const __m256d a = _mm256_loadu_pd(from), b = _mm256_loadu_pd(from + from_row);             \
        const __m256d c = _mm256_loadu_pd(from + 2 * from_row);                                    \
        const __m256d d = _mm256_loadu_pd(from + 3 * from_row);                                    \
        const __m256d ab0 = _mm256_unpacklo_pd(a, b), ab1 = _mm256_unpackhi_pd(a, b);              \
        const __m256d cd0 = _mm256_unpacklo_pd(c, d), cd1 = _mm256_unpackhi_pd(c, d);              \
        _mm256_storeu_pd(to, _mm256_permute2f128_pd(ab0, cd0, 0x20));                              \
        _mm256_storeu_pd(to + to_row, _mm256_permute2f128_pd(ab1, cd1, 0x20));                     \
        _mm256_storeu_pd(to + 2 * to_row, _mm256_permute2f128_pd(ab0, cd0, 0x31));                 \
        _mm256_storeu_pd(to + 3 * to_row, _mm256_permute2f128_pd(ab1, cd1, 0x31));                 \
    }
#else
#define PYNN_X86_TRANSPOSE                                                                   \
    template <class T>                                                                       \
    constexpr int transpose_size = sizeof(T) == 4 ? 4 : 2;                                   \
    PYNN_INLINE void transpose_square(const float* from, index_t from_row, float* to,        \
                                      index_t to_row) {                                      \
        __m128 a = _mm_loadu_ps(from), b = _mm_loadu_ps(from + from_row);                    \
        __m128 c = _mm_loadu_ps(from + 2 * from_row), d = _mm_loadu_ps(from + 3 * from_row); \
        _MM_TRANSPOSE4_PS(a, b, c, d);                                                       \
        _mm_storeu_ps(to, a);                                                                \
        _mm_storeu_ps(to + to_row, b);                                                       \
        _mm_storeu_ps(to + 2 * to_row, c);                                                   \
        _mm_storeu_ps(to + 3 * to_row, d);                                                   \
    }                                                                                        \
    PYNN_INLINE void transpose_square(const double* from, index_t from_row, double* to,      \
                                      index_t to_row) {                                      \
        const __m128d a = _mm_loadu_pd(from), b = _mm_loadu_pd(from + from_row);             \
        _mm_storeu_pd(to, _mm_unpacklo_pd(a, b));                                            \
        _mm_storeu_pd(to + to_row, _mm_unpackhi_pd(a, b));                                   \
    }
#endif

// The lanes of one vector: lane l with l + width / 2, and so on down to one.
#define PYNN_X86_FOLD(NAME, OP)                                          \
    PYNN_INLINE float fold_##NAME(__m128 v) {                            \
        v = _mm_##OP##_ps(v, _mm_movehl_ps(v, v));                       \
        return _mm_cvtss_f32(_mm_##OP##_ss(v, _mm_shuffle_ps(v, v, 1))); \
    }                                                                    \
    PYNN_INLINE double fold_##NAME(__m128d v) {                          \
        return _mm_cvtsd_f64(_mm_##OP##_sd(v, _mm_unpackhi_pd(v, v)));   \
    }
#define PYNN_X86_FOLD_AVX(NAME, OP)                                                                \
    PYNN_INLINE float fold_##NAME(__m256 v) {                                                      \
        return fold_##NAME(_mm_##OP##_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1))); \
    }                                                                                              \
    PYNN_INLINE double fold_##NAME(__m256d v) {                                                    \
        return fold_##NAME(_mm_##OP##_pd(_mm256_castpd256_pd128(v), _mm256_extractf128_pd(v, 1))); \
    }
#define PYNN_X86_FOLD_AVX512(NAME, OP)                                                  \
    PYNN_INLINE float fold_##NAME(__m512 v) {                                           \
        return fold_##NAME(                                                             \
            _mm256_##OP##_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1))); \
    }                                                                                   \
    PYNN_INLINE double fold_##NAME(__m512d v) {                                         \
        return fold_##NAME(                                                             \
            _mm256_##OP##_pd(_mm512_castpd512_pd256(v), _mm512_extractf64x4_pd(v, 1))); \
    }
