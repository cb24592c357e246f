// Sums that did not stay in registers, through the epilogue: whole rows of them.
#pragma once

#include "kernels/gemm_tile.h"

PYNN_ISA_BEGIN

// g's columns from j on.
template <class T>
PYNN_INLINE Gemm<T> columns_of(const Gemm<T>& g, index_t j, index_t columns) {
    Gemm<T> part = g;
    part.n = columns;
    part.b += j * g.b_col;
    part.c += j;
    if (g.bias) part.bias += j;
    if (g.y) part.y += j;
    return part;
}

// `rows` rows of sums, n contiguous values each, through the epilogue to rows i0, ... of c.
template <class T>
void write_rows(const Gemm<T>& g, const T* sums, index_t i0, index_t rows) {
    if (g.c_row == g.n && g.epilogue == Epilogue::update) {  // end to end
        update_kernel(*g.update, sums, g.c + i0 * g.n - g.update->w, rows * g.n);
        return;
    }
    if (g.c_row == g.n && g.epilogue == Epilogue::scale && g.beta != T(0)) {
        add_scaled(g.alpha, sums, g.beta, g.c + i0 * g.n, rows * g.n);
        return;
    }
    const Vec<T> floor = set1(g.floor), alpha = set1(g.alpha), beta = set1(g.beta);
    for (index_t i = i0; i < i0 + rows; ++i, sums += g.n) {
        T* const c = g.c + i * g.c_row;
        switch (g.epilogue) {
            case Epilogue::store:
                map(sums, c, g.n, [](Vec<T> v) { return v; });
                break;
            case Epilogue::bias:
                map(sums, g.bias, c, g.n, [=](Vec<T> v, Vec<T> b) { return max(floor, v + b); });
                break;
            case Epilogue::scale:
                if (g.beta == T(0)) {
                    map(sums, c, g.n, [=](Vec<T> v) { return alpha * v; });
                } else {
                    map(sums, c, c, g.n,
                        [=](Vec<T> v, Vec<T> old) { return fma(alpha, v, beta * old); });
                }
                break;
            case Epilogue::relu_backward:
                map(sums, g.y + i * g.y_row, c, g.n,
                    [](Vec<T> v, Vec<T> y) { return relu_gradient(v, y); });
                break;
            case Epilogue::update:
                update_kernel(*g.update, sums, c - g.update->w, g.n);
                break;
        }
    }
}

PYNN_ISA_END
