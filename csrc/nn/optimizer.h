// Optimizers: their settings, and what each of their steps is.
#pragma once

#include <vector>

#include "kernels/kernel_table.h"

namespace pynn {

template <class T>
struct Optimizer {
    Rule rule;
    // The network's parameters (with Rule::store_gradient: where their gradient goes), and the
    // rule's moments. They belong to the caller and stay where they are.
    T* w;
    T* m = nullptr;
    T* v = nullptr;

    std::vector<double> learning_rates = {0};  // by step; the last one stays
    double beta1 = 0, beta2 = 0;               // momentum, or the moments' decay rates
    double epsilon = 0;
    bool plain_epsilon = false;  // Adam's, added where the moments' bias is not yet corrected
    double weight_decay = 0;   // decoupled: each step takes this times the rate off the parameters
    double clip_norm = 0;      // what the whole gradient's length is limited to, or 0
    index_t steps_before = 0;  // that made the moments what they are

    // Step `index` from now on.
    OptimizerStep<T> step(index_t index) const;
};

}  // namespace pynn
