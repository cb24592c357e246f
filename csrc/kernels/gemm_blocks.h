// Strategy "blocks": a block of b stays in the L2 cache while all rows of a pass by (Goto and van
// de Geijn 2008).
//
// Condition: none; it takes whatever no other strategy takes, and every form of a product.
#pragma once

#include "kernels/gemm_pack.h"
#include "kernels/gemm_tile_sequence.h"

PYNN_ISA_BEGIN

// A product, and where its operands are read: in place or packed.
template <class T>
struct CacheBlock {
    index_t k0, depth, j0, columns;
    T* packed_a;        // room for a tile; null: read a where it is
    const T* packed_b;  // null: read b where it is
};

// The segments of a block's sums that its micro-kernels tell apart: what is packed, or lies end to
// end, is one.
template <class T, bool IsPlain>
struct BlockSegments;

template <class T>
struct BlockSegments<T, true> {
    GemmPiece<T> piece[1];
    static constexpr index_t first[1] = {0};
    static constexpr int count = 1;

    PYNN_INLINE BlockSegments(const Gemm<T>& g, const CacheBlock<T>& s)
        : piece{terms_of<T>(g, s.k0, s.depth)} {}
};

template <class T>
struct BlockSegments<T, false> {
    GemmPiece<T> piece[max_pieces_in_place];
    index_t first[max_pieces_in_place];  // term, within the block
    int count = 0;

    PYNN_INLINE BlockSegments(const Gemm<T>& g, const CacheBlock<T>& s) {
        for_each_segment(g, s.k0, s.depth, [&](const GemmPiece<T>& p, index_t at) {
            if (count > 0 && s.packed_a) {
                GemmPiece<T>& before = piece[count - 1];
                const bool b_goes_on =
                    before.b + before.k * before.b_row == p.b && before.b_row == p.b_row;
                if (s.packed_b || b_goes_on) {
                    before.k += p.k;
                    return;
                }
            }
            piece[count] = p;
            first[count++] = at;
        });
        if (count > 0) return;
        piece[0] = terms_of(first_piece(g), 0, 0);  // an empty sum
        first[0] = 0;
        count = 1;
    }
};

// A share of the next tile of a, from row `start` on, on its way to the L2 cache while `used` of
// the block's columns are at work: the first micropanel would otherwise wait for every line of it.
template <class T>
PYNN_INLINE void prefetch_a(const Gemm<T>& g, const CacheBlock<T>& s, index_t start, index_t rows,
                            index_t j, index_t used) {
    const index_t begin = s.depth * j / s.columns, end = s.depth * (j + used) / s.columns;
    const T* a = g.a + start * g.a_row + s.k0 * g.a_col;
    if (g.a_col == 1) {
        for (index_t i = 0; i < rows; ++i) {
            for (index_t l = begin; l < end; l += BlockingPlan<T>::line) {
                PYNN_PREFETCH_L2(a + i * g.a_row + l);
            }
        }
    } else {
        for (index_t l = begin; l < end; ++l) PYNN_PREFETCH_L2(a + l * g.a_col);
    }
}

// Rows [begin, end) of a micropanel of b, on their way to the L2 cache.
template <class T>
PYNN_INLINE void prefetch_micropanel(const T* b, index_t b_row, index_t begin, index_t end,
                                     index_t columns) {
    for (index_t l = begin; l < end; ++l) {
        for (index_t j = 0; j < columns; j += BlockingPlan<T>::line)
            PYNN_PREFETCH_L2(b + l * b_row + j);
    }
}

// Prefetches the lines that are due after `operations` multiply-adds.
PYNN_INLINE void prefetch_rows(RowPrefetcher& prefetcher, float operations) {
    constexpr index_t line = 64;
    prefetcher.line_credit += operations * prefetcher.lines_per_fma;
    for (; prefetcher.line_credit >= 1 && prefetcher.next < prefetcher.end;
         prefetcher.line_credit -= 1) {
        const index_t row = static_cast<index_t>(prefetcher.order[prefetcher.next]);
        if (prefetcher.offset == 0 && prefetcher.targets) {
            PYNN_PREFETCH_L2(prefetcher.targets + row * prefetcher.target_stride);
        }
        const char* const start = prefetcher.rows + row * prefetcher.row_stride;
        PYNN_PREFETCH_L2(start + prefetcher.offset);
        prefetcher.offset += line;
        if (prefetcher.offset >= prefetcher.row_bytes) {
            PYNN_PREFETCH_L2(start + prefetcher.row_bytes - 1);
            prefetcher.offset = 0;
            ++prefetcher.next;
        }
    }
}

// What all tiles of a product have in common.
template <class T>
PYNN_INLINE MicroKernelArgs<T> micro_kernel_args(const Gemm<T>& g) {
    MicroKernelArgs<T> t;
    t.c_row = g.c_row;
    t.y_row = g.y_row;
    t.floor = g.floor;
    t.alpha = g.alpha;
    t.beta = g.beta;
    t.update = g.update;
    t.acc_in = nullptr;
    t.acc_out = nullptr;
    t.prefetch = nullptr;
    t.prefetch_stride = 0;
    return t;
}

// A tile of several segments, or whose chains products before it have begun (acc_in) or leave to
// others (acc_out). From one segment to the next the sums pass through the L1 cache: with a loop
// over segments in the micro-kernel, tiles of short sums took longer. place(q) sets t's operands to
// segment q's.
template <class T, class F>
PYNN_INLINE void multiply_segments(const Gemm<T>& g, MicroKernelArgs<T>& t, index_t at_row,
                                   index_t at_column, index_t rows, int vectors, bool is_masked,
                                   int count, bool resumes, bool suspends, F place) {
    constexpr index_t w = Vec<T>::width;
    alignas(64) T sums[MR * NR_VECTORS * w];
    const index_t row = vectors * w, columns = row - w + t.last;
    const bool is_whole = t.last == w;
    const T* const from = resumes ? g.acc_in + at_row * g.acc_in_row + at_column : nullptr;
    T* const to = suspends ? g.acc_out + at_row * g.acc_out_row + at_column : nullptr;
    // (A last vector that is not whole goes by way of `sums`, too.)
    if (resumes && !is_whole) {
        copy_block(from, g.acc_in_row, index_t(1), rows, columns, sums, row);
    }
    for (int q = 0; q < count; ++q) {
        const bool begins = q == 0, ends = q + 1 == count;
        const bool from_c = begins && is_whole, to_c = ends && is_whole;
        place(q);
        t.acc_in = begins && !resumes ? nullptr : from_c ? from : sums;
        t.acc_in_row = from_c ? g.acc_in_row : row;
        t.acc_out = ends && !suspends ? nullptr : to_c ? to : sums;
        t.acc_out_row = to_c ? g.acc_out_row : row;
        micro_kernels<T>.at[rows][vectors][is_masked](t);
    }
    if (suspends && !is_whole) {
        copy_block<T>(sums, row, index_t(1), rows, columns, to, g.acc_out_row);
    }
}

// IsPlain: is_plain(g). A small product would feel the tests otherwise.
template <bool IsPlain, class T>
void macro_kernel(const Gemm<T>& g, const BlockingPlan<T>& plan, const CacheBlock<T>& s) {
    constexpr int w = Vec<T>::width;
    constexpr index_t nr = NR_VECTORS * w;
    const RowPartition split(g.m);
    const BlockSegments<T, IsPlain> segments(g, s);
    MicroKernelArgs<T> t = micro_kernel_args(g);
    const bool begins = s.k0 == 0, ends = s.k0 + s.depth == g.k;
    t.accumulate = (IsPlain ? 0 : g.k_before) + s.k0 >= KC;
    t.epilogue = ends ? g.epilogue : Epilogue::store;
    // The unfinished chains of products before this one, and after it.
    const bool resumes = !IsPlain && begins && g.k_before % KC != 0;
    const bool stays_open = !IsPlain && ends && g.acc_out;
    const bool suspends = stays_open && (g.k_before + g.k) % KC != 0;
    if (stays_open) t.epilogue = Epilogue::store;
    t.k = segments.piece[0].k;
    t.a_row = s.packed_a ? plan.a_row : segments.piece[0].a_row;
    t.a_col = s.packed_a ? plan.a_col : segments.piece[0].a_col;
    const bool prefetches_c = should_prefetch_c(g);
    for (index_t i = 0; i < split.count; ++i) {
        const index_t start = split.start(i), rows = split.start(i + 1) - start;
        if (s.packed_a) {
            for_each_segment(g, s.k0, s.depth, [&](const GemmPiece<T>& p, index_t first) {
                if (plan.a_row == 1) {
                    pack_columns(p, 0, p.k, start, rows, s.packed_a + first * MR);
                } else {
                    pack_rows(p, start, rows, s.packed_a + first, plan.a_row);
                }
            });
        }
        t.a = s.packed_a ? s.packed_a : segments.piece[0].a + start * t.a_row;
        // The widest tile that the rows leave room for.
        const int vectors_max = s.packed_b ? plan.nr / w : vectors_for_rows(static_cast<int>(rows));
        const bool may_use_sequence = vectors_max == NR_VECTORS && s.columns >= 2 * nr &&
                                      segments.count == 1 && !resumes && !suspends;
        const TileSequenceKernel<T> run =
            may_use_sequence ? find_tile_sequence_kernel(t, rows) : nullptr;
        const bool prefetches = plan.prefetches_a && i + 1 < split.count;
        // At columns [j, j + used) of the block, in micropanels of `vectors`.
        const auto place = [&](index_t j, index_t used, int vectors) {
            const index_t column = s.j0 + j;
            if (s.packed_b) {
                t.b = s.packed_b + j * s.depth;
                t.b_row = vectors * w;
            } else {
                t.b = segments.piece[0].b + column;
                t.b_row = segments.piece[0].b_row;
            }
            t.bias = g.bias ? g.bias + column : nullptr;
            t.c = g.c + start * g.c_row + column;
            t.y = g.y ? g.y + start * g.y_row + column : nullptr;
            if (prefetches) prefetch_a(g, s, split.start(i + 1), rows, j, used);
            if (g.prefetcher) {
                prefetch_rows(*g.prefetcher,
                              static_cast<float>(rows * used) * static_cast<float>(s.depth));
            }
        };
        index_t j = 0;
        if (run) {
            t.last = w;
            const index_t b_step = s.packed_b ? nr * s.depth : nr;
            const index_t most = prefetches ? tiles_between_prefetches : s.columns / nr;
            for (index_t count; (count = at_most(most, (s.columns - j) / nr)) > 0;) {
                place(j, count * nr, NR_VECTORS);
                run(t, {count, 0, b_step, nr, prefetches_c});
                j += count * nr;
            }
        }
        for (index_t used; j < s.columns; j += used) {
            used = at_most(vectors_max * w, s.columns - j);
            const int vectors = static_cast<int>(ceil_div(used, w));
            t.last = static_cast<int>(used - (vectors - 1) * w);
            place(j, used, vectors);
            if (prefetches_c && j + used < s.columns) {
                prefetch_c_tile(t, t.c + used, rows, at_most(used, s.columns - j - used));
            }
            const bool is_masked = !s.packed_b && t.last != w;
            if (!IsPlain && (segments.count > 1 || resumes || suspends)) {
                const auto place_segment = [&](int q) {
                    const GemmPiece<T>& p = segments.piece[q];
                    const index_t first = segments.first[q];
                    t.k = p.k;
                    t.a_row = s.packed_a ? plan.a_row : p.a_row;
                    t.a_col = s.packed_a ? plan.a_col : p.a_col;
                    t.a = s.packed_a ? s.packed_a + first * plan.a_col : p.a + start * p.a_row;
                    t.b_row = s.packed_b ? vectors * w : p.b_row;
                    t.b = s.packed_b ? s.packed_b + j * s.depth + first * t.b_row : p.b + s.j0 + j;
                };
                multiply_segments(g, t, start, s.j0 + j, rows, vectors, is_masked, segments.count,
                                  resumes, suspends, place_segment);
            } else {
                micro_kernels<T>.at[rows][vectors][is_masked](t);
            }
        }
    }
}

template <bool IsPlain, class T>
PYNN_INLINE void multiply_blocked(const Gemm<T>& g) {
    const BlockingPlan<T> plan(g);
    T* const b_space = reinterpret_cast<T*>(static_cast<char*>(g.workspace) + plan.a_bytes);
    CacheBlock<T> s;
    s.packed_a = plan.packs_a ? static_cast<T*>(g.workspace) : nullptr;
    s.packed_b = plan.packs_b ? b_space : nullptr;
    for (s.j0 = 0; s.j0 < g.n; s.j0 += plan.columns) {
        s.columns = at_most(plan.columns, g.n - s.j0);
        s.k0 = 0;
        do {  // once for k = 0 too: the empty sum has an epilogue
            s.depth = at_most(KC - (IsPlain ? 0 : g.k_before + s.k0) % KC, g.k - s.k0);
            if (plan.packs_b) pack_b(g, plan.nr, s.k0, s.depth, s.j0, s.columns, b_space);
            macro_kernel<IsPlain>(g, plan, s);
            s.k0 += s.depth;
        } while (s.k0 < g.k);
    }
}

struct Blocks {
    static constexpr const char* name = "blocks";

    template <class T>
    static PYNN_INLINE bool applies(const Gemm<T>&) {
        return true;
    }
    template <class T>
    static PYNN_INLINE index_t workspace(const Gemm<T>& g) {
        return BlockingPlan<T>(g).bytes;
    }
    template <class T>
    static PYNN_INLINE void run(const Gemm<T>& g) {
        if (is_plain(g)) return multiply_blocked<true>(g);
        multiply_blocked<false>(g);
    }
};

PYNN_ISA_END
