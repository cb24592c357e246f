// Release of the GIL, safe at the end of the process. pybind11's own gil_scoped_release takes the
// GIL back in a destructor. When the interpreter is finalized, CPython 3.10 to 3.13 ends a daemon
// thread that asks for the GIL with pthread_exit. glibc then unwinds the thread's stack like an
// exception, and the destructor, which is noexcept, calls std::terminate. Unwinding further would
// not be safe either: the frames above drop references without the GIL. So the thread waits for the
// end of the process instead, as it does in CPython 3.14.
#pragma once

#include <pybind11/pybind11.h>

#include <chrono>
#include <thread>

namespace pynn {

// Blocks the calling thread until the process ends.
[[noreturn]] inline void wait_for_exit() noexcept {
    for (;;) std::this_thread::sleep_for(std::chrono::hours(24));
}

// True once other threads than the finalizing one must not ask for the GIL.
inline bool is_interpreter_gone() {
#if PY_VERSION_HEX >= 0x030d0000
    return Py_IsFinalizing() || !Py_IsInitialized();
#else
    return _Py_IsFinalizing() || !Py_IsInitialized();
#endif
}

// PyEval_RestoreThread, which returns only where Python goes on. (The interpreter may begin to end
// while the thread waits for the GIL: the only thing to be caught is the unwinding.)
inline void take_gil(PyThreadState* state) noexcept {
    if (is_interpreter_gone()) wait_for_exit();
    try {
        PyEval_RestoreThread(state);
    } catch (...) {
        wait_for_exit();
    }
}

// PyObject_CallOneArg, which returns only where Python goes on.
inline PyObject* call_python(PyObject* function, PyObject* argument) noexcept {
    try {
        return PyObject_CallOneArg(function, argument);
    } catch (...) {
        wait_for_exit();
    }
}

// The GIL is free until the end of the scope.
class GilRelease {
public:
    GilRelease() : state_(PyEval_SaveThread()) {}
    ~GilRelease() { take_gil(state_); }
    GilRelease(const GilRelease&) = delete;
    GilRelease& operator=(const GilRelease&) = delete;

    // Within it, the thread that released the GIL has it back until the end of the scope.
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
