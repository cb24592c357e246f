// Builtins with a fallback. C++ answers a plain call on plain arrays, without pybind11 or any
// Python. Any other call goes to the general Python function that the builtin was made from.
#pragma once

#include <pybind11/pybind11.h>

#include <cstddef>
#include <exception>

namespace pynn {

// The arguments of a builtin, as the interpreter passes them.
struct Arguments {
    PyObject* const* values;
    Py_ssize_t positional;
    PyObject* names;  // of the keyword arguments, whose values follow; may be null
};

// Read the arguments after the operands into `others`, null where not given. All may be given by
// name, the first `optional_positional` also by position. False if the call is not of this form.
template <int count>
bool read(const Arguments& given, int operands, int optional_positional,
          const char* const (&names)[count], PyObject* (&others)[count]);

// For arguments that are arrays, None means not given.
inline PyObject* none_to_null(PyObject* value) { return value == Py_None ? nullptr : value; }

// Answer a plain call. Null without a Python error means: call the general function.
using FastPath = PyObject* (*)(const Arguments&);

// Register `answer` for `make_builtin` of the Python function of this name
// (pynn/ops/_builtin.py).
template <FastPath answer>
void add_builtin(const char* name);

// ----------------------------------------------------- implementation

using FastCall = PyObject* (*)(PyObject*, PyObject* const*, Py_ssize_t, PyObject*);
void add_builtin(const char* name, FastCall call, PyObject** fallback);

// Set the Python error that corresponds to the C++ exception being handled.
void set_python_error();

bool read(const Arguments& given, int operands, int optional_positional, int count,
          const char* const* names, PyObject** others);

template <int count>
bool read(const Arguments& given, int operands, int optional_positional,
          const char* const (&names)[count], PyObject* (&others)[count]) {
    return read(given, operands, optional_positional, count, names, others);
}

template <FastPath answer>
PyObject* fallback = nullptr;

template <FastPath answer>
PyObject* call(PyObject*, PyObject* const* values, Py_ssize_t positional, PyObject* names) {
    PyObject* result = nullptr;
    try {
        result = answer({values, positional, names});
    } catch (const std::exception&) {
        set_python_error();
    }
    if (result || PyErr_Occurred()) return result;
    return PyObject_Vectorcall(fallback<answer>, values, static_cast<std::size_t>(positional),
                               names);
}

template <FastPath answer>
void add_builtin(const char* name) {
    add_builtin(name, call<answer>, &fallback<answer>);
}

}  // namespace pynn
