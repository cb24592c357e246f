// The pieces of a product's sum (kernel_table.h: GemmPiece), and the segments of them that a chunk
// of k takes in.
#pragma once

#include "kernels/vec.h"

PYNN_ISA_BEGIN

constexpr index_t at_most(index_t a, index_t b) { return a < b ? a : b; }
constexpr index_t at_least(index_t a, index_t b) { return a < b ? b : a; }
constexpr index_t ceil_div(index_t a, index_t b) { return (a + b - 1) / b; }

// This number of pieces is read in place: a recurrent layer's x W + h U. More are packed. (The
// micro-kernel reads no tables of rows or columns: for each row its own pointer would take more
// registers than there are.)
constexpr index_t max_pieces_in_place = 4;

// True if a product is of one piece without tables, and its sum begins and ends here.
template <class T>
PYNN_INLINE bool is_plain(const Gemm<T>& g) {
    return !g.pieces && !g.a_rows && !g.a_cols && g.k_before == 0 && !g.acc_out;
}

// The first or only piece. It stands for all of them where a product's layout is judged.
template <class T>
PYNN_INLINE const GemmPiece<T>& first_piece(const Gemm<T>& g) {
    return g.pieces ? g.pieces[0] : g;
}

// f for each piece while it is true; whether it was for all.
template <class T, class F>
PYNN_INLINE bool all_pieces(const Gemm<T>& g, F f) {
    if (!g.pieces) return f(static_cast<const GemmPiece<T>&>(g));
    for (index_t i = 0; i < g.piece_count; ++i) {
        if (!f(g.pieces[i])) return false;
    }
    return true;
}

template <class T>
PYNN_INLINE bool has_table(const GemmPiece<T>& p) {
    return p.a_rows || p.a_cols;
}
// True if a lies column by column.
template <class T>
PYNN_INLINE bool is_column_major_a(const GemmPiece<T>& p) {
    return p.a_row == 1 && !p.a_rows && (p.a_col != 1 || p.a_cols);
}
// True if the pieces' b lie end to end in memory.
template <class T>
PYNN_INLINE bool is_one_b(const Gemm<T>& g) {
    for (index_t i = 1; i < g.piece_count; ++i) {
        const GemmPiece<T>&p = g.pieces[i - 1], &next = g.pieces[i];
        if (next.b != p.b + p.k * p.b_row || next.b_row != p.b_row || next.b_col != p.b_col)
            return false;
    }
    return true;
}

// Terms [first, first + count) of a piece.
template <class T>
PYNN_INLINE GemmPiece<T> terms_of(GemmPiece<T> p, index_t first, index_t count) {
    p.k = count;
    if (p.a_cols) {
        p.a_cols += first;
    } else {
        p.a += first * p.a_col;
    }
    p.b += first * p.b_row;
    return p;
}

// f(segment, its first term) for terms [k0, k0 + depth) of a product, piece by piece.
template <class T, class F>
PYNN_INLINE void for_each_segment(const Gemm<T>& g, index_t k0, index_t depth, F f) {
    if (!g.pieces) return f(terms_of<T>(g, k0, depth), index_t(0));
    index_t first = 0;
    for (const GemmPiece<T>* p = g.pieces; first < depth; ++p) {
        if (k0 >= p->k) {
            k0 -= p->k;
            continue;
        }
        GemmPiece<T> s = terms_of(*p, k0, at_most(p->k - k0, depth - first));
        if (s.a_rows) {
            s.a_rows += g.row;
        } else {
            s.a += g.row * s.a_row;
        }
        s.b += g.column * s.b_col;
        f(s, first);
        first += s.k;
        k0 = 0;
    }
}

PYNN_ISA_END
