// Arrays as the matrices of a product.
#pragma once

#include "bindings/arrays.h"

namespace pynn {

// A matrix or a vector as a matrix; strides in elements.
template <class T>
struct View {
    T* data;
    index_t rows, columns, row, column;
};

// axis: that of the matrix's last two, 1-D operands being a row (left) or a column (right).
template <class T>
View<T> view(PyArrayObject* a, bool left) {
    constexpr index_t size = sizeof(T);
    View<T> v{static_cast<T*>(PyArray_DATA(a)), 1, 1, 0, 0};
    const int n = PyArray_NDIM(a);
    if (n == 1) {
        (left ? v.columns : v.rows) = PyArray_DIM(a, 0);
        (left ? v.column : v.row) = PyArray_STRIDE(a, 0) / size;
    } else {
        v.rows = PyArray_DIM(a, n - 2);
        v.columns = PyArray_DIM(a, n - 1);
        v.row = PyArray_STRIDE(a, n - 2) / size;
        v.column = PyArray_STRIDE(a, n - 1) / size;
    }
    // An axis of length 1 has no stride; 1 lets the kernels read a column or a row in place.
    if (v.columns == 1) v.column = 1;
    if (v.rows == 1 && v.column != 1) v.row = 1;
    return v;
}

template <class T>
Gemm<T> gemm_of(View<T> a, View<T> b, View<T> c) {
    Gemm<T> g{};
    g.m = a.rows;
    g.k = a.columns;
    g.n = b.columns;
    g.a = a.data;
    g.a_row = a.row;
    g.a_col = a.column;
    g.b = b.data;
    g.b_row = b.row;
    g.b_col = b.column;
    g.c = c.data;
    g.c_row = c.row;
    return g;
}

inline double operations(index_t m, index_t n, index_t k) {
    return 2.0 * static_cast<double>(m) * static_cast<double>(n) * static_cast<double>(k);
}

}  // namespace pynn
