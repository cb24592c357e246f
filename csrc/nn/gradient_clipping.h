// An update whose gradient is limited to a length, over all parameters together.
#pragma once

#include "nn/buffer.h"
#include "nn/network.h"

namespace pynn {

template <class T>
class GradientClipping {
public:
    // Allocates, and sets the gradient to 0: nothing else writes between two layers' parameters.
    void reserve(index_t parameters);

    // Where the gradient goes: a step with Rule::store_gradient writes it, and a barrier follows.
    T* gradient() { return gradient_.data(); }

    // The thread's part of the update by the gradient, scaled if it is longer than `max_norm`.
    // False if it is not finite: then nothing is changed.
    bool update(const Network<T>& network, const TeamThread& thread, OptimizerStep<T> step,
                double max_norm);

private:
    Buffer<T> gradient_;
    Buffer<double> squares_;  // by piece
    index_t size_ = 0;
};

}  // namespace pynn
