#include "nn/parameter_checks.h"

#include <cmath>

#include "dispatch/dispatch.h"

namespace pynn {

template <class T>
void ParameterChecks<T>::count_at_start(const TeamThread& thread) {
    const index_t infinite = count_infinite_biases(thread);
    if (infinite < 0) {
        bad_at_start_ = true;
    } else {
        infinite_at_start_ += infinite;
    }
}

template <class T>
bool ParameterChecks<T>::update_is_bad(index_t number, const TeamThread& thread) {
    if (suspect_update_ != number) return false;
    const index_t infinite = count_infinite_biases(thread);
    if (infinite < 0 || !moments_are_finite(thread)) bad_update_ = true;
    infinite_now_ += infinite;
    thread.wait();
    const bool is_bad = bad_update_ || infinite_now_ > infinite_at_start_;
    thread.wait();
    if (thread.index == 0) infinite_now_ = 0;  // (The next step meets before it counts.)
    return is_bad;
}

template <class T>
bool ParameterChecks<T>::gradient_is_bad(index_t number, const TeamThread& thread) {
    if (suspect_update_ != number) return false;
    const Range own = partition(network_.parameter_count(), thread.index, thread.count, 16);
    if (!kernels<T>().all_finite(optimizer_.w + own.begin, own.size())) bad_update_ = true;
    thread.wait();
    return bad_update_;
}

// A bias of an output may be infinite: that of -inf switches a class off. Other parameters may not,
// since activations hide them (tanh(inf) is 1).
template <class T>
index_t ParameterChecks<T>::count_infinite_biases(const TeamThread& thread) const {
    const Range own = partition(network_.parameter_count(), thread.index, thread.count, 16);
    if (kernels<T>().all_finite(optimizer_.w + own.begin, own.size())) return 0;
    const index_t first_bias = network_.first_output_bias();
    index_t infinite = 0;
    for (index_t i = own.begin; i < own.end; ++i) {
        const T value = optimizer_.w[i];
        if (std::isfinite(value)) continue;
        if (std::isnan(value) || i < first_bias) return -1;
        ++infinite;
    }
    return infinite;
}

template <class T>
bool ParameterChecks<T>::moments_are_finite(const TeamThread& thread) const {
    const Range own = partition(network_.parameter_count(), thread.index, thread.count, 16);
    const auto is_finite = [&](const T* x) {
        return !x || kernels<T>().all_finite(x + own.begin, own.size());
    };
    return is_finite(optimizer_.m) && is_finite(optimizer_.v);
}

template class ParameterChecks<float>;
template class ParameterChecks<double>;

}  // namespace pynn
