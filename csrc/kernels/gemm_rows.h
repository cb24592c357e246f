// Parts and transposes of a product, and sums that did not stay in registers: whole rows of them,
// through the epilogue.
#pragma once

#include "kernels/gemm_micro_kernel.h"

PYNN_ISA_BEGIN

// The product of the transposed operands, without an epilogue, to c (g.n x g.m).
template <class T>
PYNN_INLINE Gemm<T> transposed(const Gemm<T>& g, T* c, index_t c_row) {
    Gemm<T> t = g;  // (setting all to zeros would take longer)
    t.m = g.n;
    t.n = g.m;
    t.a = g.b;
    t.a_row = g.b_col;
    t.a_col = g.b_row;
    t.b = g.a;
    t.b_row = g.a_col;
    t.b_col = g.a_row;
    t.b_exceeds_l2 = false;
    t.c = c;
    t.c_row = c_row;
    t.epilogue = Epilogue::store;
    t.bias = nullptr;
    t.y = nullptr;
    return t;
}

// `rows` rows of sums, n contiguous values each, through the epilogue to c, from row i0 and column
// j0 on, where `bias` is. Rows of c that lie end to end are one row: without a partial vector at
// the end of each.
template <class T>
void write_block(const Gemm<T>& g, const T* sums, index_t i0, index_t rows, index_t j0, index_t n,
                 const T* bias) {
    T* const c = g.c + i0 * g.c_row + j0;
    const bool whole = g.c_row == n;
    if (g.epilogue == Epilogue::update) {
        update_block(*g.update, sums, whole ? rows * n : n, c - g.update->w, g.c_row,
                     whole ? 1 : rows, whole ? rows * n : n);
        return;
    }
    with_form(g.epilogue, g.beta, [&](auto tag) {
        constexpr Form F = decltype(tag)::form;
        constexpr bool reads_c = F == Form::add || F == Form::combine;
        constexpr bool has_other = F != Form::store && F != Form::scale;
        const bool is_one = whole && F != Form::bias && F != Form::relu_backward;
        const index_t count = is_one ? 1 : rows, length = is_one ? rows * n : n;
        const Vec<T> factor = factor_of<F, T>(g), beta = set1(g.beta);
        for (index_t i = 0; i < count; ++i) {
            T* const row = c + i * g.c_row;
            const T* const other = F == Form::bias ? bias
                                   : reads_c       ? row
                                                   : other_of<F>(g, c, i0 + i) + j0;
            const T* const from = sums + i * n;
            if constexpr (has_other) {
                map(from, other, row, length, [=](Vec<T> v, Vec<T> o) {
                    return finish<F>(factor, beta, v, other, [=](const T*) { return o; });
                });
            } else {
                map(from, row, length, [=](Vec<T> v) {
                    return finish<F>(factor, beta, v, from, [](auto p) { return load(p); });
                });
            }
        }
    });
}
template <class T>
PYNN_INLINE void write_rows(const Gemm<T>& g, const T* sums, index_t i0, index_t rows) {
    write_block(g, sums, i0, rows, 0, g.n, g.bias);
}

PYNN_ISA_END
