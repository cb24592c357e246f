// Arithmetic on the caller's thread, without the GIL if it takes long.
#pragma once

#include <optional>

#include "bindings/gil.h"
#include "threads/fp_environment.h"
#include "threads/thread_supply.h"
#include "threads/watch.h"

namespace pynn {

// Assumed cost of an element of an activation or a loss.
constexpr double flops_per_element = 30;

// Below this, releasing the GIL takes longer than other threads would wait for it.
constexpr double min_flops_to_release_gil = 200000;

// Warn, once per process, if the system had too few threads. Needs the GIL.
inline void warn_of_shortage() {
    const char* message = nullptr;
    switch (take_thread_shortage()) {
        case ThreadShortage::none:
            return;
        case ThreadShortage::no_threads:
            message =
                "the system has no more threads for pynn, which continues with fewer, more slowly; "
                "raise the limits of processes or of memory (ulimit -u, ulimit -v, a container's "
                "pids.max), make OMP_STACKSIZE smaller, or call pynn.set_num_threads(1)";
            break;
        case ThreadShortage::small_stacks:
            message =
                "OMP_STACKSIZE is too small for pynn's threads, so pynn continues with one, more "
                "slowly; set it to 64K or more, or call pynn.set_num_threads(1)";
            break;
    }
    if (PyErr_WarnEx(PyExc_RuntimeWarning, message, 1) != 0) throw pybind11::error_already_set();
}

// Run f(watch) without the GIL. A signal such as Ctrl-C ends it early and throws its handler's
// exception.
template <class F>
void watched_without_gil(F f) {
    bool stopped = false;
    {
        DefaultFpEnvironment usual;
        GilRelease release;
        Watch watch([&release] {
            const GilRelease::Taken taken(release);
            return PyErr_CheckSignals() != 0;
        });
        f(watch);
        stopped = watch.stopped();
    }
    if (stopped) throw pybind11::error_already_set();
    warn_of_shortage();
}

template <class F>
void without_gil(double flops, F f) {
    {
        DefaultFpEnvironment usual;
        std::optional<GilRelease> release;
        if (flops > min_flops_to_release_gil) release.emplace();
        f();
    }
    warn_of_shortage();
}

}  // namespace pynn
