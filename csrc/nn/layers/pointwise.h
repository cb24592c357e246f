// Functions as layers: activations, and the softmax over the channels.
#pragma once

#include <memory>

#include "nn/layer.h"

namespace pynn {

template <class T>
std::unique_ptr<Layer<T>> make_pointwise(Activation f);
template <class T>
std::unique_ptr<Layer<T>> make_softmax();

}  // namespace pynn
