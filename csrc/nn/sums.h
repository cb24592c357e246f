// Sums of float64 values in a fixed order.
#pragma once

#include "kernels/kernel_table.h"

namespace pynn {

inline double sum_in_order(const double* x, index_t n) {
    double total = 0;
    for (index_t i = 0; i < n; ++i) total += x[i];
    return total;
}

}  // namespace pynn
