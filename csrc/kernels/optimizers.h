// Optimizers: how a block of parameters follows its gradient.
#pragma once

#include "kernels/vec.h"

PYNN_ISA_BEGIN

// Momentum as Sutskever et al. (2013) and scikit-learn write it: the velocity contains the
// learning rate, so that a change of the rate acts at once. Adam: Kingma and Ba (2015), the
// correction of the moments' bias being part of rate and epsilon. RMSprop: Hinton's lecture 6e
// (2012), with torch's momentum.
template <class T, Rule rule>
struct UpdateRule {
    static constexpr bool has_m = rule != Rule::store_gradient && rule != Rule::sgd;
    static constexpr bool has_v = rule == Rule::adam || rule == Rule::rmsprop;
    Vec<T> rate, decay, beta1, beta2, one_minus_beta1, one_minus_beta2, epsilon, l1, l2;

    PYNN_INLINE explicit UpdateRule(const OptimizerStep<T>& u)
        : rate(set1(u.rate)),
          decay(set1(u.decay)),
          beta1(set1(u.beta1)),
          beta2(set1(u.beta2)),
          one_minus_beta1(set1(u.one_minus_beta1)),
          one_minus_beta2(set1(u.one_minus_beta2)),
          epsilon(set1(u.epsilon)),
          l1(set1(u.l1)),
          l2(set1(u.l2)) {}

    // The penalties' gradient at p is added; that of |p| at 0 is 0.
    PYNN_INLINE Vec<T> penalized_gradient(Vec<T> g, Vec<T> p) const {
        const Vec<T> zero = set1(T(0));
        const Vec<T> sign_l1 = select_less(zero, p, l1, select_less(p, zero, zero - l1, zero));
        return fma(l2, p, g + sign_l1);
    }

    PYNN_INLINE void operator()(Vec<T> g, Vec<T>& w, Vec<T>& m, Vec<T>& v) const {
        if constexpr (has_v) v = flush_tiny(fma(one_minus_beta2, g * g, beta2 * v));
        if constexpr (rule == Rule::store_gradient) {
            w = g;
        } else if constexpr (rule == Rule::sgd) {
            w = fnma(rate, g, decay * w);
        } else if constexpr (rule == Rule::momentum) {
            m = flush_tiny(fnma(rate, g, beta1 * m));
            w = fma(decay, w, m);
        } else if constexpr (rule == Rule::nesterov) {
            m = flush_tiny(fnma(rate, g, beta1 * m));
            w = fma(beta1, m, fnma(rate, g, decay * w));
        } else if constexpr (rule == Rule::adam) {
            m = flush_tiny(fma(one_minus_beta1, g - m, m));
            w = fnma(rate, m / (sqrt(v) + epsilon), decay * w);
        } else {
            m = flush_tiny(fma(beta1, m, g / (sqrt(v) + epsilon)));
            w = fnma(rate, m, decay * w);
        }
    }
};

// rows x n gradients (rows g_row apart) and the parameters from `at` on (rows w_row apart).
template <class T, Rule rule, bool with_penalties>
void update_rows(const OptimizerStep<T>& u, const T* g, index_t g_row, index_t at, index_t w_row,
                 index_t rows, index_t n) {
    using F = UpdateRule<T, rule>;
    const F step(u);
    constexpr int width = Vec<T>::width;
    for (; rows > 0; --rows, g += g_row, at += w_row) {
        T* const w = u.w + at;
        T* const m = F::has_m ? u.m + at : nullptr;
        T* const v = F::has_v ? u.v + at : nullptr;
        const auto apply = [&](index_t i, auto load_at, auto store_at) {
            Vec<T> wi = load_at(w + i), mi = wi, vi = wi;
            if constexpr (F::has_m) mi = load_at(m + i);
            if constexpr (F::has_v) vi = load_at(v + i);
            Vec<T> gi = load_at(g + i);
            if constexpr (with_penalties) gi = step.penalized_gradient(gi, load_at(u.p + at + i));
            step(gi, wi, mi, vi);
            store_at(w + i, wi);
            if constexpr (F::has_m) store_at(m + i, mi);
            if constexpr (F::has_v) store_at(v + i, vi);
        };
        index_t i = 0;
        for (; i + width <= n; i += width) {
            apply(i, [](const T* p) { return load(p); }, [](T* p, Vec<T> x) { store(p, x); });
        }
        if (const int left = static_cast<int>(n - i)) {
            apply(
                i, [=](const T* p) { return load_n(p, left); },
                [=](T* p, Vec<T> x) { store_n(p, x, left); });
        }
    }
}

template <class T, bool with_penalties>
void update_by_rule(const OptimizerStep<T>& u, const T* g, index_t g_row, index_t at, index_t w_row,
                    index_t rows, index_t n) {
    switch (u.rule) {
        case Rule::store_gradient:
            return update_rows<T, Rule::store_gradient, with_penalties>(u, g, g_row, at, w_row,
                                                                        rows, n);
        case Rule::sgd:
            return update_rows<T, Rule::sgd, with_penalties>(u, g, g_row, at, w_row, rows, n);
        case Rule::momentum:
            return update_rows<T, Rule::momentum, with_penalties>(u, g, g_row, at, w_row, rows, n);
        case Rule::nesterov:
            return update_rows<T, Rule::nesterov, with_penalties>(u, g, g_row, at, w_row, rows, n);
        case Rule::adam:
            return update_rows<T, Rule::adam, with_penalties>(u, g, g_row, at, w_row, rows, n);
        case Rule::rmsprop:
            return update_rows<T, Rule::rmsprop, with_penalties>(u, g, g_row, at, w_row, rows, n);
    }
}

template <class T>
void update_block(const OptimizerStep<T>& u, const T* g, index_t g_row, index_t at, index_t w_row,
                  index_t rows, index_t n) {
    if (u.l1 != T(0) || u.l2 != T(0)) {
        update_by_rule<T, true>(u, g, g_row, at, w_row, rows, n);
    } else {
        update_by_rule<T, false>(u, g, g_row, at, w_row, rows, n);
    }
}

template <class T>
void update_kernel(const OptimizerStep<T>& u, const T* g, index_t at, index_t n) {
    update_block(u, g, n, at, n, 1, n);
}

PYNN_ISA_END
