// Optimisers: sinks of gradients that update the parameters.
#pragma once

#include <memory>

#include "nn/layer.h"

namespace pynn {

template <class T>
class Optimizer : public GradientSink<T> {};

// velocity has as many values as the parameters, or is null without momentum. Both belong to the
// caller and stay where they are.
template <class T>
std::unique_ptr<Optimizer<T>> make_sgd(T* parameters, T* velocity, T learning_rate, T momentum,
                                       bool nesterov);

}  // namespace pynn
