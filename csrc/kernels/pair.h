// Numbers as unevaluated sums of two: what a rounding lost is kept beside its result.
//
// T. Dekker, "A floating-point technique for extending the available precision", 1971; D. Knuth,
// "The art of computer programming" 2, 4.2.2. (Without a fused multiply-add products lose it.)
#pragma once

#include "kernels/vec.h"

PYNN_ISA_BEGIN

template <class T>
struct Pair {
    Vec<T> high, low;
};

template <class T>
PYNN_INLINE Pair<T> exact_product(Vec<T> a, Vec<T> b) {
    const Vec<T> p = a * b;
    return {p, fma(a, b, set1(T(0)) - p)};
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
