// Dropout: in training, each value is 0 with probability `rate` and 1 / (1 - rate) times itself
// otherwise (N. Srivastava et al., JMLR 15, 2014; scaled in training, as in other libraries).
#pragma once

#include <memory>

#include "nn/layer.h"

namespace pynn {

// `number` tells a network's dropout layers apart.
template <class T>
std::unique_ptr<Layer<T>> make_dropout(double rate, uint32_t number);

}  // namespace pynn
