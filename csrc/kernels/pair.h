// Numbers as unevaluated sums of two: what a rounding lost is kept beside its result.
//
// T. Dekker, "A floating-point technique for extending the available precision", 1971 (also a
// product's low part without a fused multiply-add); D. Knuth, "The art of computer programming"
// 2, 4.2.2.
#pragma once

#include "kernels/vec.h"

PYNN_ISA_BEGIN

template <class T>
struct Pair {
    Vec<T> high, low;
};

// The upper half of a's bits.
template <class T>
PYNN_INLINE Vec<T> upper_half(Vec<T> a) {
    constexpr T factor = sizeof(T) == 4 ? T(0x1p12) + 1 : T(0x1p27) + 1;
    const Vec<T> c = a * set1(factor);
    return c - (c - a);
}
template <class T>
PYNN_INLINE Pair<T> exact_product(Vec<T> a, Vec<T> b) {
    const Vec<T> p = a * b;
    if constexpr (has_fma) {
        return {p, fma(a, b, set1(T(0)) - p)};
    } else {
        const Vec<T> a1 = upper_half(a), a0 = a - a1, b1 = upper_half(b), b0 = b - b1;
        return {p, (((a1 * b1 - p) + a1 * b0) + a0 * b1) + a0 * b0};
    }
}
// c - a b, rounded once where the difference is small.
template <class T>
PYNN_INLINE Vec<T> remainder(Vec<T> a, Vec<T> b, Vec<T> c) {
    const Pair<T> p = exact_product(a, b);
    return has_fma ? fnma(a, b, c) : (c - p.high) - p.low;
}
template <class T>
PYNN_INLINE Pair<T> exact_sum(Vec<T> a, Vec<T> b) {
    const Vec<T> sum = a + b, of_b = sum - a;
    return {sum, (a - (sum - of_b)) + (b - of_b)};
}
// For |a| >= |b|.
template <class T>
PYNN_INLINE Pair<T> ordered_sum(Vec<T> a, Vec<T> b) {
    const Vec<T> sum = a + b;
    return {sum, b - (sum - a)};
}
// The low part is rounded, so the result is good to about two bits less than twice T's.
template <class T>
PYNN_INLINE Pair<T> operator*(Pair<T> a, Pair<T> b) {
    const Pair<T> p = exact_product(a.high, b.high);
    return {p.high, p.low + fma(a.high, b.low, a.low * b.high)};
}

PYNN_ISA_END
