// NumPy arrays as the kernels see them. Short calls use NumPy's C interface directly, because a
// pybind11 conversion costs as much as a small product.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#define NPY_NO_DEPRECATED_API NPY_1_23_API_VERSION
#define PY_ARRAY_UNIQUE_SYMBOL pynn_numpy_api
#ifndef PYNN_IMPORTS_NUMPY
#define NO_IMPORT_ARRAY
#endif
#include <numpy/arrayobject.h>

#include <string>
#include <utility>

#include "kernels/kernel_table.h"

namespace pynn {

namespace py = pybind11;

constexpr int max_axes = 64;  // NumPy's limit

inline PyArrayObject* as_array(PyObject* object) {
    return reinterpret_cast<PyArrayObject*>(object);
}

// True for an array that the kernels read in place: an exact ndarray of float32 or float64,
// aligned, in native byte order, with strides in whole elements. (NumPy gives any stride to an axis
// of length 1.)
inline bool is_plain(PyObject* object) {
    if (!PyArray_CheckExact(object)) return false;
    PyArrayObject* a = as_array(object);
    const int type = PyArray_TYPE(a);
    if ((type != NPY_FLOAT32 && type != NPY_FLOAT64) || !PyArray_ISBEHAVED_RO(a)) return false;
    const npy_intp size = type == NPY_FLOAT32 ? 4 : 8;
    for (int i = 0; i < PyArray_NDIM(a); ++i) {
        if (PyArray_STRIDE(a, i) % size != 0 && PyArray_DIM(a, i) > 1) return false;
    }
    return true;
}

// True if two plain arrays cannot share memory: one is empty, or their extents do not overlap.
inline bool are_disjoint(PyArrayObject* x, PyArrayObject* y) {
    const auto extent = [](PyArrayObject* a) {
        const char* low = PyArray_BYTES(a);
        const char* high = low + PyArray_ITEMSIZE(a);
        for (int i = 0; i < PyArray_NDIM(a); ++i) {
            if (PyArray_DIM(a, i) == 0) return std::pair(low, low);
            const npy_intp reach = (PyArray_DIM(a, i) - 1) * PyArray_STRIDE(a, i);
            (reach < 0 ? low : high) += reach;
        }
        return std::pair(low, high);
    };
    const auto [x_low, x_high] = extent(x);
    const auto [y_low, y_high] = extent(y);
    return x_low == x_high || y_low == y_high || x_high <= y_low || y_high <= x_low;
}

// True for a plain array of that type and shape, in C order.
inline bool is_like(PyObject* object, int type, int ndim, const npy_intp* shape) {
    return is_plain(object) && PyArray_TYPE(as_array(object)) == type &&
           PyArray_NDIM(as_array(object)) == ndim && PyArray_IS_C_CONTIGUOUS(as_array(object)) &&
           PyArray_CompareLists(PyArray_DIMS(as_array(object)), shape, ndim);
}

// The same, and writable.
inline bool is_writable_like(PyObject* out, int type, int ndim, const npy_intp* shape) {
    return is_like(out, type, ndim, shape) && PyArray_ISWRITEABLE(as_array(out));
}

// Return `out`, or a new array if it is null.
inline py::object out_or_new(PyObject* out, int type, int ndim, npy_intp* shape) {
    if (out) return py::reinterpret_borrow<py::object>(out);
    PyObject* const made = PyArray_SimpleNew(ndim, shape, type);
    if (!made) throw py::error_already_set();
    return py::reinterpret_steal<py::object>(made);
}

// Call f with a value of the array's type, float or double.
template <class F>
auto with_type(const py::array& a, F f) {
    switch (PyArray_TYPE(as_array(a.ptr()))) {
        case NPY_FLOAT32:
            return f(float());
        case NPY_FLOAT64:
            return f(double());
        default:
            throw py::type_error("expected an array of float32 or float64");
    }
}

inline bool same_type(const py::array& a, const py::array& b) {
    return PyArray_TYPE(as_array(a.ptr())) == PyArray_TYPE(as_array(b.ptr()));
}

// Keeps the memory of arrays in place while a call reads it without the GIL: NumPy refuses to
// resize an array in place while a weak reference to it exists. (For a view, the owner is
// referenced.)
class Pins {
public:
    void add(PyObject* array) {
        PyObject* base;
        while ((base = PyArray_BASE(as_array(array))) && PyArray_Check(base)) array = base;
        PyObject* const made = PyWeakref_NewRef(array, nullptr);
        if (!made) throw py::error_already_set();
        references_[count_++] = py::reinterpret_steal<py::object>(made);
    }

private:
    py::object references_[3];
    int count_ = 0;
};

// Checks of the operands that the Python layer prepares.
inline void require(bool condition, const char* message) {
    if (!condition) throw py::value_error(message);
}
template <class T>
T* contiguous(const py::array& a, const char* name) {
    require(py::isinstance<py::array_t<T>>(a) && (a.flags() & py::array::c_style),
            (std::string(name) + " must be C-contiguous, all arrays of one float type").c_str());
    return const_cast<T*>(static_cast<const T*>(a.data()));
}
template <class T>
T* writable(py::array& a, const char* name) {
    require(a.writeable(), (std::string(name) + " must be writable").c_str());
    return contiguous<T>(a, name);
}

}  // namespace pynn
