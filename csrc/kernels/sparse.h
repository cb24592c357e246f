// A row of a sparse matrix times a dense matrix, and a column of it times a row.
//
// The element of a product is a chain over k, cut every KC (kernel_table.h). A term of the
// chain whose factor is 0 leaves its value as it is, so the stored values alone give the dense
// product's bits, up to the sign of zero, as long as b is finite. The cut counts every k.
#pragma once

#include "kernels/gemm_plan.h"

PYNN_ISA_BEGIN

// Vectors of c at a time: each needs a register for its sum and one for the present piece.
constexpr int sparse_vectors = MR > 6 ? 8 : 6;

// Rows of b whose prefetch leads their use by about this many bytes.
constexpr index_t sparse_lead = 2048;

// Columns [j, j + NV * width) of c, of which the last vector has `last`.
template <class T, int Vectors, bool PartialLast>
void sparse_micro_kernel(const SparseProduct<T>& p, index_t j, int last) {
    constexpr int w = Vec<T>::width;
    constexpr index_t line = 64 / sizeof(T);
    const Vec<T> zero = set1(T(0));
    const T* const b = p.b + j;
    const index_t used = (Vectors - 1) * w + last;
    const index_t lead =
        p.b_exceeds_l2 ? at_least(2, sparse_lead / (Vectors * w * static_cast<index_t>(sizeof(T))))
                       : p.count;
    Vec<T> sum[Vectors], piece[Vectors];
    PYNN_UNROLL
    for (int i = 0; i < Vectors; ++i) sum[i] = zero;
    for (index_t e = 0; e < p.count;) {
        const index_t end = (p.columns[e] / KC + 1) * KC;
        PYNN_UNROLL
        for (int i = 0; i < Vectors; ++i) piece[i] = zero;
        do {
            if (e + lead < p.count) {
                const T* const next = b + static_cast<index_t>(p.columns[e + lead]) * p.b_row;
                for (index_t i = 0; i < used; i += line) PYNN_PREFETCH(next + i);
                PYNN_PREFETCH(next + used - 1);
            }
            const T* const row = b + static_cast<index_t>(p.columns[e]) * p.b_row;
            const Vec<T> factor = set1(p.values[e]);
            PYNN_UNROLL
            for (int i = 0; i < Vectors; ++i) {
                const bool part = PartialLast && i == Vectors - 1;
                add_product(piece[i], factor, part ? load_n(row + i * w, last) : load(row + i * w));
            }
            ++e;
        } while (e < p.count && p.columns[e] < end);
        PYNN_UNROLL
        for (int i = 0; i < Vectors; ++i) sum[i] = sum[i] + piece[i];
    }
    const Vec<T> floor = set1(p.floor);
    PYNN_UNROLL
    for (int i = 0; i < Vectors; ++i) {
        const bool part = PartialLast && i == Vectors - 1;
        if (p.bias) {
            const T* const bias = p.bias + j + i * w;
            sum[i] = max(floor, sum[i] + (part ? load_n(bias, last) : load(bias)));
        }
        if (part) {
            store_n(p.c + j + i * w, sum[i], last);
        } else {
            store(p.c + j + i * w, sum[i]);
        }
    }
}

// Columns [j, j + NV * width) of c and of the row, which stays in registers.
template <class T, int Vectors, bool PartialLast>
void outer_micro_kernel(const SparseOuter<T>& given, index_t j, int last) {
    constexpr int w = Vec<T>::width;
    // (A copy: for all the compiler knows, a mark that is stored may lie in the caller's.)
    const SparseOuter<T> p = given;
    Vec<T> row[Vectors];
    PYNN_UNROLL
    for (int i = 0; i < Vectors; ++i) {
        const T* const at = p.row + j + i * w;
        row[i] = PartialLast && i == Vectors - 1 ? load_n(at, last) : load(at);
    }
    for (index_t e = 0; e < p.count; ++e) {
        const index_t column = p.columns[e] - p.first;
        const Vec<T> factor = set1(p.values[e]);
        T* const c = p.c + column * p.c_row + j;
        if (j == 0) p.touched[column] = 1;
        PYNN_UNROLL
        for (int i = 0; i < Vectors; ++i) {
            Vec<T> sum = load(c + i * w);
            add_product(sum, factor, row[i]);
            store(c + i * w, sum);
        }
    }
}

template <class T>
struct SparseMicroKernels {
    void (*product[sparse_vectors + 1][2])(const SparseProduct<T>&, index_t, int);
    void (*outer[sparse_vectors + 1][2])(const SparseOuter<T>&, index_t, int);
};
template <class T, int Vectors>
constexpr void fill_sparse_micro_kernels(SparseMicroKernels<T>& table) {
    table.product[Vectors][0] = sparse_micro_kernel<T, Vectors, false>;
    table.product[Vectors][1] = sparse_micro_kernel<T, Vectors, true>;
    table.outer[Vectors][0] = outer_micro_kernel<T, Vectors, false>;
    table.outer[Vectors][1] = outer_micro_kernel<T, Vectors, true>;
    if constexpr (Vectors < sparse_vectors) fill_sparse_micro_kernels<T, Vectors + 1>(table);
}
template <class T>
constexpr SparseMicroKernels<T> make_sparse_micro_kernels() {
    SparseMicroKernels<T> table{};
    fill_sparse_micro_kernels<T, 1>(table);
    return table;
}
template <class T>
constexpr SparseMicroKernels<T> sparse_micro_kernels = make_sparse_micro_kernels<T>();

// f(vectors, columns of the last one, first column) for each tile of n columns.
template <class T, class F>
PYNN_INLINE void for_each_sparse_tile(index_t n, F f) {
    constexpr index_t w = Vec<T>::width;
    for (index_t j = 0, used; j < n; j += used) {
        used = at_most(sparse_vectors * w, n - j);
        const index_t vectors = ceil_div(used, w);
        f(vectors, static_cast<int>(used - (vectors - 1) * w), j);
    }
}

template <class T>
void sparse_product_kernel(const SparseProduct<T>& p) {
    for_each_sparse_tile<T>(p.n, [&](index_t vectors, int last, index_t j) {
        sparse_micro_kernels<T>.product[vectors][last != Vec<T>::width](p, j, last);
    });
}

template <class T>
void sparse_outer_kernel(const SparseOuter<T>& p) {
    for_each_sparse_tile<T>(p.n, [&](index_t vectors, int last, index_t j) {
        sparse_micro_kernels<T>.outer[vectors][last != Vec<T>::width](p, j, last);
    });
}

PYNN_ISA_END
