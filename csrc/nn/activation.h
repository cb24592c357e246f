// Activations: functions of single elements, whose derivatives are functions of their outputs.
#pragma once

#include <string>

#include "kernels/kernel_table.h"

namespace pynn {

enum class Activation { identity, relu, sigmoid, tanh };

// Throws std::invalid_argument for an unknown name.
Activation activation_named(const std::string& name);

// x = f(x), over n contiguous values.
template <class T>
void activate(Activation f, T* x, index_t n);

// dx = dx f'(x), written in terms of y = f(x).
template <class T>
void differentiate(Activation f, const T* y, T* dx, index_t n);

}  // namespace pynn
