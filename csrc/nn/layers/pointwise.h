// Functions as layers of their own, where a layer below cannot apply them and still tell their
// derivative: activations that are not monotonic, and the softmax of a row.
#pragma once

#include <memory>

#include "nn/layer.h"

namespace pynn {

template <class T>
std::unique_ptr<Layer<T>> make_pointwise(index_t size, Activation f);
template <class T>
std::unique_ptr<Layer<T>> make_softmax(index_t size);

}  // namespace pynn
