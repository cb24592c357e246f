// Losses: from a block of outputs (or logits) and targets, each row's loss and the gradient.
#pragma once

#include "kernels/rows.h"

PYNN_ISA_BEGIN

// A window into this is a row of targets with a single one.
template <class T>
constexpr T one_window[2 * lanes - 1] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};

// What is left of a row's loss when its gradient has been stored: log(total) mass + offset.
template <class T>
struct RowLoss {
    T total, mass, offset;
};

template <class T>
PYNN_INLINE Lanes<T> times(const Lanes<T>& a, const Lanes<T>& b) {
    return map_lanes(a, b, [](Vec<T> x, Vec<T> y) { return x * y; });
}
// t z, and 0 where t is 0, even for an infinite z. (A NaN in t is in the sum of targets, too.)
template <class T>
PYNN_INLINE Lanes<T> weighted(const Lanes<T>& t, const Lanes<T>& z) {
    const Vec<T> zero = set1(T(0));
    return map_lanes(t, z,
                     [=](Vec<T> a, Vec<T> b) { return select_less(zero, abs(a), a * b, zero); });
}

// A row that fits the lanes: everything stays in registers until the gradient is stored.
template <class T>
PYNN_INLINE RowLoss<T> small_n_row(const LossRows<T>& r, index_t i) {
    const int n = static_cast<int>(r.n);
    const T* z = r.z + i * r.n;
    RowLoss<T> out;
    T shift;
    const Lanes<T> e = exp_small_n_row(z, n, out.total, shift);
    Lanes<T> t;
    if (r.labels) {
        const index_t label = static_cast<index_t>(r.labels[i]);
        t = load_lanes(one_window<T> + lanes - 1 - label);
        out.mass = T(1);
        out.offset = shift - z[label];
    } else {
        t = load_lanes(r.target + i * r.n, n, T(0));
        out.mass = tree_sum(t);
        out.offset = shift * out.mass - tree_sum(weighted(t, load_lanes(z, n, T(0))));
    }
    const Vec<T> sum = set1(out.total), mass = set1(out.mass), scale = set1(r.scale);
    store_lanes(
        r.gradient + i * r.n,
        map_lanes(e, t,
                  [&](Vec<T> v, Vec<T> tj) { return flush_tiny(((v / sum) * mass - tj) * scale); }),
        n);
    return out;
}

template <class T>
PYNN_INLINE RowLoss<T> large_n_row(const LossRows<T>& r, index_t i) {
    const index_t n = r.n;
    const T* z = r.z + i * n;
    T* gradient = r.gradient + i * n;
    const Vec<T> scale = set1(r.scale);
    RowLoss<T> out;
    T shift;
    if (r.labels) {
        const index_t label = static_cast<index_t>(r.labels[i]);
        const T z_label = z[label];  // before the gradient overwrites it
        out.total = exp_row(z, gradient, n, shift);
        out.mass = T(1);
        out.offset = shift - z_label;
        const T e_label = gradient[label];
        const Vec<T> sum = set1(out.total);
        map(gradient, gradient, n, [&](Vec<T> e) { return flush_tiny((e / sum) * scale); });
        gradient[label] = (e_label / out.total - T(1)) * r.scale;
        return out;
    }
    const T* t = r.target + i * n;
    Lanes<T> weight = set_lanes(T(0)), dot = set_lanes(T(0));
    for_each_lanes(n, [&](index_t j, int count) {
        const Lanes<T> tj = load_lanes(t + j, count, T(0));
        weight = weight + tj;
        dot = dot + weighted(tj, load_lanes(z + j, count, T(0)));
    });
    out.mass = tree_sum(weight);
    const T product = tree_sum(dot);
    out.total = exp_row(z, gradient, n, shift);
    out.offset = shift * out.mass - product;
    const Vec<T> sum = set1(out.total), mass = set1(out.mass);
    map(gradient, t, gradient, n,
        [&](Vec<T> e, Vec<T> tj) { return flush_tiny(((e / sum) * mass - tj) * scale); });
    return out;
}

// Up to sixteen short rows together: their totals, masses and offsets.
template <class T>
PYNN_INLINE void small_n_rows(const LossRows<T>& r, index_t first, int rows, T* total, T* mass,
                              T* offset) {
    const int n = static_cast<int>(r.n);
    const T* z = r.z + first * r.n;
    const Vec<T> scale = set1(r.scale);
    TransposedRows<T> c, t;
    load_transposed_rows(z, rows, n, c);
    if (r.labels) {
        const int64_t* labels = r.labels + first;
        for (int i = 0; i < rows; ++i) offset[i] = z[i * n + labels[i]];
        const ExpTransposedRows<T> e = exp_transposed_rows(c, n);
        for (int j = 0; j < n; ++j) {
            c.set(j, map_lanes(c[j], e.total, [](Vec<T> v, Vec<T> sum) { return v / sum; }));
        }
        for (int i = 0; i < rows; ++i) c.at[labels[i] * lanes + i] -= T(1);
        for (int j = 0; j < n; ++j)
            c.set(j, map_lanes(c[j], [&](Vec<T> v) { return flush_tiny(v * scale); }));
        store_lanes(offset, map_lanes(e.shift, load_lanes(offset),
                                      [](Vec<T> a, Vec<T> b) { return a - b; }));
        store_lanes(total, e.total);
    } else {
        load_transposed_rows(r.target + first * r.n, rows, n, t);
        const Lanes<T> weight = sum_transposed_rows<T>(n, [&](int j) { return t[j]; });
        const Lanes<T> dot = sum_transposed_rows<T>(n, [&](int j) { return weighted(t[j], c[j]); });
        const ExpTransposedRows<T> e = exp_transposed_rows(c, n);
        for (int j = 0; j < n; ++j) {
            const Lanes<T> p =
                map_lanes(c[j], e.total, [](Vec<T> v, Vec<T> sum) { return v / sum; });
            c.set(j, map_lanes(times(p, weight), t[j],
                               [&](Vec<T> v, Vec<T> tj) { return flush_tiny((v - tj) * scale); }));
        }
        store_lanes(offset, map_lanes(times(e.shift, weight), dot,
                                      [](Vec<T> a, Vec<T> b) { return a - b; }));
        store_lanes(mass, weight);
        store_lanes(total, e.total);
    }
    store_transposed_rows(c, rows, n, r.gradient + first * r.n);
}

// p = softmax(z), loss = -sum(t log p) = sum(t) log(sum exp(z)) - sum(t z), gradient
// sum(t) p - t. A label is a row of targets with a single one. Logarithms are taken sixteen rows
// at a time.
template <class T>
void softmax_cross_entropy_kernel(const LossRows<T>& r) {
    for (index_t first = 0; first < r.m; first += lanes) {
        const int rows = static_cast<int>(r.m - first < lanes ? r.m - first : lanes);
        T total[lanes], mass[lanes], offset[lanes];
        for (int i = 0; i < lanes; ++i) total[i] = mass[i] = offset[i] = T(1);
        if (r.n <= lanes && rows >= min_rows_to_transpose) {
            small_n_rows(r, first, rows, total, mass, offset);
        } else {
            for (int i = 0; i < rows; ++i) {
                const RowLoss<T> row =
                    r.n <= lanes ? small_n_row(r, first + i) : large_n_row(r, first + i);
                total[i] = row.total;
                mass[i] = row.mass;
                offset[i] = row.offset;
            }
        }
        const Lanes<T> logs = map_lanes(load_lanes(total), [](Vec<T> v) { return log(v); });
        store_lanes(r.loss + first, times(logs, load_lanes(mass)) + load_lanes(offset), rows);
    }
}

// The target of output j in row i, whichever way it was given.
template <class T>
PYNN_INLINE Lanes<T> target_lanes(const LossRows<T>& r, index_t i, index_t j, int count) {
    if (r.target) return load_lanes(r.target + i * r.n + j, count, T(0));
    T row[lanes] = {};
    const index_t at = r.n == 1 ? 0 : static_cast<index_t>(r.labels[i]) - j;
    if (at >= 0 && at < count) row[at] = r.n == 1 ? static_cast<T>(r.labels[i]) : T(1);
    return load_lanes(row);
}

// Sums term(z, t, j, count) over each row, j being the first of `count` outputs, and stores
// slope(z, t, j, count) * scale as the gradient.
template <class T, class Term, class Slope>
PYNN_INLINE void sum_of_lanes(const LossRows<T>& r, Term term, Slope slope) {
    const Vec<T> scale = set1(r.scale);
    for (index_t i = 0; i < r.m; ++i) {
        const T* z = r.z + i * r.n;
        T* gradient = r.gradient + i * r.n;
        Lanes<T> total = set_lanes(T(0));
        for_each_lanes(r.n, [&](index_t j, int count) {
            const Lanes<T> t = target_lanes(r, i, j, count);
            const Lanes<T> zj = load_lanes(z + j, count, T(0));
            total = total + mask_first(term(zj, t, j, count), count);
            const Lanes<T> g = slope(zj, t, j, count);
            store_lanes(gradient + j, map_lanes(g, [&](Vec<T> v) { return flush_tiny(v * scale); }),
                        count);
        });
        r.loss[i] = tree_sum(total);
    }
}
// The same where all outputs are alike: term(z, t) and slope(z, t) of a vector.
template <class T, class Term, class Slope>
PYNN_INLINE void sum_of_terms(const LossRows<T>& r, Term term, Slope slope) {
    sum_of_lanes(
        r,
        [&](const Lanes<T>& z, const Lanes<T>& t, index_t, int) { return map_lanes(z, t, term); },
        [&](const Lanes<T>& z, const Lanes<T>& t, index_t, int) { return map_lanes(z, t, slope); });
}

// p = sigmoid(z), loss = -sum(t log p + (1 - t) log(1 - p)) = sum(|z| w + log(1 + exp(-|z|))) with
// w = 1 - t for z > 0 and t otherwise, gradient p - t.
template <class T>
void sigmoid_cross_entropy_kernel(const LossRows<T>& r) {
    sum_of_terms(
        r,
        [](Vec<T> z, Vec<T> t) {
            const Vec<T> zero = set1(T(0)), size = abs(z);
            // What the probability of the wrong answer costs: nothing where it is 0, even for an
            // infinite logit.
            const Vec<T> wrong = select_less(zero, z, set1(T(1)) - t, t);
            const Vec<T> cost =
                select_less(abs(wrong), set1(Float<T>::denorm_min), zero, size * wrong);
            return cost + log1p_unit(exp(zero - size));
        },
        [](Vec<T> z, Vec<T> t) { return sigmoid(z) - t; });
}

// loss = sum((z - t)**2) / 2, gradient z - t.
template <class T>
void squared_error_kernel(const LossRows<T>& r) {
    sum_of_terms(
        r, [](Vec<T> z, Vec<T> t) { return ((z - t) * (z - t)) * set1(T(0.5)); },
        [](Vec<T> z, Vec<T> t) { return z - t; });
}

// sign(v) size, 0 at 0
template <class T>
PYNN_INLINE Vec<T> with_sign(Vec<T> size, Vec<T> v) {
    const Vec<T> zero = set1(T(0));
    return select_less(zero, v, size, select_less(v, zero, zero - size, zero * v));
}

// loss = sum(|z - t|), gradient sign(z - t), which is 0 at 0.
template <class T>
void absolute_error_kernel(const LossRows<T>& r) {
    sum_of_terms(
        r, [](Vec<T> z, Vec<T> t) { return abs(z - t); },
        [](Vec<T> z, Vec<T> t) { return with_sign(set1(T(1)), z - t); });
}

// With d = z - t: d**2 / 2 up to |d| = delta, and from there the line that continues it.
template <class T>
void huber_kernel(const LossRows<T>& r) {
    const Vec<T> delta = set1(r.delta), half = set1(T(0.5));
    sum_of_terms(
        r,
        [=](Vec<T> z, Vec<T> t) {
            const Vec<T> size = abs(z - t);
            const Vec<T> line = delta * (size - half * delta);
            return select_less(delta, size, line, half * (size * size));
        },
        [=](Vec<T> z, Vec<T> t) {
            const Vec<T> d = z - t;
            return select_less(delta, abs(d), with_sign(delta, d), d);
        });
}

// With d = t - z and the quantile q: q d where d > 0, (q - 1) d elsewhere; the gradient at 0 is 0.
template <class T>
void pinball_kernel(const LossRows<T>& r) {
    const Vec<T> one = set1(T(1)), zero = set1(T(0));
    const auto at_quantiles = [&](const Lanes<T>& z, const Lanes<T>& t, index_t j, int count,
                                  auto f) {
        const Lanes<T> q = load_lanes(r.quantile + j, count, T(0));
        const Lanes<T> d = map_lanes(t, z, [](Vec<T> a, Vec<T> b) { return a - b; });
        return map_lanes(d, q, f);
    };
    sum_of_lanes(
        r,
        [&](const Lanes<T>& z, const Lanes<T>& t, index_t j, int count) {
            return at_quantiles(z, t, j, count, [=](Vec<T> d, Vec<T> q) {
                return d * select_less(zero, d, q, q - one);
            });
        },
        [&](const Lanes<T>& z, const Lanes<T>& t, index_t j, int count) {
            return at_quantiles(z, t, j, count, [=](Vec<T> d, Vec<T> q) {
                return select_less(zero, d, zero - q, select_less(d, zero, one - q, zero * d));
            });
        });
}

// t log(t), 0 for t = 0. (The logarithm is one of normal numbers.)
template <class T>
PYNN_INLINE Vec<T> entropy(Vec<T> t) {
    const Vec<T> least = set1(Float<T>::min_normal);
    return select_less(t, least, set1(T(0)), t * log(max(least, t)));
}

// Half the deviance of Poisson's distribution with mean exp(z): exp(z) - t z + t log(t) - t,
// gradient exp(z) - t.
template <class T>
void poisson_kernel(const LossRows<T>& r) {
    sum_of_terms(
        r,
        [](Vec<T> z, Vec<T> t) {
            // Nothing where t is 0, even for an infinite z. Where exp(z) is infinite, t z is not.
            const Vec<T> finite = min(set1(MathConstants<T>::exp_high), z);
            const Vec<T> product = select_less(set1(T(0)), t, t * finite, set1(T(0)));
            return exp(z) - (product - (entropy(t) - t));
        },
        [](Vec<T> z, Vec<T> t) { return exp(z) - t; });
}
// The same of the mean z > 0 itself: gradient 1 - t / z.
template <class T>
void poisson_of_mean_kernel(const LossRows<T>& r) {
    sum_of_terms(
        r,
        [](Vec<T> z, Vec<T> t) {
            const Vec<T> zero = set1(T(0)), least = set1(Float<T>::min_normal);
            const Vec<T> inside = min(set1(Float<T>::max_finite), max(least, z));
            const Vec<T> cost = select_less(zero, t, t * log(inside), zero);
            return z - (cost - (entropy(t) - t));
        },
        [](Vec<T> z, Vec<T> t) { return set1(T(1)) - t / max(set1(Float<T>::min_normal), z); });
}

PYNN_ISA_END
