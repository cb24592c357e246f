// A loss as Python describes it.
#pragma once

#include <pybind11/stl.h>

#include <string>
#include <vector>

#include "bindings/arrays.h"
#include "nn/loss.h"

namespace pynn {

// Convert a dict with the loss's name and its settings.
inline LossSettings loss_settings(const py::dict& loss) {
    LossSettings s;
    const auto take = [&](const char* key, auto& to) {
        using To = std::decay_t<decltype(to)>;
        if (loss.contains(key)) to = loss[key].template cast<To>();
    };
    take("name", s.name);
    take("label_smoothing", s.smoothing);
    take("delta", s.delta);
    take("quantiles", s.quantiles);
    take("of_mean", s.of_mean);
    return s;
}

}  // namespace pynn
