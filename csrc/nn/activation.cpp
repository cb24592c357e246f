#include "nn/activation.h"

#include <stdexcept>

#include "dispatch/dispatch.h"

namespace pynn {

Activation activation_named(const std::string& name) {
    if (name == "identity") return Activation::identity;
    if (name == "relu") return Activation::relu;
    if (name == "sigmoid") return Activation::sigmoid;
    if (name == "tanh") return Activation::tanh;
    throw std::invalid_argument("unknown activation '" + name + "'");
}

template <class T>
void activate(Activation f, T* x, index_t n) {
    const Kernels<T>& k = kernels<T>();
    switch (f) {
        case Activation::identity:
            break;
        case Activation::relu:
            k.relu(x, x, n);
            break;
        case Activation::sigmoid:
            k.sigmoid(x, x, n);
            break;
        case Activation::tanh:
            k.tanh(x, x, n);
            break;
    }
}

template <class T>
void differentiate(Activation f, const T* y, T* dx, index_t n) {
    const Kernels<T>& k = kernels<T>();
    switch (f) {
        case Activation::identity:
            break;
        case Activation::relu:
            k.relu_backward(dx, y, dx, n);
            break;
        case Activation::sigmoid:
            k.sigmoid_backward(dx, y, dx, n);
            break;
        case Activation::tanh:
            k.tanh_backward(dx, y, dx, n);
            break;
    }
}

template void activate<float>(Activation, float*, index_t);
template void activate<double>(Activation, double*, index_t);
template void differentiate<float>(Activation, const float*, float*, index_t);
template void differentiate<double>(Activation, const double*, double*, index_t);

}  // namespace pynn
