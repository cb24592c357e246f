// The fully connected layer and its gradients, as functions of arrays.
#include <algorithm>
#include <cstddef>
#include <stdexcept>

#include "bindings/builtin.h"
#include "bindings/module.h"
#include "bindings/views.h"
#include "bindings/without_gil.h"
#include "dispatch/dispatch.h"
#include "nn/activation.h"
#include "nn/gemm.h"
#include "nn/layers/dense.h"

namespace pynn {
namespace {

// False if it is not the name of an activation.
bool read_activation(PyObject* name, Activation& f) {
    f = Activation::identity;
    if (!name) return true;
    Py_ssize_t length = 0;
    const char* const text =
        PyUnicode_Check(name) ? PyUnicode_AsUTF8AndSize(name, &length) : nullptr;
    if (!text) {
        PyErr_Clear();
        return false;
    }
    try {
        f = activation_named({text, static_cast<std::size_t>(length)});
    } catch (const std::invalid_argument&) {
        return false;
    }
    return f != Activation::exp;  // (a loss's output activation only)
}

// y = f(x w + b)
template <class T>
void forward(PyArrayObject* x, PyArrayObject* w, PyArrayObject* b, Activation f, PyArrayObject* y) {
    const View<T> rows = as_rows<T>(x);
    const index_t n = PyArray_DIM(w, 1);
    if (rows.rows == 0 || n == 0) return;
    const T* const weights = static_cast<const T*>(PyArray_DATA(w));
    const T* const bias = b ? static_cast<const T*>(PyArray_DATA(b)) : nullptr;
    T* const out = static_cast<T*>(PyArray_DATA(y));
    without_gil(gemm_flops(rows.rows, n, rows.columns), [&] {
        parallel_gemm(dense_forward<T>(rows.data, rows.row, rows.column, weights, bias, out,
                                       rows.rows, rows.columns, n, f));
        activate(pending_activation(f, b != nullptr), out, rows.rows * n);
    });
}

PyObject* linear(const Arguments& given) {
    PyObject* others[3];
    if (!read(given, 2, 1, {"b", "activation", "out"}, others)) return nullptr;
    PyObject *const bias = none_to_null(others[0]), *const out = none_to_null(others[2]);
    if (!is_plain(given.values[0]) || !is_plain(given.values[1])) return nullptr;
    PyArrayObject *const x = as_array(given.values[0]), *const w = as_array(given.values[1]);
    const int type = PyArray_TYPE(x), ndim = PyArray_NDIM(x);
    if (!has_rows(x) || PyArray_NDIM(w) != 2 || PyArray_TYPE(w) != type ||
        !PyArray_IS_C_CONTIGUOUS(w) || PyArray_DIM(x, ndim - 1) != PyArray_DIM(w, 0) ||
        (bias && !is_like(bias, type, 1, PyArray_DIMS(w) + 1))) {
        return nullptr;
    }
    Activation f;
    if (!read_activation(others[1], f)) return nullptr;
    npy_intp shape[max_axes];
    std::copy_n(PyArray_DIMS(x), ndim, shape);
    shape[ndim - 1] = PyArray_DIM(w, 1);
    PyArrayObject* const b = bias ? as_array(bias) : nullptr;
    if (out && !(is_writable_like(out, type, ndim, shape) && are_disjoint(as_array(out), x) &&
                 are_disjoint(as_array(out), w) && (!b || are_disjoint(as_array(out), b)))) {
        return nullptr;
    }
    py::object result = out_or_new(out, type, ndim, shape);
    PyArrayObject* const y = as_array(result.ptr());
    type == NPY_FLOAT32 ? forward<float>(x, w, b, f, y) : forward<double>(x, w, b, f, y);
    return result.release().ptr();
}

// dx = dy w', dw = x' dy, db = the sum of dy's rows
template <class T>
void backward(PyArrayObject* dy, PyArrayObject* x, PyArrayObject* w, void* dx, void* dw, T* db) {
    const View<T> delta = as_rows<T>(dy), rows = as_rows<T>(x), weights = view<T>(w, true);
    const index_t m = rows.rows, n_in = weights.rows, n_out = weights.columns;
    without_gil(2 * gemm_flops(m, n_in, n_out), [&] {
        parallel_gemm(gemm_of(delta, transposed(weights), dense<T>(dx, m, n_in)));
        parallel_gemm(gemm_of(transposed(rows), delta, dense<T>(dw, n_in, n_out)));
        kernels<T>().column_sums(delta.data, n_out, db, m, n_out);
    });
}

PyObject* linear_backward(const Arguments& given) {
    if (given.positional != 3 || given.names) return nullptr;
    for (int i = 0; i < 3; ++i) {
        if (!is_plain(given.values[i])) return nullptr;
    }
    PyArrayObject *const dy = as_array(given.values[0]), *const x = as_array(given.values[1]),
                         *const w = as_array(given.values[2]);
    const int type = PyArray_TYPE(x), ndim = PyArray_NDIM(x);
    if (!has_rows(x) || PyArray_NDIM(w) != 2 || PyArray_TYPE(w) != type ||
        PyArray_DIM(x, ndim - 1) != PyArray_DIM(w, 0)) {
        return nullptr;
    }
    npy_intp shape[max_axes];
    std::copy_n(PyArray_DIMS(x), ndim, shape);
    shape[ndim - 1] = PyArray_DIM(w, 1);
    if (!is_like(given.values[0], type, ndim, shape)) return nullptr;
    const py::object dx = out_or_new(nullptr, type, ndim, PyArray_DIMS(x)),
                     dw = out_or_new(nullptr, type, 2, PyArray_DIMS(w)),
                     db = out_or_new(nullptr, type, 1, PyArray_DIMS(w) + 1);
    const auto run = [&](auto zero) {
        using T = decltype(zero);
        backward<T>(dy, x, w, PyArray_DATA(as_array(dx.ptr())), PyArray_DATA(as_array(dw.ptr())),
                    static_cast<T*>(PyArray_DATA(as_array(db.ptr()))));
    };
    type == NPY_FLOAT32 ? run(float()) : run(double());
    return PyTuple_Pack(3, dx.ptr(), dw.ptr(), db.ptr());
}

}  // namespace

void bind_layers(py::module_&) {
    add_builtin<linear>("linear");
    add_builtin<linear_backward>("linear_backward");
}

}  // namespace pynn
