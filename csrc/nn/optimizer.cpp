#include "nn/optimizer.h"

#include <algorithm>
#include <cmath>

namespace pynn {
namespace {

// x**n by squaring, which rounds alike everywhere (a library's pow need not).
double power(double x, index_t n) {
    double result = 1;
    for (; n > 0; n /= 2) {
        if (n % 2 == 1) result *= x;
        x *= x;
    }
    return result;
}

}  // namespace

template <class T>
OptimizerStep<T> Optimizer<T>::step(index_t index) const {
    const double given =
        learning_rates[std::min(static_cast<std::size_t>(index), learning_rates.size() - 1)];
    double rate = given, scaled_epsilon = epsilon;
    if (rule == Rule::adam) {
        // m / (1 - beta1**t) / (sqrt(v / (1 - beta2**t)) + epsilon), with the corrections taken out
        // of the loop over the parameters.
        const index_t t = steps_before + index + 1;
        const double correction = std::sqrt(1 - power(beta2, t));
        rate *= correction / (1 - power(beta1, t));
        if (!plain_epsilon) scaled_epsilon *= correction;
    }
    OptimizerStep<T> u{};
    u.rule = rule;
    u.w = w;
    u.m = m;
    u.v = v;
    u.rate = static_cast<T>(rate);
    u.decay = static_cast<T>(1 - given * weight_decay);
    u.beta1 = static_cast<T>(beta1);
    u.beta2 = static_cast<T>(beta2);
    u.one_minus_beta1 = static_cast<T>(1 - beta1);
    u.one_minus_beta2 = static_cast<T>(1 - beta2);
    u.epsilon = static_cast<T>(scaled_epsilon);
    u.p = w;
    return u;
}

template struct Optimizer<float>;
template struct Optimizer<double>;

}  // namespace pynn
