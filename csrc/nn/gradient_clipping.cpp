#include "nn/gradient_clipping.h"

#include <algorithm>
#include <cmath>

#include "dispatch/dispatch.h"
#include "nn/sums.h"

namespace pynn {
namespace {

// The gradient is squared, scaled and applied in pieces of this many values.
constexpr index_t clip_piece = 4096;

template <class T>
double small_squares(const T* x, index_t n, double factor) {
    double total = 0;
    for (index_t i = 0; i < n; ++i) {
        const double small = static_cast<double>(x[i]) * factor;
        total += small * small;
    }
    return total;
}

}  // namespace

template <class T>
void GradientClipping<T>::reserve(index_t parameters) {
    size_ = parameters;
    T* const gradient = gradient_.reserve(parameters);
    std::fill(gradient, gradient + parameters, T(0));
    squares_.reserve((parameters + clip_piece - 1) / clip_piece);
}

template <class T>
bool GradientClipping<T>::update(const Network<T>& network, const TeamThread& thread,
                                 OptimizerStep<T> step, double max_norm) {
    T* const gradient = gradient_.data();
    const index_t pieces = (size_ + clip_piece - 1) / clip_piece;
    const Range own = partition(pieces, thread.index, thread.count);
    const auto size = [&](index_t piece) {
        return std::min(clip_piece, size_ - piece * clip_piece);
    };
    for (index_t i = own.begin; i < own.end; ++i) {
        squares_.data()[i] = kernels<T>().sum_squares(gradient + i * clip_piece, size(i));
    }
    thread.wait();
    double length = std::sqrt(sum_in_order(squares_.data(), pieces)), limit = max_norm;
    if (!std::isfinite(length)) {
        // The squares of finite values may overflow; those of so small a part of them do not.
        constexpr double small = 0x1p-600;
        thread.wait();
        for (index_t i = own.begin; i < own.end; ++i) {
            squares_.data()[i] = small_squares(gradient + i * clip_piece, size(i), small);
        }
        thread.wait();
        length = std::sqrt(sum_in_order(squares_.data(), pieces));
        limit *= small;
        if (!std::isfinite(length)) return false;
    }
    step.l1 = step.l2 = T(0);  // (They are in the gradient.)
    const auto follow = [&](index_t begin, index_t n) {
        T* const g = gradient + begin;
        if (length > limit) kernels<T>().scale(static_cast<T>(limit / length), g, g, n);
        kernels<T>().update(step, g, begin, n);
    };
    for (const auto& [trainable, row] : network.trainable_ranges()) {
        if (row > 0) {
            const Range rows = partition(trainable.size() / row, thread.index, thread.count);
            for (index_t r = rows.begin; r < rows.end; ++r) {
                const T* const g = gradient + trainable.begin + r * row;
                const bool occurs = std::any_of(g, g + row, [](T v) { return v != T(0); });
                if (occurs) follow(trainable.begin + r * row, row);
            }
            continue;
        }
        for (index_t i = own.begin; i < own.end; ++i) {
            const index_t begin = std::max(trainable.begin, i * clip_piece);
            const index_t end = std::min(trainable.end, i * clip_piece + size(i));
            if (begin < end) follow(begin, end - begin);
        }
    }
    return true;
}

template class GradientClipping<float>;
template class GradientClipping<double>;

}  // namespace pynn
