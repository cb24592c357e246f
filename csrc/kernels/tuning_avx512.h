// The AVX-512 row of the products' tuning (tuning.h explains the names).
#pragma once

#include "kernels/isa.h"
#include "kernels/kernel_table.h"

PYNN_ISA_BEGIN

// 14 x 2 vectors take 28 accumulators, two vectors of b and one broadcast of a: 31 of 32 registers.
// A product of fewer rows takes more columns instead, so that at least eight chains are in flight
// (two FMA ports, four cycles of latency).
constexpr int MR = 14;
constexpr int NR_VECTORS = 2;
constexpr int vectors_for_rows(int rows) {
    return rows <= 2 ? 8 : rows == 3 ? 6 : rows == 4 ? 5 : rows <= 6 ? 4 : rows <= 8 ? 3 : 2;
}
constexpr int k_unroll = 1;

// Cache blocks: an L2 cache has 1 or 2 MB.
constexpr index_t b_block_bytes = 768 * 1024;
constexpr index_t operand_bytes = l2_bytes;
constexpr bool micropanels_stay_in_l1 = false;
constexpr bool prefetches_rows = true;

// Strategies.
constexpr int outer_vectors = 2;
constexpr index_t streamed_rows_max = 1;
constexpr index_t max_sequence_k = 0;  // a step's multiply-adds hide a tile's other instructions

PYNN_ISA_END
