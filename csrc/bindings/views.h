// Arrays as matrices of a product.
#pragma once

#include "bindings/arrays.h"

namespace pynn {

// A matrix, or a vector as a matrix. Strides are in elements.
template <class T>
struct View {
    T* data;
    index_t rows, columns, row, column;
};

// The stride of an axis of length 1 is arbitrary. Make it 1, so that the kernels read a column or a
// row in place.
template <class T>
View<T> normalize_strides(View<T> v) {
    if (v.columns == 1) v.column = 1;
    if (v.rows == 1 && v.column != 1) v.row = 1;
    return v;
}

template <class T>
View<T> transposed(const View<T>& v) {
    return normalize_strides(View<T>{v.data, v.columns, v.rows, v.column, v.row});
}

// View the last two axes; an array of one axis is a row (left operand) or a column (right).
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
    return normalize_strides(v);
}

// True if `as_rows` can view the array: a matrix of any strides, or a C-contiguous array.
inline bool has_rows(PyArrayObject* a) {
    return PyArray_NDIM(a) == 2 || (PyArray_NDIM(a) > 0 && PyArray_IS_C_CONTIGUOUS(a));
}
template <class T>
View<T> as_rows(PyArrayObject* a) {
    const int last = PyArray_NDIM(a) - 1;
    if (last == 1) return view<T>(a, true);
    const index_t columns = PyArray_DIM(a, last);
    index_t rows = 1;
    for (int i = 0; i < last; ++i) rows *= PyArray_DIM(a, i);
    return {static_cast<T*>(PyArray_DATA(a)), rows, columns, columns, 1};
}

// View a C-contiguous matrix.
template <class T>
View<T> dense(void* data, index_t rows, index_t columns) {
    return {static_cast<T*>(data), rows, columns, columns, 1};
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

inline double gemm_flops(index_t m, index_t n, index_t k) {
    return 2.0 * static_cast<double>(m) * static_cast<double>(n) * static_cast<double>(k);
}

}  // namespace pynn
