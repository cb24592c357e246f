// The AVX2 row of the products' tuning (tuning.h explains the names).
#pragma once

#include "kernels/isa.h"
#include "kernels/kernel_table.h"

PYNN_ISA_BEGIN

// 6 x 2 vectors take 12 accumulators, two vectors of b and one broadcast of a: 15 of 16 registers,
// and more than the eight chains that two FMA ports with four cycles of latency need.
constexpr int MR = 6;
constexpr int NR_VECTORS = 2;
constexpr int vectors_for_rows(int rows) {
    return rows == 1 ? 8 : rows == 2 ? 5 : rows <= 4 ? 3 : 2;
}
// Twelve multiply-adds take six cycles, in which these processors begin 24 to 36 instructions,
// fewer where two threads share a core: four steps at once need 21.5 a step instead of 26.
constexpr int k_unroll = 4;

// Cache blocks: a processor without AVX-512 has an L2 cache of 256 KB (Haswell to Skylake), 512 KB
// (Zen) or more. Of the 64 bytes that a row of b takes, half the loads cross a cache line unless
// they are aligned.
constexpr index_t b_block_bytes = 384 * 1024;
constexpr index_t operand_bytes = 256 * 1024;
constexpr bool micropanels_stay_in_l1 = true;  // 16 columns by 320 rows: 20 KB
// The next mini-batch's rows would push others out of so small a cache.
constexpr bool prefetches_rows = false;

// Strategies.
constexpr int outer_vectors = 8;
constexpr index_t streamed_rows_max = 8;
// Of a longer sum a tile's other instructions are less than a twentieth, and what a tile prefetches
// for the next one would come all at once.
constexpr index_t max_sequence_k = 192;

PYNN_ISA_END
