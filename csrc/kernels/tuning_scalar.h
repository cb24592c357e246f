// The scalar row of the products' tuning (tuning.h explains the names).
#pragma once

#include "kernels/isa.h"
#include "kernels/kernel_table.h"

PYNN_ISA_BEGIN

constexpr int MR = 4;
constexpr int NR_VECTORS = 4;
constexpr int vectors_for_rows(int) { return 4; }
constexpr int k_unroll = 1;

// Cache blocks: an L2 cache has 1 or 2 MB. (Measured on AVX-512; NEON and SSE2 keep its sizes.)
constexpr index_t b_block_bytes = 768 * 1024;
constexpr index_t operand_bytes = l2_bytes;
constexpr bool micropanels_stay_in_l1 = false;
constexpr bool prefetches_rows = true;

// Strategies.
constexpr int outer_vectors = 8;
constexpr index_t streamed_rows_max = 1;
constexpr index_t max_sequence_k = 0;  // a step's multiply-adds hide a tile's other instructions

PYNN_ISA_END
