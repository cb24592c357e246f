// An optimizer whose steps act on arrays of the Python side.
#pragma once

#include <vector>

#include "bindings/arrays.h"
#include "nn/optimizer.h"

namespace pynn {

// It keeps the arrays alive.
template <class T>
struct BoundOptimizer {
    Optimizer<T> optimizer;
    int64_t* steps;  // steps done so far
    std::vector<py::array> arrays;
};

}  // namespace pynn
