// Numbers as unevaluated sums of two: what a rounding lost is kept beside its result.
//
// T. Dekker, "A floating-point technique for extending the available precision", 1971 (also a
// product's low part without a fused multiply-add); D. Knuth, "The art of computer programming"
// 2, 4.2.2.
#pragma once

#include "kernels/vec.h"

PYNN_ISA_BEGIN

template <class T>
struct DoubleDouble {
    Vec<T> high, low;
};

// The upper half of a's bits.
template <class T>
PYNN_INLINE Vec<T> split_high(Vec<T> a) {
    constexpr T factor = sizeof(T) == 4 ? T(0x1p12) + 1 : T(0x1p27) + 1;
    const Vec<T> c = a * set1(factor);
    return c - (c - a);
}
template <class T>
PYNN_INLINE DoubleDouble<T> two_prod(Vec<T> a, Vec<T> b) {
    const Vec<T> p = a * b;
    if constexpr (has_fma) {
        return {p, fma(a, b, set1(T(0)) - p)};
    } else {
        const Vec<T> a1 = split_high(a), a0 = a - a1, b1 = split_high(b), b0 = b - b1;
        return {p, (((a1 * b1 - p) + a1 * b0) + a0 * b1) + a0 * b0};
    }
}
// c - a b, rounded once where the difference is small.
template <class T>
PYNN_INLINE Vec<T> remainder(Vec<T> a, Vec<T> b, Vec<T> c) {
    const DoubleDouble<T> p = two_prod(a, b);
    return has_fma ? fnma(a, b, c) : (c - p.high) - p.low;
}
template <class T>
PYNN_INLINE DoubleDouble<T> two_sum(Vec<T> a, Vec<T> b) {
    const Vec<T> sum = a + b, of_b = sum - a;
    return {sum, (a - (sum - of_b)) + (b - of_b)};
}
// For |a| >= |b|.
template <class T>
PYNN_INLINE DoubleDouble<T> fast_two_sum(Vec<T> a, Vec<T> b) {
    const Vec<T> sum = a + b;
    return {sum, b - (sum - a)};
}
// The low part is rounded, so the result is good to about two bits less than twice T's.
template <class T>
PYNN_INLINE DoubleDouble<T> operator*(DoubleDouble<T> a, DoubleDouble<T> b) {
    const DoubleDouble<T> p = two_prod(a.high, b.high);
    return {p.high, p.low + fma(a.high, b.low, a.low * b.high)};
}

PYNN_ISA_END
