// The vocabulary in which every kernel is written: one vector of T as wide as the instruction set
// has it, and, for sums, sixteen virtual lanes that are the same on every instruction set.
#pragma once

#include "kernels/isa.h"
#include "kernels/kernel_table.h"
#include "kernels/tuning.h"

#if defined(__AVX512F__)
#include "kernels/vec_avx512.h"
#elif defined(__AVX2__)
#include "kernels/vec_avx2.h"
#elif defined(__x86_64__) || defined(_M_X64)
#include "kernels/vec_sse2.h"
#elif defined(__aarch64__)
#include "kernels/vec_neon.h"
#else
#include "kernels/vec_scalar.h"
#endif

PYNN_ISA_BEGIN

template <class T>
struct Float;
template <>
struct Float<float> {
    static constexpr int mantissa = 23;
    static constexpr int32_t sign = INT32_MIN, one = 0x3f800000, bias = 127;
    static constexpr float round_magic = 0x1.8p23f, infinity = __builtin_huge_valf();
    static constexpr float denorm_min = 0x1p-149f, min_normal = 0x1p-126f, tiny = 0x1p-110f;
    static constexpr float max_finite = 0x1.fffffep127f;
};
template <>
struct Float<double> {
    static constexpr int mantissa = 52;
    static constexpr int64_t sign = INT64_MIN, one = 0x3ff0000000000000, bias = 1023;
    static constexpr double round_magic = 0x1.8p52, infinity = __builtin_huge_val();
    static constexpr double denorm_min = 0x1p-1074, min_normal = 0x1p-1022, tiny = 0x1p-1000;
    static constexpr double max_finite = 0x1.fffffffffffffp1023;
};

// sum += a b, in the micro-kernel.
template <class T>
PYNN_INLINE void add_product(Vec<T>& sum, Vec<T> a, Vec<T> b) {
    sum = fma(a, b, sum);
}

template <class T>
PYNN_INLINE Vec<T> abs(Vec<T> v) {
    return from_bits(bits(v) & set_bits(T(), ~Float<T>::sign));
}
// v, or 0 where it is so small that products of it would be denormal: each operation on one of
// those takes as long as a hundred others. Moments that no gradient feeds any more decay to them
// and stay there (0.9 times the least of them rounds to itself); the gradients of an answer that a
// network is all too sure of begin there.
template <class T>
PYNN_INLINE Vec<T> flush_tiny(Vec<T> v) {
    return select_less(abs(v), set1(Float<T>::tiny), set1(T(0)), v);
}
template <class T>
PYNN_INLINE Vec<T> copysign(Vec<T> magnitude, Vec<T> sign) {
    return from_bits(bits(magnitude) | (bits(sign) & set_bits(T(), Float<T>::sign)));
}
// To the nearest integer, |v| < 2**22 (2**51): the magic number leaves no room for a fraction.
template <class T>
PYNN_INLINE Vec<T> round(Vec<T> v) {
    const Vec<T> magic = set1(Float<T>::round_magic);
    return (v + magic) - magic;
}
// 2**n for a whole n with 2**n normal: the magic number puts n into the lowest bits.
template <class T>
PYNN_INLINE Vec<T> power_of_two(Vec<T> n) {
    const Bits<T> whole = bits(n + set1(Float<T>::round_magic));
    return from_bits(shift_left<Float<T>::mantissa>(whole) + set_bits(T(), Float<T>::one));
}

// Element i of a row belongs to lane i % 16, on every instruction set.
constexpr int lanes = 16;

template <class T>
struct Lanes {
    static constexpr int count = lanes / Vec<T>::width;
    Vec<T> v[count];
};

template <class T>
PYNN_INLINE Lanes<T> set_lanes(T x) {
    Lanes<T> out;
    PYNN_UNROLL
    for (int i = 0; i < Lanes<T>::count; ++i) out.v[i] = set1(x);
    return out;
}
template <class T>
PYNN_INLINE Lanes<T> load_lanes(const T* p) {
    Lanes<T> out;
    PYNN_UNROLL
    for (int i = 0; i < Lanes<T>::count; ++i) out.v[i] = load(p + i * Vec<T>::width);
    return out;
}
// The first n of sixteen; the rest are `rest`.
template <class T>
PYNN_INLINE Lanes<T> load_lanes(const T* p, int n, T rest) {
    Lanes<T> out;
    PYNN_UNROLL
    for (int i = 0; i < Lanes<T>::count; ++i) {
        constexpr int w = Vec<T>::width;
        const int left = n - i * w;
        out.v[i] = left >= w  ? load(p + i * w)
                   : left > 0 ? blend_first(load_n(p + i * w, left), left, set1(rest))
                              : set1(rest);
    }
    return out;
}
template <class T>
PYNN_INLINE void store_lanes(T* p, const Lanes<T>& x) {
    PYNN_UNROLL
    for (int i = 0; i < Lanes<T>::count; ++i) store(p + i * Vec<T>::width, x.v[i]);
}
template <class T>
PYNN_INLINE void store_lanes(T* p, const Lanes<T>& x, int n) {
    PYNN_UNROLL
    for (int i = 0; i < Lanes<T>::count; ++i) {
        constexpr int w = Vec<T>::width;
        const int left = n - i * w;
        if (left >= w) {
            store(p + i * w, x.v[i]);
        } else if (left > 0) {
            store_n(p + i * w, x.v[i], left);
        }
    }
}
template <class T>
PYNN_INLINE Lanes<T> mask_first(Lanes<T> x, int n) {
    PYNN_UNROLL
    for (int i = 0; i < Lanes<T>::count; ++i) {
        constexpr int w = Vec<T>::width;
        const int left = n - i * w;
        x.v[i] = blend_first(x.v[i], left >= w ? w : left > 0 ? left : 0, set1(T(0)));
    }
    return x;
}
template <class T, class F>
PYNN_INLINE Lanes<T> map_lanes(const Lanes<T>& a, F f) {
    Lanes<T> out;
    PYNN_UNROLL
    for (int i = 0; i < Lanes<T>::count; ++i) out.v[i] = f(a.v[i]);
    return out;
}
template <class T, class F>
PYNN_INLINE Lanes<T> map_lanes(const Lanes<T>& a, const Lanes<T>& b, F f) {
    Lanes<T> out;
    PYNN_UNROLL
    for (int i = 0; i < Lanes<T>::count; ++i) out.v[i] = f(a.v[i], b.v[i]);
    return out;
}
template <class T>
PYNN_INLINE Lanes<T> operator+(const Lanes<T>& a, const Lanes<T>& b) {
    return map_lanes(a, b, [](Vec<T> x, Vec<T> y) { return x + y; });
}
// One vector for all lanes: lane l with l + 8, l + 4, ... as far as there are several vectors.
template <class T, class F>
PYNN_INLINE Vec<T> fold_vectors(Lanes<T> x, F f) {
    PYNN_UNROLL
    for (int half = Lanes<T>::count / 2; half > 0; half /= 2) {
        PYNN_UNROLL
        for (int i = 0; i < half; ++i) x.v[i] = f(x.v[i], x.v[i + half]);
    }
    return x.v[0];
}
// The fixed tree: lane l with l + 8, then with l + 4, l + 2 and l + 1.
template <class T>
PYNN_INLINE T tree_sum(const Lanes<T>& x) {
    return fold_sum(fold_vectors(x, [](Vec<T> a, Vec<T> b) { return a + b; }));
}
template <class T>
PYNN_INLINE T largest(const Lanes<T>& x) {
    return fold_max(fold_vectors(x, [](Vec<T> a, Vec<T> b) { return max(a, b); }));
}

// A long f fills the processor's window, which then sees no further load to begin: memory is asked
// so far ahead.
constexpr index_t prefetch_bytes = 1024;

// f(vector) for n contiguous values, with nothing read or written beyond them.
template <class T, class F>
PYNN_INLINE void map(const T* x, T* y, index_t n, F f) {
    constexpr int w = Vec<T>::width;
    constexpr index_t prefetch_distance = prefetch_bytes / sizeof(T);
    index_t i = 0;
    for (; i + w <= n; i += w) {
        PYNN_PREFETCH(x + i + prefetch_distance);
        PYNN_PREFETCH(y + i + prefetch_distance);
        store(y + i, f(load(x + i)));
    }
    if (const int left = static_cast<int>(n - i)) {
        store_n(y + i, f(load_n(x + i, left)), left);
    }
}
template <class T, class F>
PYNN_INLINE void map(const T* x, const T* x2, T* y, index_t n, F f) {
    constexpr int w = Vec<T>::width;
    constexpr index_t prefetch_distance = prefetch_bytes / sizeof(T);
    index_t i = 0;
    for (; i + w <= n; i += w) {
        PYNN_PREFETCH(x + i + prefetch_distance);
        PYNN_PREFETCH(x2 + i + prefetch_distance);
        PYNN_PREFETCH(y + i + prefetch_distance);
        store(y + i, f(load(x + i), load(x2 + i)));
    }
    if (const int left = static_cast<int>(n - i)) {
        store_n(y + i, f(load_n(x + i, left), load_n(x2 + i, left)), left);
    }
}
// f(lanes, count) for each sixteen of n values, the last with fewer.
template <class F>
PYNN_INLINE void for_each_lanes(index_t n, F f) {
    index_t i = 0;
    for (; i + lanes <= n; i += lanes) f(i, lanes);
    if (i < n) f(i, static_cast<int>(n - i));
}

PYNN_ISA_END
