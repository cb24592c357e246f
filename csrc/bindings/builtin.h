// Builtins with a way out. A plain call on plain arrays is answered in C++, without pybind11 and
// without any Python; all else goes to the general Python function that the builtin was made from.
#pragma once

#include <pybind11/pybind11.h>

#include <cstddef>
#include <exception>

namespace pynn {

// What a builtin was called with, as the interpreter hands it over.
struct Arguments {
    PyObject* const* values;
    Py_ssize_t positional;
    PyObject* names;  // of the values that follow those; may be null
};

// Finds what was given besides the operands, by name or, the first `placed` of them, by place; null
// where it was not. False if the call is not of this form.
template <int count>
bool read(const Arguments& given, int operands, int optional_positional,
          const char* const (&names)[count], PyObject* (&others)[count]);

// None is the same as nothing for the arguments that are arrays.
inline PyObject* none_to_null(PyObject* value) { return value == Py_None ? nullptr : value; }

// Answers a plain call. Null without a Python error: let the general function do it.
using FastPath = PyObject* (*)(const Arguments&);

// Lets `make_builtin` of a Python function of this name (see pynn/ops/_builtin.py) use
// `answer`.
template <FastPath answer>
void add_builtin(const char* name);

// ---------------------------------------------------------------- how

using FastCall = PyObject* (*)(PyObject*, PyObject* const*, Py_ssize_t, PyObject*);
void add_builtin(const char* name, FastCall call, PyObject** fallback);

// Makes the C++ exception being handled the interpreter's.
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
