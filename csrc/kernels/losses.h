// Losses: from a block of outputs (or logits) and targets, each row's loss and the gradient.
#pragma once

#include "kernels/rows.h"

PYNN_ISA_BEGIN

// p = softmax(z), loss = -sum(t log p) = sum(t) log(sum exp(z)) - sum(t z), gradient
// sum(t) p - t. A label is a row of targets with a single one. Logarithms are taken sixteen rows
// at a time.
template <class T>
void softmax_cross_entropy_kernel(const LossRows<T>& r) {
    const index_t n = r.n;
    const Vec<T> scale = set1(r.scale);
    for (index_t first = 0; first < r.m; first += lanes) {
        const int rows = static_cast<int>(r.m - first < lanes ? r.m - first : lanes);
        T total[lanes], mass[lanes], offset[lanes];
        for (int i = 0; i < lanes; ++i) total[i] = mass[i] = offset[i] = T(1);
        for (int i = 0; i < rows; ++i) {
            const T* z = r.z + (first + i) * n;
            T* gradient = r.gradient + (first + i) * n;
            T shift;
            if (r.labels) {
                const index_t label = static_cast<index_t>(r.labels[first + i]);
                const T z_label = z[label];  // before the gradient overwrites it
                total[i] = exp_row(z, gradient, n, shift);
                offset[i] = shift - z_label;
                const T e_label = gradient[label];
                const Vec<T> sum = set1(total[i]);
                map(gradient, gradient, n, [&](Vec<T> e) { return (e / sum) * scale; });
                gradient[label] = (e_label / total[i] - T(1)) * r.scale;
            } else {
                const T* t = r.target + (first + i) * n;
                Lanes<T> weight = set_lanes(T(0)), dot = set_lanes(T(0));
                by_lanes(n, [&](index_t j, int count) {
                    const Lanes<T> tj = load_lanes(t + j, count, T(0));
                    weight = weight + tj;
                    dot = dot + each(tj, load_lanes(z + j, count, T(0)),
                                     [](Vec<T> a, Vec<T> b) { return a * b; });
                });
                mass[i] = tree_sum(weight);
                const T product = tree_sum(dot);
                total[i] = exp_row(z, gradient, n, shift);
                offset[i] = shift * mass[i] - product;
                const Vec<T> sum = set1(total[i]), factor = set1(mass[i]);
                map(gradient, t, gradient, n,
                    [&](Vec<T> e, Vec<T> target) { return ((e / sum) * factor - target) * scale; });
            }
        }
        Lanes<T> loss = each(load_lanes(total), [](Vec<T> v) { return log(v); });
        loss = each(loss, load_lanes(mass), [](Vec<T> a, Vec<T> b) { return a * b; });
        store_lanes(r.loss + first, loss + load_lanes(offset), rows);
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

// Sums term(z, t) over each row and stores slope(z, t) * scale as the gradient.
template <class T, class Term, class Slope>
PYNN_INLINE void sum_of_terms(const LossRows<T>& r, Term term, Slope slope) {
    const Vec<T> scale = set1(r.scale);
    for (index_t i = 0; i < r.m; ++i) {
        const T* z = r.z + i * r.n;
        T* gradient = r.gradient + i * r.n;
        Lanes<T> total = set_lanes(T(0));
        by_lanes(r.n, [&](index_t j, int count) {
            const Lanes<T> t = target_lanes(r, i, j, count);
            const Lanes<T> zj = load_lanes(z + j, count, T(0));
            total = total + keep_first(each(zj, t, term), count);
            const Lanes<T> g = each(zj, t, slope);
            store_lanes(gradient + j, each(g, [&](Vec<T> v) { return v * scale; }), count);
        });
        r.loss[i] = tree_sum(total);
    }
}

// p = sigmoid(z), loss = -sum(t log p + (1 - t) log(1 - p)) = sum(max(z, 0) - z t +
// log(1 + exp(-|z|))), gradient p - t.
template <class T>
void sigmoid_cross_entropy_kernel(const LossRows<T>& r) {
    sum_of_terms(
        r,
        [](Vec<T> z, Vec<T> t) {
            const Vec<T> e = exp(set1(T(0)) - abs(z));
            return (relu(z) - z * t) + log1p_unit(e);
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

PYNN_ISA_END
