// exp, log and the activations made of them, written once over fused multiply-adds, so that their
// bits are the same on every instruction set that has one. The polynomials come from
// tools/minimax.py.
#pragma once

#include "kernels/vec.h"

PYNN_ISA_BEGIN

template <class T>
struct MathConstants;

template <>
struct MathConstants<float> {
    // exp(x) is 0 below and infinite above.
    static constexpr float exp_low = -104.0f, exp_high = 89.0f;
    static constexpr float log2_e = 0x1.715476p+0f;
    // log(2) in two parts; the first has 15 bits, so that its product with n is exact.
    static constexpr float ln2_high = 0x1.62e4p-1f, ln2_low = 0x1.7f7d1cp-20f;
    static constexpr float tanh_limit = 10.0f;     // tanh is 1 beyond
    static constexpr float expm1_low = -18.0f;     // exp(x) - 1 is -1 below
    static constexpr float silu_low = -112.0f;     // x exp(x) is 0 below
    static constexpr float negligible = 0x1p-30f;  // beside 1, and so is its square beside it
    static constexpr float log_negligible = -30.0f;
    // Beyond these, exp, sigmoid, softplus and silu, and gelu, are flushed to zero (vec.h:
    // flush_tiny), and what they are made of is not yet denormal.
    static constexpr float exp_flush_limit = -82.0f, gelu_flush_limit = -12.6f;
    static constexpr int32_t sqrt_half = 0x3f3504f3;
    static constexpr float exp_tail[] = {0x1.00000027aba8cp-1f,  0x1.55555588e97b7p-3f,
                                         0x1.5554ae2bc2ed8p-5f,  0x1.11108fbcd6fdep-7f,
                                         0x1.6d74434dcdb12p-10f, 0x1.a1a13ab3f9b14p-13f};
    static constexpr float log_tail[] = {0x1.55557a1500836p-1f, 0x1.995ec5dda5740p-2f,
                                         0x1.31e1f868d95c0p-2f};
    static constexpr float log1p_tail[] = {0x1.5555003c6c111p-4, 0x1.99d27f52bf260p-7,
                                           0x1.1eb5ca151f36ap-9, 0x1.1ef9fb1cb12bap-11};
};

template <>
struct MathConstants<double> {
    static constexpr double exp_low = -746.0, exp_high = 710.0;
    static constexpr double log2_e = 0x1.71547652b82fep+0;
    static constexpr double ln2_high = 0x1.62e42fefa2p-1, ln2_low = 0x1.9ef35793c7673p-41;
    static constexpr double tanh_limit = 20.0, expm1_low = -38.0, silu_low = -760.0;
    static constexpr double negligible = 0x1p-60, log_negligible = -45.0;
    static constexpr double exp_flush_limit = -702.0, gelu_flush_limit = -37.4;
    static constexpr int64_t sqrt_half = 0x3fe6a09e667f3bcd;
    static constexpr double exp_tail[] = {
        0x1.0000000000005p-1,  0x1.555555555555cp-3,  0x1.5555555552139p-5,  0x1.111111110e704p-7,
        0x1.6c16c17f296e0p-10, 0x1.a01a01b5c8913p-13, 0x1.a019a6a935118p-16, 0x1.71ddea2728abep-19,
        0x1.28a28ce4c5803p-22, 0x1.af76782c14696p-26};
    static constexpr double log_tail[] = {
        0x1.5555555555592p-1, 0x1.999999998009fp-2, 0x1.24924941cf9f4p-2, 0x1.c71c522088801p-3,
        0x1.74663ac196ce6p-3, 0x1.39a219f87506ep-3, 0x1.2f0203278132ap-3};
    static constexpr double log1p_tail[] = {
        0x1.5555555555535p-4,  0x1.99999999a084bp-7,  0x1.2492492084f78p-9,  0x1.c71c741fd740cp-12,
        0x1.745cb38faf0e6p-14, 0x1.3b1de4376af2dp-16, 0x1.1067595c7ceb2p-18, 0x1.efde83feb588cp-21,
        0x1.5597afd656af5p-23, 0x1.5c8ed516a9e1dp-24};
};

// Horner's rule.
template <class T, int N>
PYNN_INLINE Vec<T> polynomial(Vec<T> x, const T (&c)[N]) {
    Vec<T> y = set1(c[N - 1]);
    PYNN_UNROLL
    for (int i = N - 2; i >= 0; --i) y = fma(y, x, set1(c[i]));
    return y;
}

// exp(x) = 2**n exp(r) with |r| <= log(2) / 2, and exp(r) - 1.
template <class T>
struct ExpParts {
    Vec<T> n, expm1;
};
template <class T>
PYNN_INLINE ExpParts<T> exp_parts(Vec<T> x) {
    using C = MathConstants<T>;
    const Vec<T> n = round(x * set1(C::log2_e));
    Vec<T> r = fnma(n, set1(C::ln2_high), x);
    r = fnma(n, set1(C::ln2_low), r);
    return {n, fma(r * r, polynomial(r, C::exp_tail), r)};
}

// p 2**n for whole n <= 1024 (128) whose half is an exponent of a normal number: in two steps,
// since 2**n may be neither normal nor finite itself.
template <class T>
PYNN_INLINE Vec<T> ldexp(Vec<T> p, Vec<T> n) {
    const Vec<T> half = round(n * set1(T(0.5)));
    return (p * power_of_two(half)) * power_of_two(n - half);
}

// factor exp(x) for x that is neither so small nor so large that halves of its exponent are not
// those of normal numbers.
template <class T>
PYNN_INLINE Vec<T> scaled_exp(Vec<T> factor, Vec<T> x) {
    const ExpParts<T> parts = exp_parts(x);
    return ldexp(fma(factor, parts.expm1, factor), parts.n);
}

template <class T>
PYNN_INLINE Vec<T> exp(Vec<T> x) {
    using C = MathConstants<T>;
    // In this order a NaN passes both.
    return scaled_exp(set1(T(1)), max(set1(C::exp_low), min(set1(C::exp_high), x)));
}

// log(x) for normal positive x; infinity and NaN stay what they are. x = 2**e m, sqrt(1/2) <= m <
// sqrt(2), f = m - 1, s = f / (2 + f): log(1 + f) = 2 s + s s**2 t(s**2) = f - s (f - s**2 t) (as
// in the classic libms).
template <class T>
PYNN_INLINE Vec<T> log(Vec<T> x) {
    using C = MathConstants<T>;
    using F = Float<T>;
    const Bits<T> shifted = bits(x) + set_bits(T(), F::one - C::sqrt_half);
    // The exponent as a number: put into the mantissa of the number whose unit it is.
    constexpr T unit = sizeof(T) == 4 ? T(0x1p23) : T(0x1p52);
    const Vec<T> biased =
        from_bits(shift_right<F::mantissa>(shifted) | bits(set1(unit))) - set1(unit);
    const Vec<T> e = biased - set1(T(F::bias));
    const Bits<T> fraction = shifted & set_bits(T(), (decltype(F::one)(1) << F::mantissa) - 1);
    const Vec<T> m = from_bits(fraction + set_bits(T(), C::sqrt_half));
    const Vec<T> f = m - set1(T(1));
    const Vec<T> s = f / (set1(T(2)) + f);
    const Vec<T> z = s * s;
    const Vec<T> t = z * polynomial(z, C::log_tail);
    const Vec<T> tail = fnma(s, f - t, e * set1(C::ln2_low));
    const Vec<T> result = e * set1(C::ln2_high) + (f + tail);
    return select_less(x, set1(F::infinity), result, x);
}

// e >= 0, or 0 where that is unknown: its products may be denormal, and each of those would take as
// long as a hundred others.
template <class T>
PYNN_INLINE Vec<T> flush_negligible(Vec<T> e) {
    return select_less(e, set1(MathConstants<T>::negligible), set1(T(0)), e);
}

// exp(-|x|); for x > 0, where it stands beside 1 or x, only as long as that shows.
template <class T>
PYNN_INLINE Vec<T> exp_neg_abs(Vec<T> x) {
    using C = MathConstants<T>;
    const Vec<T> zero = set1(T(0));
    const Vec<T> low = select_less(zero, x, set1(C::log_negligible), set1(C::exp_low));
    return exp(max(low, zero - abs(x)));
}

// log(1 + x) = 2 atanh(q / 2) = q + q q**2 p(q**2), q = 2 x / (2 + x), for 0 <= x <= 1. What the
// roundings of 2 + x and of q lost is put back.
template <class T>
PYNN_INLINE Vec<T> log1p_unit(Vec<T> x) {
    const Vec<T> two = set1(T(2)), small = flush_negligible(x);
    const Vec<T> divisor = two + small, twice_reciprocal = two / divisor;
    const Vec<T> lost = small - (divisor - two);
    const Vec<T> q = small * twice_reciprocal;
    const Vec<T> remainder = fnma(q, lost, fnma(q, divisor, small + small));
    const Vec<T> y = q * q;
    const Vec<T> tail = (q * y) * polynomial(y, MathConstants<T>::log1p_tail);
    const Vec<T> result = q + fma(remainder * set1(T(0.5)), twice_reciprocal, tail);
    return select_less(x, set1(MathConstants<T>::negligible), x, result);
}

// x / (1 + e) for 0 <= e <= 1 and finite x, nearly correctly rounded: 1 + e is rounded, but the
// quotient's remainder x - q - q e is not (x - q is exact). The sign of a zero may be lost.
template <class T>
PYNN_INLINE Vec<T> div_one_plus(Vec<T> x, Vec<T> e) {
    const Vec<T> reciprocal = set1(T(1)) / (set1(T(1)) + e);
    const Vec<T> q = x * reciprocal;
    return fma(fnma(q, flush_negligible(e), x - q), reciprocal, q);
}

// Through exp(-|x|), which never overflows: 1 / (1 + e) or e / (1 + e).
template <class T>
PYNN_INLINE Vec<T> sigmoid(Vec<T> x) {
    const Vec<T> one = set1(T(1));
    const Vec<T> e = exp_neg_abs(x);
    return div_one_plus(select_less(x, set1(T(0)), e, one), e);
}

// exp(x) - 1, for x <= 0 put together without cancellation; -0 for -0.
template <class T>
PYNN_INLINE Vec<T> expm1_negative(Vec<T> x) {
    // Beyond, exp(x) is less than half a unit in the last place of 1.
    const Vec<T> limited = max(set1(MathConstants<T>::expm1_low), x);
    const ExpParts<T> parts = exp_parts(limited);
    const Vec<T> scale = power_of_two(parts.n);
    return copysign(fma(scale, parts.expm1, scale - set1(T(1))), x);
}

// log(1 + exp(x)) = max(x, 0) + log(1 + exp(-|x|))
template <class T>
PYNN_INLINE Vec<T> softplus(Vec<T> x) {
    return relu(x) + log1p_unit(exp_neg_abs(x));
}

// x sigmoid(x) = x exp(x) / (1 + exp(x)) for x < 0, where exp(x) may be denormal and x exp(x) not.
template <class T>
PYNN_INLINE Vec<T> silu(Vec<T> x) {
    constexpr T low = MathConstants<T>::silu_low;
    const Vec<T> zero = set1(T(0));
    const Vec<T> e = exp_neg_abs(x);
    const Vec<T> limited = max(set1(low), min(zero, x));
    const Vec<T> y = div_one_plus(select_less(x, zero, scaled_exp(limited, limited), x), e);
    // (Far above 0 it is x, and an infinite x has no remainder.)
    return select_less(x, set1(-low), copysign(y, x), x);
}

// s + x s (1 - s), s = sigmoid(x), where 1 - s is sigmoid(-x): no cancellation.
template <class T>
PYNN_INLINE Vec<T> silu_derivative(Vec<T> x) {
    // (Beyond these the slope is 0 or 1, and x s would be infinite times 0.)
    using C = MathConstants<T>;
    const Vec<T> zero = set1(T(0));
    const Vec<T> near = max(set1(C::silu_low), min(set1(-C::silu_low), x));
    const Vec<T> e = exp_neg_abs(near);
    const Vec<T> large = div_one_plus(set1(T(1)), e), small = div_one_plus(e, e);
    const Vec<T> s = select_less(near, zero, small, large);
    return fma(near * s, select_less(near, zero, large, small), s);
}

// x for x > 0, alpha (exp(x) - 1) otherwise
template <class T>
PYNN_INLINE Vec<T> elu(Vec<T> x, Vec<T> alpha) {
    return select_less(set1(T(0)), x, x, alpha * expm1_negative(x));
}

// em1 / (em1 + 2) with em1 = exp(2 |x|) - 1 put together without cancellation: exact in the
// small, where n = 0, and 1 in the large. The divisor's rounding error and the quotient's are put
// back, since three roundings and those of em1 would be more than 2 ULP.
template <class T>
PYNN_INLINE Vec<T> tanh(Vec<T> x) {
    const Vec<T> one = set1(T(1)), two = set1(T(2));
    const Vec<T> limited = min(set1(MathConstants<T>::tanh_limit), abs(x));
    const ExpParts<T> parts = exp_parts(limited + limited);
    const Vec<T> scale = power_of_two(parts.n);
    const Vec<T> em1 = fma(scale, parts.expm1, scale - one);
    const Vec<T> divisor = em1 + two, reciprocal = one / divisor;
    const Vec<T> lost = em1 - (divisor - two);
    const Vec<T> q = em1 * reciprocal;
    const Vec<T> remainder = fnma(q, lost, fnma(q, divisor, em1));
    return copysign(fma(remainder, reciprocal, q), x);
}

PYNN_ISA_END
