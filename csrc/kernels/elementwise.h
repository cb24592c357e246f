// Activations and their derivatives, element by element. Derivatives are functions of the output.
#pragma once

#include "kernels/gelu.h"
#include "kernels/math.h"

PYNN_ISA_BEGIN

template <class T>
void relu_kernel(const T* x, T* y, index_t n) {
    map(x, y, n, [](Vec<T> v) { return relu(v); });
}
template <class T>
void sigmoid_kernel(const T* x, T* y, index_t n) {
    map(x, y, n, [](Vec<T> v) { return sigmoid(v); });
}
template <class T>
void tanh_kernel(const T* x, T* y, index_t n) {
    map(x, y, n, [](Vec<T> v) { return tanh(v); });
}

template <class T>
void exp_kernel(const T* x, T* y, index_t n) {
    map(x, y, n, [](Vec<T> v) { return exp(v); });
}
template <class T>
void softplus_kernel(const T* x, T* y, index_t n) {
    map(x, y, n, [](Vec<T> v) { return softplus(v); });
}
template <class T>
void silu_kernel(const T* x, T* y, index_t n) {
    map(x, y, n, [](Vec<T> v) { return silu(v); });
}
template <class T>
void gelu_kernel(const T* x, T* y, index_t n) {
    map(x, y, n, [](Vec<T> v) { return gelu(v); });
}
template <class T>
void gelu_tanh_kernel(const T* x, T* y, index_t n) {
    map(x, y, n, [](Vec<T> v) { return gelu_tanh(v); });
}
template <class T>
void elu_kernel(T alpha, const T* x, T* y, index_t n) {
    map(x, y, n, [=](Vec<T> v) { return elu(v, set1(alpha)); });
}
template <class T>
void leaky_relu_kernel(T alpha, const T* x, T* y, index_t n) {
    map(x, y, n, [=](Vec<T> v) { return select_less(v, set1(T(0)), v * set1(alpha), v); });
}

// As a layer passes them on (vec.h: flush_tiny), without a denormal number on the way.
template <class T>
void flushed_sigmoid_kernel(const T* x, T* y, index_t n) {
    const Vec<T> low = set1(MathConstants<T>::exp_flush_limit);
    map(x, y, n, [=](Vec<T> v) { return flush_tiny(sigmoid(max(low, v))); });
}
template <class T>
void flushed_exp_kernel(const T* x, T* y, index_t n) {
    const Vec<T> low = set1(MathConstants<T>::exp_flush_limit);
    map(x, y, n, [=](Vec<T> v) { return flush_tiny(exp(max(low, v))); });
}
template <class T>
void flushed_softplus_kernel(const T* x, T* y, index_t n) {
    const Vec<T> low = set1(MathConstants<T>::exp_flush_limit);
    map(x, y, n, [=](Vec<T> v) { return flush_tiny(softplus(max(low, v))); });
}
template <class T>
void flushed_silu_kernel(const T* x, T* y, index_t n) {
    const Vec<T> low = set1(MathConstants<T>::exp_flush_limit);
    map(x, y, n, [=](Vec<T> v) { return flush_tiny(silu(max(low, v))); });
}
template <class T>
void flushed_gelu_kernel(const T* x, T* y, index_t n) {
    const Vec<T> low = set1(MathConstants<T>::gelu_flush_limit);
    map(x, y, n, [=](Vec<T> v) { return flush_tiny(gelu(max(low, v))); });
}
template <class T>
void flush_tiny_kernel(const T* x, T* y, index_t n) {
    map(x, y, n, [](Vec<T> v) { return flush_tiny(v); });
}

// The derivative at 0 is 0.
template <class T>
PYNN_INLINE Vec<T> relu_gradient(Vec<T> dy, Vec<T> y) {
    return select_less(set1(T(0)), y, dy, set1(T(0)));
}
template <class T>
void relu_backward_kernel(const T* dy, const T* y, T* dx, index_t n) {
    map(dy, y, dx, n, [](Vec<T> d, Vec<T> v) { return relu_gradient(d, v); });
}
template <class T>
void sigmoid_backward_kernel(const T* dy, const T* y, T* dx, index_t n) {
    map(dy, y, dx, n, [](Vec<T> d, Vec<T> v) { return d * (v * (set1(T(1)) - v)); });
}
template <class T>
void tanh_backward_kernel(const T* dy, const T* y, T* dx, index_t n) {
    map(dy, y, dx, n, [](Vec<T> d, Vec<T> v) { return d * fnma(v, v, set1(T(1))); });
}
template <class T>
void exp_backward_kernel(const T* dy, const T* y, T* dx, index_t n) {
    map(dy, y, dx, n, [](Vec<T> d, Vec<T> v) { return d * v; });
}
template <class T>
void scale_kernel(T factor, const T* x, T* y, index_t n) {
    map(x, y, n, [=](Vec<T> v) { return set1(factor) * v; });
}

template <class T>
void elu_backward_kernel(T alpha, const T* dy, const T* y, T* dx, index_t n) {
    map(dy, y, dx, n,
        [=](Vec<T> d, Vec<T> v) { return select_less(set1(T(0)), v, d, d * (v + set1(alpha))); });
}
template <class T>
void leaky_relu_backward_kernel(T alpha, const T* dy, const T* y, T* dx, index_t n) {
    map(dy, y, dx, n,
        [=](Vec<T> d, Vec<T> v) { return select_less(set1(T(0)), v, d, d * set1(alpha)); });
}
// sigmoid(x) = 1 - exp(-softplus(x))
template <class T>
void softplus_backward_kernel(const T* dy, const T* y, T* dx, index_t n) {
    map(dy, y, dx, n,
        [](Vec<T> d, Vec<T> v) { return d * (set1(T(0)) - expm1_negative(set1(T(0)) - v)); });
}
// Of the functions that are not monotonic x itself is needed.
template <class T>
void silu_backward_kernel(const T* dy, const T* x, T* dx, index_t n) {
    map(dy, x, dx, n, [](Vec<T> d, Vec<T> v) { return d * silu_derivative(v); });
}
template <class T>
void gelu_backward_kernel(const T* dy, const T* x, T* dx, index_t n) {
    map(dy, x, dx, n, [](Vec<T> d, Vec<T> v) { return d * gelu_derivative(v); });
}
template <class T>
void flushed_silu_backward_kernel(const T* dy, const T* x, T* dx, index_t n) {
    const Vec<T> low = set1(MathConstants<T>::exp_flush_limit);
    map(dy, x, dx, n, [=](Vec<T> d, Vec<T> v) {
        return flush_tiny(d * flush_tiny(silu_derivative(max(low, v))));
    });
}
template <class T>
void flushed_gelu_backward_kernel(const T* dy, const T* x, T* dx, index_t n) {
    const Vec<T> low = set1(MathConstants<T>::gelu_flush_limit);
    map(dy, x, dx, n, [=](Vec<T> d, Vec<T> v) {
        return flush_tiny(d * flush_tiny(gelu_derivative(max(low, v))));
    });
}
template <class T>
void gelu_tanh_backward_kernel(const T* dy, const T* x, T* dx, index_t n) {
    map(dy, x, dx, n, [](Vec<T> d, Vec<T> v) { return d * gelu_tanh_derivative(v); });
}

PYNN_ISA_END
