// Release of the GIL, safe at the end of the process. pybind11's own gil_scoped_release takes the
// GIL back in a destructor. When the interpreter is finalized, CPython 3.10 to 3.13 ends a daemon
// thread that takes the GIL with pthread_exit. glibc then unwinds the thread's stack like an
// exception, and the destructor, which is noexcept, calls std::terminate. Unwinding further would
// not be safe either: the frames above drop references without the GIL. So the thread waits for the
// end of the process instead, as it does in CPython 3.14.
#pragma once

#include <pybind11/pybind11.h>

#include <chrono>
#include <thread>

namespace pynn {

// Block the calling thread until the process ends.
[[noreturn]] inline void wait_for_exit() noexcept {
    for (;;) std::this_thread::sleep_for(std::chrono::hours(24));
}

// True once only the finalizing thread may take the GIL.
inline bool is_interpreter_gone() {
#if PY_VERSION_HEX >= 0x030d0000
    return Py_IsFinalizing() || !Py_IsInitialized();
#else
    return _Py_IsFinalizing() || !Py_IsInitialized();
#endif
}

// Call PyEval_RestoreThread; return only if the interpreter still runs. (It may begin to finalize
// while the thread waits for the GIL. The handler catches nothing but that unwinding.)
inline void take_gil(PyThreadState* state) noexcept {
    if (is_interpreter_gone()) wait_for_exit();
    try {
        PyEval_RestoreThread(state);
    } catch (...) {
        wait_for_exit();
    }
}

// Call PyObject_CallOneArg; return only if the interpreter still runs.
inline PyObject* call_python(PyObject* function, PyObject* argument) noexcept {
    try {
        return PyObject_CallOneArg(function, argument);
    } catch (...) {
        wait_for_exit();
    }
}

// Releases the GIL until the end of the scope.
class GilRelease {
public:
    GilRelease() : state_(PyEval_SaveThread()) {}
    ~GilRelease() { take_gil(state_); }
    GilRelease(const GilRelease&) = delete;
    GilRelease& operator=(const GilRelease&) = delete;

    // Takes the GIL back until the end of an inner scope.
    class Taken {
    public:
        explicit Taken(GilRelease& release) : release_(release) { take_gil(release.state_); }
        ~Taken() { release_.state_ = PyEval_SaveThread(); }
        Taken(const Taken&) = delete;
        Taken& operator=(const Taken&) = delete;

    private:
        GilRelease& release_;
    };

private:
    PyThreadState* state_;
};

}  // namespace pynn
