// What is tuned in the products, in one place as BLIS has it: a row for each instruction set
// (tuning_<set>.h) and, here, what is the same for all.
//
// A row has, in elements, vectors or bytes,
//   MR, NR_VECTORS      rows and vectors of the micro-kernel's tile,
//   vectors_for_rows    the widest tile of fewer rows,
//   k_unroll            steps of k that its loop takes at once,
//   b_block_bytes       a block of b (KC x NC) that stays in the L2 cache while a passes by,
//   operand_bytes       from which on b is packed for many rows of a,
//   micropanels_stay_in_l1   whether a micropanel of b stays in the L1 cache (l1_panels, skinny),
//   prefetches_rows     whether products prefetch the next mini-batch,
//   outer_vectors       vectors of a short row, of those up to max_outer_vectors (outer.h),
//   streamed_rows_max   rows of a beside which b streams by (streamed),
//   max_sequence_k      the longest sum whose tiles run one after another (gemm_tile_sequence.h).
// KC and l2_bytes stand in kernel_table.h: the one is the arithmetic contract's, the other the
// layers', too.
#pragma once

#if defined(__AVX512F__)
#include "kernels/tuning_avx512.h"
#elif defined(__AVX2__)
#include "kernels/tuning_avx2.h"
#elif defined(__x86_64__) || defined(_M_X64)
#include "kernels/tuning_sse2.h"
#elif defined(__aarch64__)
#include "kernels/tuning_neon.h"
#else
#include "kernels/tuning_scalar.h"
#endif

PYNN_ISA_BEGIN

// ---------------------------------------------------------------- blocks

// Packing b pays from this number of rows of a on.
constexpr index_t min_rows_to_pack_b = 8 * MR;
// Shorter sums do not pay for packing; nor, from memory, for a prefetch of what they write.
constexpr index_t min_k_to_pack = 64;
constexpr index_t min_k_to_prefetch_c = 128;
// Rows this far apart, or a multiple of it, lie in few sets of the L1 cache.
constexpr index_t conflict_bytes = 2048;

// ---------------------------------------------------------------- l1_panels (AVX2)

constexpr index_t min_panels_k = 16;
constexpr index_t min_panels_rows = 40;          // fewer do not pay for packing
constexpr index_t min_panels_rows_of_few = 256;  // if c has fewer columns than four micropanels
constexpr index_t panel_depth = 320;             // rows of a micropanel: half of the L1 cache
constexpr index_t a_block_bytes = 128 * 1024;    // beside the micropanel's neighbors in L2
constexpr index_t panel_columns = 384;           // of b that are packed for several blocks of a

// ---------------------------------------------------------------- outer

constexpr int max_outer_vectors = 8;

// ---------------------------------------------------------------- skinny

constexpr index_t skinny_block_bytes = 128 * 1024;  // a packed block of b
constexpr index_t skinny_sums_bytes = 1024 * 1024;  // partial sums, in the L2 cache
constexpr index_t skinny_deep = 256;                // rows of a packed block
constexpr index_t skinny_flat = 128;                // the same for few rows of a
constexpr index_t skinny_slab_bytes = 256;          // of a column of a block in place

// ---------------------------------------------------------------- streamed

constexpr index_t min_streamed_columns = 512;   // a single row: half of them, if b is far
constexpr index_t streamed_sums_bytes = 16384;  // partial sums in the L1 cache

// ---------------------------------------------------------------- transposed

constexpr index_t min_transposed_k = 32;

// ---------------------------------------------------------------- tile sequences

constexpr int min_sequence_rows = MR - 1;
// Where something is prefetched between tiles, it must not come all at once.
constexpr index_t tiles_between_prefetches = 4;

// ---------------------------------------------------------------- measuring

// bench/strategies.py leaves out one way of a product after the other, and times the rest.
constexpr const char* tile_sequence_name = "tile_sequence";
#ifdef PYNN_MEASURES_STRATEGIES
const char* left_out = nullptr;
PYNN_INLINE bool is_left_out(const char* name) { return name == left_out; }
#else
constexpr bool is_left_out(const char*) { return false; }
#endif

PYNN_ISA_END
