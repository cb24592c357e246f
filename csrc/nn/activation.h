// Activations: functions of single elements.
#pragma once

#include <string>

#include "kernels/kernel_table.h"

namespace pynn {

// (leaky_relu's slope is 0.01, elu's alpha 1.)
enum class Activation {
    identity,
    relu,
    leaky_relu,
    elu,
    softplus,
    exp,
    sigmoid,
    tanh,
    // Not monotonic: their derivatives are no functions of their outputs.
    silu,
    gelu
};

// Throws std::invalid_argument for an unknown name.
Activation activation_named(const std::string& name);

inline bool derivative_from_output(Activation f) {
    return f != Activation::silu && f != Activation::gelu;
}

// x = f(x), over n contiguous values.
template <class T>
void activate(Activation f, T* x, index_t n);

// y = f(x) as a layer passes it on, 0 where it would be nearly denormal (kernels/vec.h:
// flush_tiny). y may be x.
template <class T>
void activate_flushed(Activation f, const T* x, T* y, index_t n);

// dx = dy f'(x), flushed likewise, and written in terms of v: y = f(x), or x itself where f is not
// monotonic. dx may be dy.
template <class T>
void differentiate_flushed(Activation f, const T* v, const T* dy, T* dx, index_t n);

// The same in place; nothing happens for the identity.
template <class T>
void differentiate_flushed(Activation f, const T* v, T* dx, index_t n);

}  // namespace pynn
