// A column times a row, k = 1: as fast as its result can be written, one row after the other.
#pragma once

#include "kernels/vec.h"

PYNN_ISA_BEGIN

template <class T>
void outer_product(const T* a, index_t a_row, const T* b, index_t m, index_t n, T* c,
                   index_t c_row) {
    const Vec<T> zero = set1(T(0));  // a chain of one: fma(a, b, 0), which is +0 for -0
    for (index_t i = 0; i < m; ++i) {
        const Vec<T> factor = set1(a[i * a_row]);
        map(b, c + i * c_row, n, [=](Vec<T> v) { return fma(factor, v, zero); });
    }
}

PYNN_ISA_END
