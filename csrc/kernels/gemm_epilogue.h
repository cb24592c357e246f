// What happens to an element of a product before it is stored: in one place for the micro-kernel,
// for sequences of them and for rows of sums that did not stay in registers.
#pragma once

#include "kernels/elementwise.h"
#include "kernels/optimizers.h"

PYNN_ISA_BEGIN

// Epilogue::scale reads c only where beta is not 0, and multiplies it only where beta is not 1.
// (Epilogue::update goes by way of memory: see update_kernel.)
enum class Form : int { store, bias, scale, add, combine, relu_backward };

// v: a vector of sums. `other`: the bias, y, or c at its place, whichever the form reads.
template <Form F, class T, class Load>
PYNN_INLINE Vec<T> finish(Vec<T> factor, Vec<T> beta, Vec<T> v, const T* other, Load load_at) {
    if constexpr (F == Form::bias) return max(factor, v + load_at(other));
    if constexpr (F == Form::scale) return factor * v;
    if constexpr (F == Form::add) return fma(factor, v, load_at(other));
    if constexpr (F == Form::combine) return fma(factor, v, beta * load_at(other));
    if constexpr (F == Form::relu_backward) return relu_gradient(v, load_at(other));
    return v;
}
// Of a Gemm or a tile: alpha or the floor, and `other` for the first element of row i.
template <Form F, class T, class P>
PYNN_INLINE Vec<T> factor_of(const P& p) {
    return set1(F == Form::bias ? p.floor : p.alpha);
}
template <Form F, class T, class P>
PYNN_INLINE const T* other_of(const P& p, const T* c, index_t i) {
    if constexpr (F == Form::bias) return p.bias;
    if constexpr (F == Form::relu_backward) return p.y + i * p.y_row;
    return c;
}
template <Form F, class P>
PYNN_INLINE index_t other_row_of(const P& p) {
    return F == Form::bias ? 0 : F == Form::relu_backward ? p.y_row : p.c_row;
}

template <Form F>
struct FormTag {
    static constexpr Form form = F;
};
// f(FormTag) for an epilogue that is not an update. (Inlined, f too: GCC 12 would keep the
// accumulators that f refers to in memory.)
template <class T, class F>
PYNN_INLINE void with_form(Epilogue epilogue, T beta, F f) {
    switch (epilogue) {
        case Epilogue::store:
            return f(FormTag<Form::store>());
        case Epilogue::bias:
            return f(FormTag<Form::bias>());
        case Epilogue::scale:
            if (beta == T(0)) return f(FormTag<Form::scale>());
            if (beta == T(1)) return f(FormTag<Form::add>());
            return f(FormTag<Form::combine>());
        case Epilogue::relu_backward:
            return f(FormTag<Form::relu_backward>());
        case Epilogue::update:
            return;
    }
}

// c = alpha sums + beta c, n values
template <class T>
void add_scaled(T alpha, const T* sums, T beta, T* c, index_t n) {
    const Vec<T> a = set1(alpha), b = set1(beta);
    map(sums, c, c, n, [=](Vec<T> v, Vec<T> old) {
        return finish<Form::combine>(a, b, v, c, [=](const T*) { return old; });
    });
}

PYNN_ISA_END
