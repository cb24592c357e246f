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
void activate(Activation f, T* x, index_t n) {
    const Kernels<T>& k = kernels<T>();
    switch (f) {
        case Activation::sigmoid:
            return k.sigmoid(x, x, n);
        case Activation::exp:
            return k.exp(x, x, n);
        case Activation::softplus:
            return k.softplus(x, x, n);
        case Activation::silu:
            return k.silu(x, x, n);
        case Activation::gelu:
            return k.gelu(x, x, n);
        default:  // these vanish where x does
            return activate_flushed(f, x, x, n);
    }
}

template <class T>
void activate_flushed(Activation f, const T* x, T* y, index_t n) {
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
            return k.flushed_softplus(x, y, n);
        case Activation::exp:
            return k.flushed_exp(x, y, n);
        case Activation::sigmoid:
            return k.flushed_sigmoid(x, y, n);
        case Activation::tanh:
            return k.tanh(x, y, n);
        case Activation::silu:
            return k.flushed_silu(x, y, n);
        case Activation::gelu:
            return k.flushed_gelu(x, y, n);
    }
}

template <class T>
void differentiate_flushed(Activation f, const T* v, const T* dy, T* dx, index_t n) {
    const Kernels<T>& k = kernels<T>();
    switch (f) {
        // What these give is as large as dy, or 0.
        case Activation::identity:
            if (dx != dy) std::copy(dy, dy + n, dx);
            return;
        case Activation::relu:
            return k.relu_backward(dy, v, dx, n);
        case Activation::leaky_relu:
            return k.leaky_relu_backward(leaky_slope<T>, dy, v, dx, n);
        case Activation::elu:
            k.elu_backward(elu_alpha<T>, dy, v, dx, n);
            break;
        case Activation::softplus:
            k.softplus_backward(dy, v, dx, n);
            break;
        case Activation::exp:
            k.exp_backward(dy, v, dx, n);
            break;
        case Activation::sigmoid:
            k.sigmoid_backward(dy, v, dx, n);
            break;
        case Activation::tanh:
            k.tanh_backward(dy, v, dx, n);
            break;
        case Activation::silu:
            return k.flushed_silu_backward(dy, v, dx, n);
        case Activation::gelu:
            return k.flushed_gelu_backward(dy, v, dx, n);
    }
    k.flush_tiny(dx, dx, n);
}

template <class T>
void differentiate_flushed(Activation f, const T* v, T* dx, index_t n) {
    differentiate_flushed<T>(f, v, dx, dx, n);
}

template void activate<float>(Activation, float*, index_t);
template void activate<double>(Activation, double*, index_t);
template void activate_flushed<float>(Activation, const float*, float*, index_t);
template void activate_flushed<double>(Activation, const double*, double*, index_t);
template void differentiate_flushed<float>(Activation, const float*, float*, index_t);
template void differentiate_flushed<double>(Activation, const double*, double*, index_t);
template void differentiate_flushed<float>(Activation, const float*, const float*, float*, index_t);
template void differentiate_flushed<double>(Activation, const double*, const double*, double*,
                                            index_t);

}  // namespace pynn
