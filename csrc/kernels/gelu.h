// GELU, x Phi(x), and its approximation by tanh, to about one unit in the last place also where
// Phi(x) is tiny. Both are x - y for x >= 0 and -y for x < 0, with the tail
//   y(t) = t Phi(-t) = t exp(-t**2 / 2) G(s) / (t + k),  s = (t - k) / (t + k),  t = |x|,
//   y(t) = t exp(-v) / (1 + exp(-v)),  v = 2 sqrt(2 / pi) (t + 0.044715 t**3).
// G is a polynomial from tools/minimax.py. The exponent's rounding error would be multiplied by the
// exponent, so the tail is put together in pairs.
//
// D. Hendrycks, K. Gimpel, "Gaussian error linear units", 2016. The variable s is that of
// M. Shepherd, J. Laframboise, "Chebyshev approximation of (1 + 2x) exp(x**2) erfc x", 1981.
#pragma once

#include "kernels/double_double.h"
#include "kernels/math.h"

PYNN_ISA_BEGIN

template <class T>
struct GeluConstants;

template <>
struct GeluConstants<float> {
    static constexpr float k = 3.0f, t_max = 15.0f, v_max = 11.5f;
    static constexpr float lead_high[] = {0x1.754a751c6be2ep-1, -0x1.04c729abd379bp-1};
    static constexpr float lead_low[] = {-0x1.c7283a3534562p-26, 0x1.50b2193a55d25p-27};
    static constexpr float rest[] = {
        0x1.d71385040f9bap-3,   -0x1.832d0a6881adbp-5, -0x1.56d5eb5e95e5fp-7,
        0x1.c8bda423bc019p-8,   0x1.0ca2145c69f6dp-10, -0x1.0eaed88376c69p-10,
        -0x1.009e3f70671ddp-12, 0x1.136b6a4ce0c6ap-13, 0x1.c9168b3d8a6ddp-15};
    static constexpr float slope_high = 0x1.988454p+0f, slope_low = -0x1.857936p-25f;
    static constexpr float cubic_high = 0x1.2444f2p-4f, cubic_low = 0x1.49b16ap-29f;
    static constexpr float density = 0x1.988454p-2f;
};

template <>
struct GeluConstants<double> {
    static constexpr double k = 4.0, t_max = 39.0, v_max = 22.0;
    static constexpr double lead_high[] = {0x1.82b4bb8c94dcep-1, -0x1.373e3a893c28ap-1};
    static constexpr double lead_low[] = {-0x1.a6e5ad98b0e07p-56, -0x1.b48eecdaa9853p-56};
    static constexpr double rest[] = {
        0x1.8c6dbf2cfc2b3p-2,   -0x1.7dff2bff68368p-3,  0x1.eec4cc3e4d406p-5,
        -0x1.ee2761048d991p-8,  -0x1.c81719d56772bp-9,  0x1.ab825fc4caae6p-10,
        0x1.17a4ae45da8b3p-13,  -0x1.e4a4268b311a2p-13, -0x1.001e783455f4cp-19,
        0x1.26d0b2cc22726p-15,  0x1.80b4ed67fbf68p-21,  -0x1.8d4e03ee9ed86p-18,
        -0x1.51efed06c1b95p-21, 0x1.125283d61ced8p-20,  0x1.23743fd8e1b9fp-22,
        -0x1.4e496d0a52e1cp-23, -0x1.6d92a799a31c0p-24, 0x1.e3e5abd3a22f1p-27,
        0x1.5070fa5eafca7p-26,  0x1.80eac84822638p-30,  -0x1.69ea9acb9c7a0p-29,
        -0x1.4023a369b9e64p-31, 0x1.fd6a22796404dp-35};
    static constexpr double slope_high = 0x1.9884533d43651p+0, slope_low = -0x1.cbc0d30ebfd15p-54;
    static constexpr double cubic_high = 0x1.2444f2a4d8b4bp-4, cubic_low = -0x1.6c843a29d1c7p-61;
    static constexpr double density = 0x1.9884533d43651p-2;
};

// scale * 2**n, n <= 0: what a tail is made of, before its last rounding.
template <class T>
struct ScaledDoubleDouble {
    DoubleDouble<T> scale;
    Vec<T> n;
};

// exp(x.high + x.low) for x <= 0 not below exp's smallest halves.
template <class T>
PYNN_INLINE ScaledDoubleDouble<T> exp_double_double(DoubleDouble<T> x) {
    using C = MathConstants<T>;
    const Vec<T> n = round(x.high * set1(C::log2_e));
    const Vec<T> most = fnma(n, set1(C::ln2_high), x.high);  // exact
    const Vec<T> r = fnma(n, set1(C::ln2_low), most);
    const Vec<T> lost = fnma(n, set1(C::ln2_low), most - r) + x.low;
    const DoubleDouble<T> y = fast_two_sum(set1(T(1)), r);
    const Vec<T> tail = (r * r) * polynomial(r, C::exp_tail);
    return {fast_two_sum(y.high, y.low + fma(y.high + tail, lost, tail)), n};
}

// x.high / d.high, corrected; the reciprocal is that of d.high.
template <class T>
PYNN_INLINE DoubleDouble<T> divide(DoubleDouble<T> x, DoubleDouble<T> d, Vec<T> reciprocal) {
    const Vec<T> q = x.high * reciprocal;
    const Vec<T> rest = fnma(q, d.low, remainder(q, d.high, x.high) + x.low);
    return {q, rest * reciprocal};
}

// Phi(-t) = scale 2**n and exp(-t**2 / 2) = e 2**n, 0 <= t <= t_max.
template <class T>
struct NormalTail {
    ScaledDoubleDouble<T> phi;
    DoubleDouble<T> e;
};
template <class T>
PYNN_INLINE NormalTail<T> normal_tail(Vec<T> t) {
    using C = GeluConstants<T>;
    const Vec<T> one = set1(T(1)), k = set1(C::k);
    const DoubleDouble<T> square = two_prod(t, t);
    const Vec<T> half = set1(T(-0.5));
    const ScaledDoubleDouble<T> e =
        exp_double_double(DoubleDouble<T>{square.high * half, square.low * half});
    const DoubleDouble<T> d = two_sum(t, k);
    const Vec<T> reciprocal = one / d.high;
    const DoubleDouble<T> q = divide(DoubleDouble<T>{k + k, set1(T(0))}, d, reciprocal);
    DoubleDouble<T> s = two_sum(one, set1(T(0)) - q.high);
    s.low = s.low - q.low;
    DoubleDouble<T> g{polynomial(s.high, C::rest), set1(T(0))};
    PYNN_UNROLL
    for (int i = 1; i >= 0; --i) {
        const DoubleDouble<T> p = s * g;
        g = two_sum(set1(C::lead_high[i]), p.high);
        g.low = g.low + (p.low + set1(C::lead_low[i]));
    }
    return {{divide(e.scale * g, d, reciprocal), e.n}, e.scale};
}

// exp(-v) / (1 + exp(-v)) for v(t), 0 <= t <= v_max.
template <class T>
PYNN_INLINE ScaledDoubleDouble<T> tanh_tail(Vec<T> t) {
    using C = GeluConstants<T>;
    const Vec<T> zero = set1(T(0));
    const DoubleDouble<T> cubic =
        two_prod(t, t) * DoubleDouble<T>{set1(C::cubic_high), set1(C::cubic_low)};
    DoubleDouble<T> slope = two_sum(set1(C::slope_high), cubic.high);
    slope.low = slope.low + (cubic.low + set1(C::slope_low));
    const DoubleDouble<T> v = two_prod(t, slope.high);
    const ScaledDoubleDouble<T> e =
        exp_double_double(DoubleDouble<T>{zero - v.high, fnma(t, slope.low, zero - v.low)});
    // (Where exp(-v) is denormal, 1 is 1.)
    const Vec<T> unit = ldexp(set1(T(1)), e.n);
    DoubleDouble<T> d = two_sum(set1(T(1)), e.scale.high * unit);
    d.low = fma(e.scale.low, unit, d.low);
    return {divide(e.scale, d, set1(T(1)) / d.high), e.n};
}

// x - y or -y, y = t * tail.
template <class T>
PYNN_INLINE Vec<T> from_tail(Vec<T> x, Vec<T> t, ScaledDoubleDouble<T> tail) {
    const DoubleDouble<T> y = two_prod(t, tail.scale.high);
    const Vec<T> rounded = ldexp(y.high + fma(t, tail.scale.low, y.low), tail.n);
    const Vec<T> zero = set1(T(0));
    return copysign(select_less(x, zero, zero, x) - rounded, x);
}

// |x| for the tail: for x > 0, where the tail stands beside x or 1, only as far as that shows.
template <class T>
PYNN_INLINE Vec<T> tail_argument(Vec<T> x) {
    const Vec<T> shows = set1(T(12.6)), most = set1(GeluConstants<T>::t_max);
    return min(select_less(set1(T(0)), x, shows, most), abs(x));
}

template <class T>
PYNN_INLINE Vec<T> gelu(Vec<T> x) {
    const Vec<T> t = tail_argument(x);
    return from_tail(x, t, normal_tail(t).phi);
}
template <class T>
PYNN_INLINE Vec<T> gelu_tanh(Vec<T> x) {
    const Vec<T> t = min(set1(GeluConstants<T>::v_max), abs(x));
    return from_tail(x, t, tanh_tail(t));
}

// f(x) from f(-|x|) where f(x) + f(-x) = 1.
template <class T>
PYNN_INLINE Vec<T> reflect_tail(Vec<T> x, Vec<T> y) {
    const Vec<T> zero = set1(T(0));
    return select_less(x, zero, y, set1(T(1)) - y);
}

// Phi(x) + x phi(x)
template <class T>
PYNN_INLINE Vec<T> gelu_derivative(Vec<T> x) {
    using C = GeluConstants<T>;
    const Vec<T> t = tail_argument(x);
    const NormalTail<T> tail = normal_tail(t);
    const Vec<T> density = set1(C::density) * tail.e.high;
    return reflect_tail(x, ldexp(fnma(t, density, tail.phi.scale.high), tail.phi.n));
}

// s + x s (1 - s) v'(x), s the sigmoid of v(x)
template <class T>
PYNN_INLINE Vec<T> gelu_tanh_derivative(Vec<T> x) {
    using C = GeluConstants<T>;
    const Vec<T> one = set1(T(1));
    const Vec<T> t = min(set1(C::v_max), abs(x));
    const ScaledDoubleDouble<T> tail = tanh_tail(t);
    const Vec<T> p = ldexp(tail.scale.high, tail.n);
    const Vec<T> dv = fma(set1(T(3) * C::cubic_high) * t, t, set1(C::slope_high));
    return reflect_tail(x, p * fnma(t * dv, one - p, one));
}

PYNN_ISA_END
