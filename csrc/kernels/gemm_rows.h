// Parts and transposes of a product, and sums that did not stay in registers: whole rows of them,
// through the epilogue.
#pragma once

#include "kernels/gemm_micro_kernel.h"

PYNN_ISA_BEGIN

// The product of the transposed operands, without an epilogue, to c (g.n x g.m).
template <class T>
PYNN_INLINE Gemm<T> transposed(const Gemm<T>& g, T* c, index_t c_row) {
    Gemm<T> t{};
    t.m = g.n;
    t.n = g.m;
    t.k = g.k;
    t.a = g.b;
    t.a_row = g.b_col;
    t.a_col = g.b_row;
    t.b = g.a;
    t.b_row = g.a_col;
    t.b_col = g.a_row;
    t.c = c;
    t.c_row = c_row;
    t.epilogue = Epilogue::store;
    t.workspace = g.workspace;
    t.prefetcher = g.prefetcher;
    return t;
}

// `rows` rows of sums, n contiguous values each, through the epilogue to rows i0, ... of c. Rows of
// c that lie end to end are one row: without a partial vector at the end of each.
template <class T>
void write_rows(const Gemm<T>& g, const T* sums, index_t i0, index_t rows) {
    T* const c = g.c + i0 * g.c_row;
    const bool whole = g.c_row == g.n;
    if (g.epilogue == Epilogue::update) {
        update_block(*g.update, sums, whole ? rows * g.n : g.n, c - g.update->w, g.c_row,
                     whole ? 1 : rows, whole ? rows * g.n : g.n);
        return;
    }
    with_form(g.epilogue, g.beta, [&](auto tag) {
        constexpr Form F = decltype(tag)::form;
        constexpr bool has_other = F != Form::store && F != Form::scale;
        const bool is_one = whole && F != Form::bias && F != Form::relu_backward;
        const index_t count = is_one ? 1 : rows, length = is_one ? rows * g.n : g.n;
        const Vec<T> factor = factor_of<F, T>(g), beta = set1(g.beta);
        for (index_t i = 0; i < count; ++i) {
            T* const row = c + i * g.c_row;
            const T* const other = other_of<F>(g, static_cast<const T*>(row), i0 + i);
            const T* const from = sums + i * g.n;
            if constexpr (has_other) {
                map(from, other, row, length, [=](Vec<T> v, Vec<T> o) {
                    return finish<F>(factor, beta, v, other, [=](const T*) { return o; });
                });
            } else {
                map(from, row, length, [=](Vec<T> v) {
                    return finish<F>(factor, beta, v, other, [](auto p) { return load(p); });
                });
            }
        }
    });
}

PYNN_ISA_END
