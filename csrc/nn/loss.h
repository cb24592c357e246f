// Losses: what a network's outputs are worth, and the gradient to send back.
#pragma once

#include <memory>
#include <string>

#include "nn/activation.h"

namespace pynn {

// The targets of some rows: labels, or rows of values; the other is null.
template <class T>
struct Target {
    const int64_t* labels = nullptr;
    const T* values = nullptr;
};

template <class T>
class Loss {
public:
    virtual ~Loss() = default;

    // What turns the last layer's outputs into predictions. The cross-entropies are computed from
    // logits, so theirs (softmax, sigmoid) is not a layer's activation.
    virtual void predict(T* outputs, index_t rows, index_t n) const = 0;
    // Whether predictions are scores of classes.
    virtual bool classifies() const = 0;

    // Each row's loss, and the gradient of the loss's mean over `batch` rows with respect to the
    // last layer's outputs. gradient may be outputs.
    virtual void rows(const T* outputs, Target<T> target, index_t rows, index_t n, index_t batch,
                      T* gradient, T* losses) const = 0;
};

// Throws std::invalid_argument for an unknown name.
template <class T>
std::unique_ptr<Loss<T>> make_loss(const std::string& name);

}  // namespace pynn
