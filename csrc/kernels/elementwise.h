// Activations and their derivatives, element by element. Derivatives are functions of the output.
#pragma once

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
void add_bias_kernel(T* c, index_t c_row, const T* bias, index_t m, index_t n) {
    for (index_t i = 0; i < m; ++i) {
        map(c + i * c_row, bias, c + i * c_row, n, [](Vec<T> v, Vec<T> b) { return v + b; });
    }
}

PYNN_ISA_END
