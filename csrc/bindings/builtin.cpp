#include "bindings/builtin.h"

#include <exception>
#include <map>
#include <new>
#include <string>

#include "bindings/module.h"

namespace pynn {
namespace {

namespace py = pybind11;

struct Entry {
    FastCall call;
    PyObject** fallback;
};

std::map<std::string, Entry>& entries() {
    static std::map<std::string, Entry> all;
    return all;
}

PyCFunction as_method(FastCall call) {
    return reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(call));
}

// Make the builtin of the function's name; `doc` starts with its signature, as CPython reads it.
py::object make_builtin(const py::object& function, const std::string& doc) {
    const auto found = entries().find(py::str(function.attr("__name__")));
    if (found == entries().end()) throw py::value_error("no builtin of this name");
    const auto& [name, entry] = *found;
    // Never released: the builtin refers to it until the process ends.
    const char* const text = (new std::string(doc))->c_str();
    auto* const method =
        new PyMethodDef{name.c_str(), as_method(entry.call), METH_FASTCALL | METH_KEYWORDS, text};
    *entry.fallback = py::object(function).release().ptr();
    // Bound to a module, as every builtin function is; pickle needs that.
    const py::module_ core = py::module_::import("pynn._core");
    PyObject* const builtin =
        PyCFunction_NewEx(method, core.ptr(), py::object(function.attr("__module__")).ptr());
    if (!builtin) throw py::error_already_set();
    return py::reinterpret_steal<py::object>(builtin);
}

}  // namespace

void add_builtin(const char* name, FastCall call, PyObject** fallback) {
    entries()[name] = {call, fallback};
}

void set_python_error() {
    try {
        throw;
    } catch (py::error_already_set& error) {
        error.restore();
    } catch (const std::bad_alloc&) {
        PyErr_NoMemory();
    } catch (const std::exception& error) {
        PyErr_SetString(PyExc_RuntimeError, error.what());
    }
}

bool read(const Arguments& given, int operands, int optional_positional, int count,
          const char* const* names, PyObject** others) {
    if (given.positional < operands || given.positional > operands + optional_positional)
        return false;
    for (int i = 0; i < count; ++i) {
        others[i] = operands + i < given.positional ? given.values[operands + i] : nullptr;
    }
    const Py_ssize_t named = given.names ? PyTuple_GET_SIZE(given.names) : 0;
    for (Py_ssize_t k = 0; k < named; ++k) {
        PyObject* const name = PyTuple_GET_ITEM(given.names, k);
        int i = 0;
        while (i < count && PyUnicode_CompareWithASCIIString(name, names[i]) != 0) ++i;
        if (i == count || others[i]) return false;
        others[i] = given.values[given.positional + k];
    }
    return true;
}

void bind_builtins(py::module_& m) {
    m.def("make_builtin", &make_builtin, py::arg("function"), py::arg("doc"));
}

}  // namespace pynn
