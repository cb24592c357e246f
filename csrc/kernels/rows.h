// Sums in the fixed order: sixteen lanes, then a tree; and the softmax of a row.
#pragma once

#include "kernels/softmax_small_n.h"

PYNN_ISA_BEGIN

// The sum of f(x[i]), f working on lanes of float64.
template <class T, class F>
PYNN_INLINE double sum_of(const T* x, index_t n, F f) {
    Lanes<double> total = set_lanes(0.0);
    for_each_lanes(n, [&](index_t i, int count) {
        double part[lanes] = {};
        for (int l = 0; l < count; ++l) part[l] = static_cast<double>(x[i + l]);
        total = f(total, load_lanes(part));
    });
    return tree_sum(total);
}
template <class T>
double sum_kernel(const T* x, index_t n) {
    return sum_of(x, n,
                  [](const Lanes<double>& total, const Lanes<double>& v) { return total + v; });
}
template <class T>
double sum_squares_kernel(const T* x, index_t n) {
    return sum_of(x, n, [](const Lanes<double>& total, const Lanes<double>& v) {
        return total + map_lanes(v, [](Vec<double> a) { return a * a; });
    });
}
template <class T>
double sum_abs_kernel(const T* x, index_t n) {
    return sum_of(x, n, [](const Lanes<double>& total, const Lanes<double>& v) {
        return total + map_lanes(v, [](Vec<double> a) { return abs(a); });
    });
}

// 0 x is 0 for a finite x and NaN otherwise.
template <class T>
bool all_finite_kernel(const T* x, index_t n) {
    // (Four chains of vectors: an addition takes four cycles.)
    constexpr int chains = Lanes<T>::count < 4 ? 4 / Lanes<T>::count : 1;
    const auto add = [](Vec<T> a, Vec<T> b) { return fma(a, set1(T(0)), b); };
    Lanes<T> totals[chains];
    PYNN_UNROLL
    for (int c = 0; c < chains; ++c) totals[c] = set_lanes(T(0));
    index_t start = 0;
    for (; start + chains * lanes <= n; start += chains * lanes) {
        PYNN_UNROLL
        for (int c = 0; c < chains; ++c) {
            totals[c] = map_lanes(load_lanes(x + start + c * lanes), totals[c], add);
        }
    }
    Lanes<T> total = totals[0];
    PYNN_UNROLL
    for (int c = 1; c < chains; ++c) total = total + totals[c];
    for_each_lanes(n - start, [&](index_t i, int count) {
        const T* const rest = x + start + i;
        const Lanes<T> v = count == lanes ? load_lanes(rest) : load_lanes(rest, count, T(0));
        total = map_lanes(v, total, add);
    });
    return tree_sum(total) == T(0);
}

// Sums down NV vectors of columns: chains over the rows, cut where a product cuts them, so the
// bits are those of a row of ones times x.
template <class T, int Vectors, class Load, class Store>
PYNN_INLINE void column_sums(const T* x, index_t x_row, index_t m, Load load_at, Store store_at) {
    Vec<T> total[Vectors];
    PYNN_UNROLL
    for (int v = 0; v < Vectors; ++v) total[v] = set1(T(0));
    for (index_t start = 0; start < m; start += KC) {
        const index_t stop = m < start + KC ? m : start + KC;
        Vec<T> piece[Vectors];
        PYNN_UNROLL
        for (int v = 0; v < Vectors; ++v) piece[v] = set1(T(0));
        for (index_t i = start; i < stop; ++i) {
            PYNN_UNROLL
            for (int v = 0; v < Vectors; ++v) piece[v] = piece[v] + load_at(x + i * x_row, v);
        }
        PYNN_UNROLL
        for (int v = 0; v < Vectors; ++v) total[v] = start == 0 ? piece[v] : total[v] + piece[v];
    }
    PYNN_UNROLL
    for (int v = 0; v < Vectors; ++v) store_at(total[v], v);
}

template <class T>
void column_sums_kernel(const T* x, index_t x_row, T* out, index_t m, index_t n) {
    constexpr int w = Vec<T>::width;
    constexpr int many = 4;  // the latency of an addition
    index_t j = 0;
    const auto load_at = [&](const T* row, int v) { return load(row + j + v * w); };
    const auto store_at = [&](Vec<T> sum, int v) { store(out + j + v * w, sum); };
    for (; j + many * w <= n; j += many * w) column_sums<T, many>(x, x_row, m, load_at, store_at);
    for (; j + w <= n; j += w) column_sums<T, 1>(x, x_row, m, load_at, store_at);
    if (const int left = static_cast<int>(n - j)) {
        column_sums<T, 1>(
            x, x_row, m, [&](const T* row, int) { return load_n(row + j, left); },
            [&](Vec<T> sum, int) { store_n(out + j, sum, left); });
    }
}

// A vector of columns at a time, whose squares are summed in order.
template <class T, class Load, class Store>
PYNN_INLINE void clip_norms_of_vector(T max_norm, T* x, index_t x_row, index_t m, Load load_at,
                                      Store store_at) {
    Vec<T> squares = set1(T(0));
    for (index_t i = 0; i < m; ++i) {
        const Vec<T> v = load_at(x + i * x_row);
        squares = fma(v, v, squares);
    }
    const Vec<T> limit = set1(max_norm);
    Vec<T> factor = limit / max(limit, sqrt(squares));
    if (fold_max(squares) > Float<T>::max_finite) {
        // Squares of finite values overflow: the column's as parts of its largest do not. (A column
        // with an infinity becomes NaN.)
        Vec<T> largest = set1(T(1)), parts = set1(T(0));
        for (index_t i = 0; i < m; ++i) largest = max(largest, abs(load_at(x + i * x_row)));
        for (index_t i = 0; i < m; ++i) {
            const Vec<T> v = load_at(x + i * x_row) / largest;
            parts = fma(v, v, parts);
        }
        const Vec<T> of_parts = (limit / largest) / sqrt(parts);
        factor = select_less(set1(Float<T>::max_finite), squares, of_parts, factor);
    }
    for (index_t i = 0; i < m; ++i) {
        store_at(x + i * x_row, load_at(x + i * x_row) * factor);
    }
}
template <class T>
void clip_column_norms_kernel(T max_norm, T* x, index_t x_row, index_t m, index_t n) {
    constexpr int w = Vec<T>::width;
    index_t j = 0;
    for (; j + w <= n; j += w) {
        clip_norms_of_vector(
            max_norm, x + j, x_row, m, [](const T* p) { return load(p); },
            [](T* p, Vec<T> v) { store(p, v); });
    }
    if (const int left = static_cast<int>(n - j)) {
        clip_norms_of_vector(
            max_norm, x + j, x_row, m, [=](const T* p) { return load_n(p, left); },
            [=](T* p, Vec<T> v) { store_n(p, v, left); });
    }
}

template <class T>
PYNN_INLINE T row_max(const T* x, index_t n) {
    Lanes<T> best = set_lanes(x[0]);
    for_each_lanes(n, [&](index_t i, int count) {
        const Lanes<T> v = count == lanes ? load_lanes(x + i) : load_lanes(x + i, count, x[0]);
        best = map_lanes(best, v, [](Vec<T> a, Vec<T> b) { return max(a, b); });
    });
    return largest(best);
}

// y = exp(x - largest); returns the sum, and the largest through `shift`.
template <class T>
PYNN_INLINE T exp_row(const T* x, T* y, index_t n, T& shift) {
    shift = row_max(x, n);
    const Vec<T> top = set1(shift);
    const auto shifted = [&](Vec<T> v) { return exp(v - top); };
    Lanes<T> total = set_lanes(T(0));
    for_each_lanes(n, [&](index_t i, int count) {
        if (count == lanes) {
            const Lanes<T> e = map_lanes(load_lanes(x + i), shifted);
            store_lanes(y + i, e);
            total = total + e;
        } else {
            const Lanes<T> e =
                mask_first(map_lanes(load_lanes(x + i, count, shift), shifted), count);
            store_lanes(y + i, e, count);
            total = total + e;
        }
    });
    return tree_sum(total);
}

template <class T>
void softmax_kernel(const T* x, T* y, index_t m, index_t n) {
    if (n <= lanes) {
        softmax_small_n(x, y, m, static_cast<int>(n));
        return;
    }
    for (index_t i = 0; i < m; ++i) {
        T shift;
        T* row = y + i * n;
        const Vec<T> total = set1(exp_row(x + i * n, row, n, shift));
        map(row, row, n, [&](Vec<T> v) { return v / total; });
    }
}

// y = x - largest - log(sum(exp(x - largest)))
template <class T>
void log_softmax_kernel(const T* x, T* y, index_t m, index_t n) {
    for (index_t i = 0; i < m; ++i) {
        const T* row = x + i * n;
        // An infinite maximum stays in x, as in SciPy: its own result is NaN, the others'
        // -infinity.
        const T most = row_max(row, n), top = most == Float<T>::infinity ? T(0) : most;
        const Vec<T> shift = set1(top);
        Lanes<T> total = set_lanes(T(0));
        for_each_lanes(n, [&](index_t j, int count) {
            const Lanes<T> e = map_lanes(load_lanes(row + j, count, top),
                                         [&](Vec<T> v) { return exp(v - shift); });
            total = total + mask_first(e, count);
        });
        const Vec<T> log_sum = log(set1(tree_sum(total)));
        map(row, y + i * n, n, [&](Vec<T> v) { return (v - shift) - log_sum; });
    }
}

// dx = dy - exp(y) sum(dy)
template <class T>
void log_softmax_backward_kernel(const T* dy, const T* y, T* dx, index_t m, index_t n) {
    for (index_t i = 0; i < m; ++i) {
        const T *d = dy + i * n, *v = y + i * n;
        Lanes<T> total = set_lanes(T(0));
        for_each_lanes(
            n, [&](index_t j, int count) { total = total + load_lanes(d + j, count, T(0)); });
        const Vec<T> sum = set1(tree_sum(total));
        map(d, v, dx + i * n, n, [&](Vec<T> a, Vec<T> b) { return fnma(exp(b), sum, a); });
    }
}

// dx = y (dy - sum(dy y))
template <class T>
void softmax_backward_kernel(const T* dy, const T* y, T* dx, index_t m, index_t n) {
    for (index_t i = 0; i < m; ++i) {
        const T *d = dy + i * n, *p = y + i * n;
        Lanes<T> total = set_lanes(T(0));
        for_each_lanes(n, [&](index_t j, int count) {
            total =
                total + map_lanes(load_lanes(d + j, count, T(0)), load_lanes(p + j, count, T(0)),
                                  [](Vec<T> a, Vec<T> b) { return a * b; });
        });
        const Vec<T> dot = set1(tree_sum(total));
        map(d, p, dx + i * n, n, [&](Vec<T> a, Vec<T> b) { return b * (a - dot); });
    }
}

PYNN_ISA_END
