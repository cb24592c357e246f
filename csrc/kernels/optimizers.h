// Optimisers' updates, over n contiguous parameters.
#pragma once

#include "kernels/vec.h"

PYNN_ISA_BEGIN

// Momentum as Sutskever et al. (2013) and scikit-learn write it: the velocity contains the
// learning rate, so that a change of the rate acts at once.
template <class T>
void sgd_kernel(const SgdStep<T>& s, const T* g, T* w, T* v, index_t n) {
    const Vec<T> rate = set1(s.learning_rate), momentum = set1(s.momentum);
    const auto step = [&](index_t i, auto load_at, auto store_at) {
        const Vec<T> gi = load_at(g + i), wi = load_at(w + i);
        if (!v) {
            store_at(w + i, fnma(rate, gi, wi));
            return;
        }
        const Vec<T> scaled = rate * gi;
        const Vec<T> vi = momentum * load_at(v + i) - scaled;
        store_at(v + i, vi);
        store_at(w + i, wi + (s.nesterov ? momentum * vi - scaled : vi));
    };
    constexpr int w_ = Vec<T>::width;
    index_t i = 0;
    for (; i + w_ <= n; i += w_) {
        step(i, [](const T* p) { return load(p); }, [](T* p, Vec<T> x) { store(p, x); });
    }
    if (const int left = static_cast<int>(n - i)) {
        step(
            i, [=](const T* p) { return load_part(p, left); },
            [=](T* p, Vec<T> x) { store_part(p, x, left); });
    }
}

PYNN_ISA_END
