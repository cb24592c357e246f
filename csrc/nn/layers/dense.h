// The fully connected layer: y = f(x W + b), W of shape (inputs, outputs).
#pragma once

#include <memory>

#include "nn/layer.h"

namespace pynn {

struct DenseSettings {
    index_t inputs, outputs;
    bool bias = true;
    Activation activation = Activation::identity;  // a monotonic one
    double l1 = 0, l2 = 0;                         // added to the loss: l1 |W| + l2 / 2 W**2
    double max_norm = 0;                           // of a unit's weights; 0: any
};

template <class T>
std::unique_ptr<Layer<T>> make_dense(const DenseSettings& settings);

// The forward product, with the bias and ReLU in its epilogue where there is a bias; x may have
// any strides, everything else has contiguous rows. pending_activation() is what is left to apply.
template <class T>
Gemm<T> dense_forward(const T* x, index_t x_row, index_t x_col, const T* w, const T* bias, T* y,
                      index_t rows, index_t inputs, index_t outputs, Activation f);
Activation pending_activation(Activation f, bool bias);

}  // namespace pynn
