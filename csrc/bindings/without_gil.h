// Arithmetic on the caller's thread: other Python threads go on meanwhile if it takes long.
#pragma once

#include <optional>

#include "bindings/gil.h"
#include "nn/float_state.h"

namespace pynn {

// What an element of an activation or a loss costs.
constexpr double operations_per_element = 30;

// Below this many operations another thread would wait less for the GIL than the release costs.
constexpr double worth_a_release = 200000;

template <class F>
void without_gil(double operations, F f) {
    UsualFloatState usual;
    std::optional<GilRelease> release;
    if (operations > worth_a_release) release.emplace();
    f();
}

}  // namespace pynn
