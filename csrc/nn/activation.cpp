#include "nn/activation.h"

#include <algorithm>
#include <stdexcept>
#include <utility>

#include "dispatch/dispatch.h"

namespace pynn {
namespace {

template <class T>
constexpr T leaky_slope = T(0.01);
template <class T>
constexpr T elu_alpha = T(1);

}  // namespace

Activation activation_named(const std::string& name) {
    static constexpr std::pair<const char*, Activation> names[] = {
        {"identity", Activation::identity},
        {"relu", Activation::relu},
        {"leaky_relu", Activation::leaky_relu},
        {"elu", Activation::elu},
        {"softplus", Activation::softplus},
        {"exp", Activation::exp},
        {"sigmoid", Activation::sigmoid},
        {"tanh", Activation::tanh},
        {"silu", Activation::silu},
        {"gelu", Activation::gelu},
    };
    for (const auto& [known, f] : names) {
        if (name == known) return f;
    }
    throw std::invalid_argument("unknown activation '" + name + "'");
}

template <class T>
void activate(Activation f, const T* x, T* y, index_t n) {
    const Kernels<T>& k = kernels<T>();
    switch (f) {
        case Activation::identity:
            if (y != x) std::copy(x, x + n, y);
            break;
        case Activation::relu:
            return k.relu(x, y, n);
        case Activation::leaky_relu:
            return k.leaky_relu(leaky_slope<T>, x, y, n);
        case Activation::elu:
            return k.elu(elu_alpha<T>, x, y, n);
        case Activation::softplus:
            return k.softplus(x, y, n);
        case Activation::exp:
            return k.exp(x, y, n);
        case Activation::sigmoid:
            return k.sigmoid(x, y, n);
        case Activation::tanh:
            return k.tanh(x, y, n);
        case Activation::silu:
            return k.silu(x, y, n);
        case Activation::gelu:
            return k.gelu(x, y, n);
    }
}

template <class T>
void activate(Activation f, T* x, index_t n) {
    activate(f, x, x, n);
}

template <class T>
void differentiate(Activation f, const T* v, const T* dy, T* dx, index_t n) {
    const Kernels<T>& k = kernels<T>();
    switch (f) {
        case Activation::identity:
            if (dx != dy) std::copy(dy, dy + n, dx);
            break;
        case Activation::relu:
            return k.relu_backward(dy, v, dx, n);
        case Activation::leaky_relu:
            return k.leaky_relu_backward(leaky_slope<T>, dy, v, dx, n);
        case Activation::elu:
            return k.elu_backward(elu_alpha<T>, dy, v, dx, n);
        case Activation::softplus:
            return k.softplus_backward(dy, v, dx, n);
        case Activation::exp:
            return k.exp_backward(dy, v, dx, n);
        case Activation::sigmoid:
            return k.sigmoid_backward(dy, v, dx, n);
        case Activation::tanh:
            return k.tanh_backward(dy, v, dx, n);
        case Activation::silu:
            return k.silu_backward(dy, v, dx, n);
        case Activation::gelu:
            return k.gelu_backward(dy, v, dx, n);
    }
}

template <class T>
void differentiate(Activation f, const T* v, T* dx, index_t n) {
    differentiate<T>(f, v, dx, dx, n);
}

template void activate<float>(Activation, float*, index_t);
template void activate<double>(Activation, double*, index_t);
template void activate<float>(Activation, const float*, float*, index_t);
template void activate<double>(Activation, const double*, double*, index_t);
template void differentiate<float>(Activation, const float*, float*, index_t);
template void differentiate<double>(Activation, const double*, double*, index_t);
template void differentiate<float>(Activation, const float*, const float*, float*, index_t);
template void differentiate<double>(Activation, const double*, const double*, double*, index_t);

}  // namespace pynn
