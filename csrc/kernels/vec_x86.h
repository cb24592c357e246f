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

#define PYNN_X86_SQRT(T, P, S)                                                                  \
    PYNN_INLINE Vec<T> sqrt(Vec<T> v) { return {P##_sqrt_##S(v.r)}; }

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
    PYNN_INLINE Bits<T> operator^(Bits<T> a, Bits<T> b) { return {P##_xor_##CAST(a.r, b.r)}; }  \
    template <int N> PYNN_INLINE Bits<T> shift_left(Bits<T> b) { return {P##_slli_##E(b.r, N)}; } \
    template <int N> PYNN_INLINE Bits<T> shift_right(Bits<T> b) { return {P##_srli_##E(b.r, N)}; } \
    PYNN_INLINE Bits<T> set_bits(T, Q x) { return {PYNN_PASTE(P##_set1_, PYNN_SET1_##E)(x)}; }

// The products of the lower halves of 64-bit lanes.
#define PYNN_X86_MULTIPLY_HALVES(P)                                                             \
    PYNN_INLINE Bits<double> multiply_halves(Bits<double> a, Bits<double> b) {                  \
        return {P##_mul_epu32(a.r, b.r)};                                                       \
    }
// clang-format on

// A square of S x S elements in registers, for reading columns of a matrix whose rows are
// contiguous: load_columns gives column j of the square at `from` as r[j].
// clang-format off
#if defined(__AVX2__)
#define PYNN_X86_SQUARE                                                                           \
    template <class T> struct Square;                                                             \
    template <> struct Square<float> {                                                            \
        static constexpr int size = 8;                                                            \
        __m256 r[8];                                                                              \
    };                                                                                            \
    template <> struct Square<double> {                                                           \
        static constexpr int size = 4;                                                            \
        __m256d r[4];                                                                             \
    };                                                                                            \
    /* Rows i and i + 4 share a register from the start: inserting a half from memory is no */    \
    /* shuffle, and what is left stays within the halves.                                    */   \
    PYNN_INLINE Square<float> load_transposed(const float* from, index_t row) {                      \
        __m256 a[8], b[8];                                                                        \
        Square<float> out;                                                                        \
        PYNN_UNROLL                                                                               \
        for (int i = 0; i < 4; ++i) {                                                             \
            const float *p = from + i * row, *q = from + (i + 4) * row;                           \
            a[i] = _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(p)), _mm_loadu_ps(q), 1);\
            a[i + 4] = _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(p + 4)),          \
                                            _mm_loadu_ps(q + 4), 1);                              \
        }                                                                                         \
        PYNN_UNROLL                                                                               \
        for (int i = 0; i < 8; i += 2) {                                                          \
            b[i] = _mm256_unpacklo_ps(a[i], a[i + 1]);                                            \
            b[i + 1] = _mm256_unpackhi_ps(a[i], a[i + 1]);                                        \
        }                                                                                         \
        PYNN_UNROLL                                                                               \
        for (int i = 0; i < 8; i += 4) {                                                          \
            out.r[i] = _mm256_shuffle_ps(b[i], b[i + 2], 0x44);                                   \
            out.r[i + 1] = _mm256_shuffle_ps(b[i], b[i + 2], 0xee);                               \
            out.r[i + 2] = _mm256_shuffle_ps(b[i + 1], b[i + 3], 0x44);                           \
            out.r[i + 3] = _mm256_shuffle_ps(b[i + 1], b[i + 3], 0xee);                           \
        }                                                                                         \
        return out;                                                                               \
    }                                                                                             \
    PYNN_INLINE Square<double> load_transposed(const double* from, index_t row) {                    \
        const __m256d a = _mm256_loadu_pd(from), b = _mm256_loadu_pd(from + row);                 \
        const __m256d c = _mm256_loadu_pd(from + 2 * row), d = _mm256_loadu_pd(from + 3 * row);   \
        const __m256d ab0 = _mm256_unpacklo_pd(a, b), ab1 = _mm256_unpackhi_pd(a, b);             \
        const __m256d cd0 = _mm256_unpacklo_pd(c, d), cd1 = _mm256_unpackhi_pd(c, d);             \
        return {{_mm256_permute2f128_pd(ab0, cd0, 0x20), _mm256_permute2f128_pd(ab1, cd1, 0x20),  \
                 _mm256_permute2f128_pd(ab0, cd0, 0x31), _mm256_permute2f128_pd(ab1, cd1, 0x31)}}; \
    }                                                                                             \
    PYNN_INLINE void store(float* p, __m256 v) { _mm256_storeu_ps(p, v); }                        \
    PYNN_INLINE void store(double* p, __m256d v) { _mm256_storeu_pd(p, v); }                      \
    PYNN_INLINE __m256 load_square(const float* p) { return _mm256_loadu_ps(p); }                 \
    PYNN_INLINE __m256d load_square(const double* p) { return _mm256_loadu_pd(p); }               \
    PYNN_INLINE __m256 fma(float a, __m256 b, __m256 c) {                                         \
        return _mm256_fmadd_ps(_mm256_set1_ps(a), b, c);                                          \
    }                                                                                             \
    PYNN_INLINE __m256d fma(double a, __m256d b, __m256d c) {                                     \
        return _mm256_fmadd_pd(_mm256_set1_pd(a), b, c);                                          \
    }
#else
#define PYNN_X86_SQUARE                                                                           \
    template <class T> struct Square;                                                             \
    template <> struct Square<float> {                                                            \
        static constexpr int size = 4;                                                            \
        __m128 r[4];                                                                              \
    };                                                                                            \
    template <> struct Square<double> {                                                           \
        static constexpr int size = 2;                                                            \
        __m128d r[2];                                                                             \
    };                                                                                            \
    PYNN_INLINE Square<float> load_transposed(const float* from, index_t row) {                      \
        __m128 a = _mm_loadu_ps(from), b = _mm_loadu_ps(from + row);                              \
        __m128 c = _mm_loadu_ps(from + 2 * row), d = _mm_loadu_ps(from + 3 * row);                \
        _MM_TRANSPOSE4_PS(a, b, c, d);                                                            \
        return {{a, b, c, d}};                                                                    \
    }                                                                                             \
    PYNN_INLINE Square<double> load_transposed(const double* from, index_t row) {                    \
        const __m128d a = _mm_loadu_pd(from), b = _mm_loadu_pd(from + row);                       \
        return {{_mm_unpacklo_pd(a, b), _mm_unpackhi_pd(a, b)}};                                  \
    }                                                                                             \
    PYNN_INLINE void store(float* p, __m128 v) { _mm_storeu_ps(p, v); }                           \
    PYNN_INLINE void store(double* p, __m128d v) { _mm_storeu_pd(p, v); }                         \
    PYNN_INLINE __m128 load_square(const float* p) { return _mm_loadu_ps(p); }                    \
    PYNN_INLINE __m128d load_square(const double* p) { return _mm_loadu_pd(p); }                  \
    PYNN_INLINE __m128 fma(float a, __m128 b, __m128 c) {                                         \
        return _mm_add_ps(_mm_mul_ps(_mm_set1_ps(a), b), c);                                      \
    }                                                                                             \
    PYNN_INLINE __m128d fma(double a, __m128d b, __m128d c) {                                     \
        return _mm_add_pd(_mm_mul_pd(_mm_set1_pd(a), b), c);                                      \
    }
#endif
// clang-format on

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
