// The micro-kernel: a tile of the product in registers.
//
// acc[i][j] holds row i of the tile, columns j * width onwards. A step of k loads the vectors of
// one row of b, broadcasts one element of a for each row, and does rows x vectors fused
// multiply-adds. a is read through two strides, so the same code serves a row-major, a transposed
// and a packed operand.
#pragma once

#include "kernels/gemm_epilogue.h"
#include "kernels/optimizers.h"

PYNN_ISA_BEGIN

template <class T>
struct MicroKernelArgs {
    index_t k;
    const T* a;
    index_t a_row, a_col;
    const T* b;
    index_t b_row;
    T* c;
    index_t c_row;
    int last;         // columns in the last vector
    bool accumulate;  // add what is in c first: c holds the sum of the earlier pieces of k
    // Where a chain is computed in parts (gemm_skinny.h): the partial sums of the tile, in whole
    // vectors, rows this far apart. null: they begin, or end, here.
    const T* acc_in;
    T* acc_out;
    index_t acc_in_row, acc_out_row;
    // What a prefetching tile reads every few steps of k: two lines of the cache, and how
    // far it is to the next two.
    const char* prefetch;
    index_t prefetch_stride;
    Epilogue epilogue;
    const T* bias;
    T floor, alpha, beta;
    const T* y;
    index_t y_row;
    const OptimizerStep<T>* update;
};

// The rows of a tile through few registers: x86 addresses reach base + offset * {1, 2, 4, 8}, so a
// base for every five rows, the stride and its triple reach all of them. (A register for each row's
// offset was too many: the compiler kept some in memory and one in a vector register, and moving
// that one back took a multiply-add's place on port 0 in every step.)
template <class T, int Rows>
struct RowPointers {
    static constexpr int group = 5, groups = (Rows + group - 1) / group;
    const char* base[groups];
    index_t stride, three;

    PYNN_INLINE RowPointers(const T* a, index_t row) {
        stride = row * static_cast<index_t>(sizeof(T));
        three = 3 * stride;
        PYNN_UNROLL
        for (int g = 0; g < groups; ++g) {
            base[g] = reinterpret_cast<const char*>(a) + g * group * stride;
        }
    }
    // The element that is `column` after where the pointers are.
    PYNN_INLINE T at(int row, int column) const {
        const int in_group = row % group;
        const index_t offset = in_group == 3 ? three : in_group * stride;
        const char* const element = base[row / group] + offset;
        return *reinterpret_cast<const T*>(element + column * static_cast<index_t>(sizeof(T)));
    }
    PYNN_INLINE void step(index_t bytes) {
        PYNN_UNROLL
        for (int g = 0; g < groups; ++g) base[g] += bytes;
    }
};

// A line of the cache is fetched once for all of its vectors.
template <class T>
constexpr int vectors_per_line =
    Vec<T>::width * sizeof(T) < 64 ? 64 / (Vec<T>::width * sizeof(T)) : 1;

// A step of k: a row of b by an element of each row of a, which element_of(row) gives.
//
// The last vector is loaded in part if LastPart, whole otherwise (where b was packed and padded,
// or has no odd columns): a masked load takes a place on a multiply-add's port.
template <class T, int Rows, int Vectors, bool PartialLast, class F>
PYNN_INLINE void multiply_step(const T* b, int last, F element_of, Vec<T> (&acc)[Rows][Vectors]) {
    constexpr int w = Vec<T>::width;
    Vec<T> bv[Vectors];
    PYNN_UNROLL
    for (int j = 0; j < Vectors; ++j) {
        bv[j] = PartialLast && j == Vectors - 1 ? load_n(b + j * w, last) : load(b + j * w);
    }
    PYNN_UNROLL
    for (int i = 0; i < Rows; ++i) {
        const Vec<T> av = set1(element_of(i));
        PYNN_UNROLL
        for (int j = 0; j < Vectors; ++j) add_product(acc[i][j], av, bv[j]);
    }
}

template <class T, int Rows, int Vectors, bool PartialLast, bool Prefetches>
PYNN_INLINE void multiply(const MicroKernelArgs<T>& t, Vec<T> (&acc)[Rows][Vectors]) {
    constexpr int w = Vec<T>::width;
    constexpr index_t size = sizeof(T);
    RowPointers<T, Rows> a(t.a, t.a_row);
    const index_t a_step = t.a_col * size;
    const T* b = t.b;
    constexpr index_t prefetch_distance = 8;
    if (t.acc_in) {
        PYNN_UNROLL
        for (int i = 0; i < Rows; ++i) {
            PYNN_UNROLL
            for (int j = 0; j < Vectors; ++j) acc[i][j] = load(t.acc_in + i * t.acc_in_row + j * w);
        }
    } else {
        PYNN_UNROLL
        for (int i = 0; i < Rows; ++i) {
            PYNN_UNROLL
            for (int j = 0; j < Vectors; ++j) acc[i][j] = set1(T(0));
        }
    }
    index_t l = t.k;
    // (A single row waits for b, which is better fetched ahead than read in fewer instructions.)
    if constexpr (k_unroll > 1 && Rows > 1) {
        // Where the distances of a's elements are known: in rows, and in packed columns. (With an
        // `else` between them GCC 12 moves the accumulators about in the second loop.)
        const char* prefetch = Prefetches ? t.prefetch : nullptr;
        const index_t prefetch_stride = Prefetches ? t.prefetch_stride : 0;
        if (t.a_col == 1) {
            for (; l >= k_unroll; l -= k_unroll) {
                if constexpr (Prefetches) {
                    PYNN_PREFETCH_L2(prefetch);
                    PYNN_PREFETCH_L2(prefetch + 64);
                    prefetch += prefetch_stride;
                }
                PYNN_UNROLL
                for (int s = 0; s < k_unroll; ++s) {
                    multiply_step<T, Rows, Vectors, PartialLast>(
                        b, t.last, [&](int i) { return a.at(i, s); }, acc);
                    b += t.b_row;
                }
                a.step(k_unroll * size);
            }
        }
        if (t.a_row == 1 && t.a_col == MR) {
            const T* columns = t.a;
            for (; l >= k_unroll; l -= k_unroll) {
                PYNN_UNROLL
                for (int s = 0; s < k_unroll; ++s) {
                    const T* const column = columns + s * MR;
                    multiply_step<T, Rows, Vectors, PartialLast>(
                        b, t.last, [=](int i) { return column[i]; }, acc);
                    b += t.b_row;
                }
                columns += k_unroll * MR;
                a.step(k_unroll * MR * size);
            }
        }
    }
    for (; l > 0; --l) {
        // b's micropanel passes by from the L2 cache; its next rows are fetched ahead of their use.
        PYNN_UNROLL
        for (int j = 0; j < Vectors; j += vectors_per_line<T>) {
            PYNN_PREFETCH(b + j * w + prefetch_distance * t.b_row);
        }
        multiply_step<T, Rows, Vectors, PartialLast>(
            b, t.last, [&](int i) { return a.at(i, 0); }, acc);
        a.step(a_step);
        b += t.b_row;
    }
}

// What a tile will write at c, on its way to the L1 cache: no processor's own prefetching follows a
// tile's rows, and the epilogue would wait for each of them.
template <class T>
PYNN_INLINE void prefetch_c_tile(const MicroKernelArgs<T>& t, const T* c, index_t rows,
                                 index_t columns) {
    const bool updates = t.epilogue == Epilogue::update;
    const index_t at = updates ? c - t.update->w : 0;
    const T* const arrays[] = {c, updates && t.update->m ? t.update->m + at : nullptr,
                               updates && t.update->v ? t.update->v + at : nullptr};
    for (const T* first : arrays) {
        if (!first) continue;
        const T* row = first;
        for (index_t i = 0; i < rows; ++i, row += t.c_row) PYNN_PREFETCH(row);
        constexpr index_t line = 64 / sizeof(T);
        const index_t in_line =
            static_cast<index_t>(reinterpret_cast<uintptr_t>(first) / sizeof(T)) % line;
        if (in_line + columns <= line && t.c_row % line == 0) continue;
        row = first + columns - 1;
        for (index_t i = 0; i < rows; ++i, row += t.c_row) PYNN_PREFETCH(row);
    }
}

// c = the epilogue of acc, with a last vector of `left` columns. other: what the epilogue reads, at
// c's place.
template <Form F, class T, int Rows, int Vectors>
PYNN_INLINE void write(const MicroKernelArgs<T>& t, const Vec<T> (&acc)[Rows][Vectors], T* c,
                       const T* other, int left) {
    constexpr int w = Vec<T>::width, last = (Vectors - 1) * w;
    // (Read once: the compiler must assume that c overlaps t.)
    const index_t c_row = t.c_row, other_row = other_row_of<F>(t);
    const Vec<T> factor = factor_of<F, T>(t), beta = set1(t.beta);
    const auto whole = [](const T* p) { return load(p); };
    T* row = c;
    const T* other_at = other;
    PYNN_UNROLL
    for (int i = 0; i < Rows; ++i) {
        PYNN_UNROLL
        for (int j = 0; j < Vectors; ++j) {
            if (j == Vectors - 1 && left != w) continue;
            store(row + j * w, finish<F>(factor, beta, acc[i][j], other_at + j * w, whole));
        }
        row += c_row;
        other_at += other_row;
    }
    if (left == w) return;
    // The epilogue may read c, and a load near a partial store waits for it: loads come first.
    const auto part = [&](const T* p) { return load_n(p, left); };
    // (With pointers that step from row to row, as above, GCC 12 computes all of them beforehand.)
    c += last;
    other += last;
    Vec<T> results[Rows];
    PYNN_UNROLL
    for (int i = 0; i < Rows; ++i)
        results[i] = finish<F>(factor, beta, acc[i][Vectors - 1], other + i * other_row, part);
    PYNN_UNROLL
    for (int i = 0; i < Rows; ++i) store_n(c + i * c_row, results[i], left);
}

// The sums of a tile, row by row `row` values apart: what is stored beyond a row is overwritten by
// the next.
template <class T, int Rows, int Vectors>
PYNN_INLINE void store_sums(const Vec<T> (&acc)[Rows][Vectors], T* sums, index_t row) {
    PYNN_UNROLL
    for (int i = 0; i < Rows; ++i) {
        PYNN_UNROLL
        for (int j = 0; j < Vectors; ++j) store(sums + i * row + j * Vec<T>::width, acc[i][j]);
    }
}

template <class T, int Rows, int Vectors, bool PartialLast, bool Prefetches = false>
void micro_kernel(const MicroKernelArgs<T>& t) {
    constexpr int w = Vec<T>::width;
    Vec<T> acc[Rows][Vectors];
    multiply<T, Rows, Vectors, PartialLast, Prefetches>(t, acc);
    if (t.acc_out) {
        store_sums(acc, t.acc_out, t.acc_out_row);
        return;
    }
    if (t.accumulate) {
        const bool part = t.last != w;
        PYNN_UNROLL
        for (int i = 0; i < Rows; ++i) {
            PYNN_UNROLL
            for (int j = 0; j < Vectors; ++j) {
                const T* c = t.c + i * t.c_row + j * w;
                acc[i][j] = (part && j == Vectors - 1 ? load_n(c, t.last) : load(c)) + acc[i][j];
            }
        }
    }
    // Where whole rows of c lie end to end, they are one row: without a partial vector at the end
    // of each.
    const index_t n = (Vectors - 1) * w + t.last;
    const bool whole = t.c_row == n;
    if (t.epilogue == Epilogue::update) {
        // By way of the L1 cache: an update in every tile's registers would be most of the wheel.
        T g[Rows * Vectors * w];
        const index_t g_row = whole ? n : Vectors * w, at = t.c - t.update->w;
        store_sums(acc, g, g_row);
        if (whole) {
            update_kernel(*t.update, g, at, Rows * n);
        } else {
            update_block(*t.update, g, g_row, at, t.c_row, index_t(Rows), n);
        }
        return;
    }
    if (t.epilogue == Epilogue::scale && t.beta != T(0) && whole && t.last != w) {
        T sums[Rows * Vectors * w];
        store_sums(acc, sums, n);
        add_scaled(t.alpha, sums, t.beta, t.c, Rows * n);
        return;
    }
    with_form(t.epilogue, t.beta, [&](auto tag) PYNN_INLINE_LAMBDA {
        constexpr Form F = decltype(tag)::form;
        write<F>(t, acc, t.c, other_of<F>(t, static_cast<const T*>(t.c), 0), t.last);
    });
}

// Tiles by rows and vectors. A product of few rows may be wider than one of many.
template <class T>
using MicroKernel = void (*)(const MicroKernelArgs<T>&);

constexpr int max_vectors = 8;

template <class T>
struct MicroKernelTable {
    MicroKernel<T> at[MR + 1][max_vectors + 1][2];
};

template <class T, int Rows, int Vectors>
constexpr void fill_micro_kernels(MicroKernelTable<T>& table) {
    if constexpr (Vectors <= vectors_for_rows(Rows)) {
        table.at[Rows][Vectors][0] = micro_kernel<T, Rows, Vectors, false>;
        table.at[Rows][Vectors][1] = micro_kernel<T, Rows, Vectors, true>;
        fill_micro_kernels<T, Rows, Vectors + 1>(table);
    } else if constexpr (Rows < MR) {
        fill_micro_kernels<T, Rows + 1, 1>(table);
    }
}
template <class T>
constexpr MicroKernelTable<T> make_micro_kernels() {
    MicroKernelTable<T> table{};
    fill_micro_kernels<T, 1, 1>(table);
    return table;
}
template <class T>
constexpr MicroKernelTable<T> micro_kernels = make_micro_kernels<T>();

// Micro-kernels over whole micropanels of packed b that also prefetch, by rows.
template <class T>
struct PrefetchingMicroKernels {
    MicroKernel<T> at[MR + 1];
};

template <class T, int Rows>
constexpr void fill_prefetching_micro_kernels(PrefetchingMicroKernels<T>& table) {
    table.at[Rows] = micro_kernel<T, Rows, NR_VECTORS, false, true>;
    if constexpr (Rows < MR) fill_prefetching_micro_kernels<T, Rows + 1>(table);
}
template <class T>
constexpr PrefetchingMicroKernels<T> make_prefetching_micro_kernels() {
    PrefetchingMicroKernels<T> table{};
    fill_prefetching_micro_kernels<T, 2>(table);
    return table;
}
template <class T>
constexpr PrefetchingMicroKernels<T> prefetching_micro_kernels =
    make_prefetching_micro_kernels<T>();

PYNN_ISA_END
