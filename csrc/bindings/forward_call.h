// A network's outputs as a builtin of (X, out). On plain arrays it costs little more than the
// arithmetic. For anything else it returns None, and pynn/mlp.py computes the outputs.
#pragma once

#include "bindings/access.h"
#include "bindings/arrays.h"
#include "bindings/builtin.h"
#include "bindings/without_gil.h"
#include "nn/network.h"

namespace pynn {

template <class T>
bool is_input(PyObject* x, index_t inputs) {
    if (!is_plain(x)) return false;
    PyArrayObject* const a = as_array(x);
    const int n = PyArray_NDIM(a);
    return PyArray_TYPE(a) == (sizeof(T) == 4 ? NPY_FLOAT32 : NPY_FLOAT64) && (n == 1 || n == 2) &&
           PyArray_DIM(a, n - 1) == inputs && PyArray_SIZE(a) > 0;
}

// True if the contiguous array `out` shares no memory with the parameters.
template <class T>
bool is_apart_from_parameters(const Network<T>& network, PyArrayObject* out) {
    const char* const parameters = reinterpret_cast<const char*>(network.parameters());
    const char* const end =
        parameters + network.parameter_count() * static_cast<index_t>(sizeof(T));
    return PyArray_BYTES(out) >= end || PyArray_BYTES(out) + PyArray_NBYTES(out) <= parameters;
}

// A network and its lock.
template <class T>
struct Shared {
    const Network<T>& network;
    Access& access;
};

template <class T>
PyObject* forward_call(PyObject* capsule, PyObject* const* args, Py_ssize_t nargs) {
    const auto& shared = *static_cast<const Shared<T>*>(PyCapsule_GetPointer(capsule, nullptr));
    const Network<T>& network = shared.network;
    if (nargs != 2 || network.vocabulary() > 0 || !is_input<T>(args[0], network.inputs())) {
        Py_RETURN_NONE;
    }
    PyArrayObject* const x = as_array(args[0]);
    const int ndim = PyArray_NDIM(x);
    npy_intp shape[2] = {PyArray_DIM(x, 0), network.outputs()};
    if (ndim == 1) shape[0] = network.outputs();
    PyObject* out = args[1];
    if (out == Py_None) {
        out = PyArray_SimpleNew(ndim, shape, PyArray_TYPE(x));
        if (!out) return nullptr;
    } else if (is_writable_like(out, PyArray_TYPE(x), ndim, shape) &&
               are_disjoint(as_array(out), x) && is_apart_from_parameters(network, as_array(out))) {
        Py_INCREF(out);
    } else {
        Py_RETURN_NONE;
    }
    const py::object result = py::reinterpret_steal<py::object>(out);
    Matrix m;
    m.data = PyArray_BYTES(x);
    m.dtype = sizeof(T) == 4 ? DType::f32 : DType::f64;
    m.rows = ndim == 2 ? shape[0] : 1;
    m.columns = network.inputs();
    m.row_stride =
        ndim == 2 ? PyArray_STRIDE(x, 0) : network.inputs() * static_cast<index_t>(sizeof(T));
    m.column_stride = PyArray_STRIDE(x, ndim - 1);
    T* const to = static_cast<T*>(PyArray_DATA(as_array(out)));
    const double flops = network.forward_flops() * static_cast<double>(m.rows);
    try {
        const Access::Reading reading(shared.access);
        if (flops > min_flops_to_release_gil) {
            Pins pins;
            pins.add(args[0]);
            watched_without_gil(
                [&](Watch& watch) { network.forward(m, network.layer_count(), true, to, &watch); });
        } else {
            const DefaultFpEnvironment usual;
            network.forward(m, network.layer_count(), true, to);
        }
    } catch (...) {
        set_python_error();
        return nullptr;
    }
    return result.inc_ref().ptr();
}

// The builtin keeps alive `owner`, the object that contains the network.
template <class T>
py::object make_forward_call(const Shared<T>& shared, py::handle owner) {
    static PyMethodDef definition = {
        "forward", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(forward_call<T>)),
        METH_FASTCALL, nullptr};
    py::object capsule = py::reinterpret_steal<py::object>(PyCapsule_New(
        const_cast<Shared<T>*>(&shared), nullptr,
        [](PyObject* c) { Py_DECREF(static_cast<PyObject*>(PyCapsule_GetContext(c))); }));
    if (!capsule) throw py::error_already_set();
    PyCapsule_SetContext(capsule.ptr(), owner.inc_ref().ptr());
    return py::reinterpret_steal<py::object>(PyCFunction_New(&definition, capsule.ptr()));
}

}  // namespace pynn
