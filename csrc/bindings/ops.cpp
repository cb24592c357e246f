// The kernels as functions of arrays.
//
// matmul and the activations are builtins called without any wrapper: a plain call on plain arrays
// is answered here, anything else goes to the general function of src/pynn/ops/ that was
// registered for it. The other functions expect operands as src/pynn/ops/ prepares them.
#include <pybind11/stl.h>

#include <map>
#include <optional>

#include "bindings/arrays.h"
#include "bindings/float_state.h"
#include "bindings/module.h"
#include "dispatch/dispatch.h"
#include "nn/activation.h"
#include "nn/dense.h"
#include "nn/loss.h"
#include "nn/parallel.h"
#include "nn/product.h"

namespace pynn {
namespace {

// Below this many operations another thread would wait less for the GIL than the release costs.
constexpr double worth_a_release = 200000;

template <class F>
void without_gil(double operations, F f) {
    KeepFloatState keep;
    std::optional<py::gil_scoped_release> release;
    if (operations > worth_a_release) release.emplace();
    f();
}

// ---------------------------------------------------------------- matmul

// A matrix or a vector as a matrix; strides in elements.
template <class T>
struct View {
    T* data;
    index_t rows, columns, row, column;
};

// axis: that of the matrix's last two, 1-D operands being a row (left) or a column (right).
template <class T>
View<T> view(PyArrayObject* a, bool left) {
    constexpr index_t size = sizeof(T);
    View<T> v{static_cast<T*>(PyArray_DATA(a)), 1, 1, 0, 0};
    const int n = PyArray_NDIM(a);
    if (n == 1) {
        (left ? v.columns : v.rows) = PyArray_DIM(a, 0);
        (left ? v.column : v.row) = PyArray_STRIDE(a, 0) / size;
    } else {
        v.rows = PyArray_DIM(a, n - 2);
        v.columns = PyArray_DIM(a, n - 1);
        v.row = PyArray_STRIDE(a, n - 2) / size;
        v.column = PyArray_STRIDE(a, n - 1) / size;
    }
    // An axis of length 1 has no stride; 1 lets the kernels read a column or a row in place.
    if (v.columns == 1) v.column = 1;
    if (v.rows == 1 && v.column != 1) v.row = 1;
    return v;
}

template <class T>
Gemm<T> gemm_of(View<T> a, View<T> b, View<T> c) {
    Gemm<T> g{};
    g.m = a.rows;
    g.k = a.columns;
    g.n = b.columns;
    g.a = a.data;
    g.a_row = a.row;
    g.a_col = a.column;
    g.b = b.data;
    g.b_row = b.row;
    g.b_col = b.column;
    g.c = c.data;
    g.c_row = c.row;
    return g;
}

double operations(index_t m, index_t n, index_t k) {
    return 2.0 * static_cast<double>(m) * static_cast<double>(n) * static_cast<double>(k);
}

// The product in `out`, or in a new array where that is null.
template <class T>
PyObject* multiply(PyArrayObject* x1, PyArrayObject* x2, PyObject* out) {
    const View<T> a = view<T>(x1, true), b = view<T>(x2, false);
    npy_intp shape[2];
    int ndim = 0;
    if (PyArray_NDIM(x1) == 2) shape[ndim++] = a.rows;
    if (PyArray_NDIM(x2) == 2) shape[ndim++] = b.columns;
    if (out && !(takes(out, PyArray_TYPE(x1), ndim, shape) && are_apart(as_array(out), x1) &&
                 are_apart(as_array(out), x2))) {
        return nullptr;
    }
    PyObject* const result = out ? out : PyArray_SimpleNew(ndim, shape, PyArray_TYPE(x1));
    if (!result) throw py::error_already_set();
    T* const data = static_cast<T*>(PyArray_DATA(as_array(result)));
    without_gil(operations(a.rows, b.columns, a.columns),
                [&] { product(gemm_of(a, b, View<T>{data, a.rows, b.columns, b.columns, 1})); });
    if (out) {
        Py_INCREF(out);
        return out;
    }
    return ndim == 0 ? PyArray_Return(as_array(result)) : result;
}

// c = alpha a b + beta c for stacks of matrices with equal leading shapes; c's rows contiguous.
template <class T>
void multiply_stacks(const py::array& a, const py::array& b, py::array& c, T alpha, T beta) {
    PyArrayObject *x1 = as_array(a.ptr()), *x2 = as_array(b.ptr()), *out = as_array(c.ptr());
    const View<T> first_a = view<T>(x1, true), first_b = view<T>(x2, false),
                  first_c = view<T>(out, true);
    const int leading = PyArray_NDIM(out) - 2;
    index_t count = 1;
    for (int i = 0; i < leading; ++i) count *= PyArray_DIM(out, i);
    constexpr index_t size = sizeof(T);
    without_gil(
        static_cast<double>(count) * operations(first_a.rows, first_b.columns, first_a.columns),
        [&] {
            const auto one = [&](index_t item, bool alone) {
                View<T> va = first_a, vb = first_b, vc = first_c;
                index_t rest = item;
                for (int i = leading - 1; i >= 0; --i) {
                    const index_t at = rest % PyArray_DIM(out, i);
                    rest /= PyArray_DIM(out, i);
                    va.data += at * (PyArray_STRIDE(x1, i) / size);
                    vb.data += at * (PyArray_STRIDE(x2, i) / size);
                    vc.data += at * (PyArray_STRIDE(out, i) / size);
                }
                Gemm<T> g = gemm_of(va, vb, vc);
                if (alpha != T(1) || beta != T(0)) {
                    g.epilogue = Epilogue::scale;
                    g.alpha = alpha;
                    g.beta = beta;
                }
                if (alone) {
                    product(g);
                } else {
                    product_serial(g);
                }
            };
            // Many small products are divided among the threads, a few large ones one by one.
            const double each = operations(first_a.rows, first_b.columns, first_a.columns);
            const int threads = threads_for(each * static_cast<double>(count), count);
            if (count < 4 * threads || threads == 1) {
                for (index_t item = 0; item < count; ++item) one(item, true);
            } else {
                run_team(threads, [&](int index, int team) {
                    const Range own = part(count, index, team);
                    for (index_t item = own.begin; item < own.end; ++item) one(item, false);
                });
            }
        });
}

void gemm_into(const py::array& a, const py::array& b, py::array out, double alpha, double beta) {
    with_type(out, [&](auto zero) {
        using T = decltype(zero);
        require(is_plain(a.ptr()) && is_plain(b.ptr()) && is_plain(out.ptr()) && out.writeable() &&
                    same_type(a, out) && same_type(b, out) && out.ndim() >= 2 &&
                    a.ndim() == out.ndim() && b.ndim() == out.ndim(),
                "expected plain arrays of one float type and one number of dimensions");
        const View<T> va = view<T>(as_array(a.ptr()), true), vb = view<T>(as_array(b.ptr()), false),
                      vc = view<T>(as_array(out.ptr()), true);
        require(va.rows == vc.rows && vb.columns == vc.columns && va.columns == vb.rows &&
                    (vc.column == 1 || vc.columns <= 1),
                "shapes do not fit, or the rows of out are not contiguous");
        for (py::ssize_t i = 0; i < out.ndim() - 2; ++i) {
            require(a.shape(i) == out.shape(i) && b.shape(i) == out.shape(i),
                    "leading shapes differ");
        }
        multiply_stacks<T>(a, b, out, static_cast<T>(alpha), static_cast<T>(beta));
    });
}

// ---------------------------------------------------------------- elementwise

// f(first, count) for pieces of n elements.
template <class F>
void by_pieces(index_t n, double operations_each, F f) {
    const double total = operations_each * static_cast<double>(n);
    without_gil(total, [&] {
        run_team(threads_for(total, n / 4096), [&](int index, int count) {
            const Range own = part(n, index, count, 1024);
            f(own.begin, own.size());
        });
    });
}

constexpr double activation_operations = 30;

void activation_into(const std::string& name, double alpha, const py::array& x, py::array out) {
    with_type(out, [&](auto zero) {
        using T = decltype(zero);
        require(x.size() == out.size(), "x and out differ in size");
        const T* const source = contiguous<T>(x, "x");
        T* const target = writable<T>(out, "out");
        const Kernels<T>& k = kernels<T>();
        const T a = static_cast<T>(alpha);
        const auto run = [&](auto f) { by_pieces(x.size(), activation_operations, f); };
        const auto plain = [&](void (*f)(const T*, T*, index_t)) {
            run([=](index_t at, index_t n) { f(source + at, target + at, n); });
        };
        const auto shaped = [&](void (*f)(T, const T*, T*, index_t)) {
            run([=](index_t at, index_t n) { f(a, source + at, target + at, n); });
        };
        if (name == "relu") return plain(k.relu);
        if (name == "sigmoid") return plain(k.sigmoid);
        if (name == "tanh") return plain(k.tanh);
        if (name == "exp") return plain(k.exp);
        if (name == "softplus") return plain(k.softplus);
        if (name == "silu") return plain(k.silu);
        if (name == "elu") return shaped(k.elu);
        if (name == "leaky_relu") return shaped(k.leaky_relu);
        throw py::value_error("unknown function " + name);
    });
}

// y is the function's output, or for silu its input.
void activation_backward_into(const std::string& name, double alpha, const py::array& dy,
                              const py::array& y, py::array out) {
    with_type(out, [&](auto zero) {
        using T = decltype(zero);
        require(dy.size() == out.size() && y.size() == out.size(), "sizes differ");
        const T *const d = contiguous<T>(dy, "dy"), *const v = contiguous<T>(y, "y");
        T* const target = writable<T>(out, "out");
        const Kernels<T>& k = kernels<T>();
        const T a = static_cast<T>(alpha);
        const auto run = [&](auto f) { by_pieces(dy.size(), activation_operations, f); };
        const auto plain = [&](void (*f)(const T*, const T*, T*, index_t)) {
            run([=](index_t at, index_t n) { f(d + at, v + at, target + at, n); });
        };
        const auto shaped = [&](void (*f)(T, const T*, const T*, T*, index_t)) {
            run([=](index_t at, index_t n) { f(a, d + at, v + at, target + at, n); });
        };
        if (name == "relu") return plain(k.relu_backward);
        if (name == "sigmoid") return plain(k.sigmoid_backward);
        if (name == "tanh") return plain(k.tanh_backward);
        if (name == "softplus") return plain(k.softplus_backward);
        if (name == "silu") return plain(k.silu_backward);
        if (name == "elu") return shaped(k.elu_backward);
        if (name == "leaky_relu") return shaped(k.leaky_relu_backward);
        throw py::value_error("unknown function " + name);
    });
}

// ---------------------------------------------------------------- rows

template <class F>
void by_rows(index_t m, index_t n, F f) {
    const double total = activation_operations * static_cast<double>(m) * static_cast<double>(n);
    without_gil(total, [&] {
        run_team(threads_for(total, m), [&](int index, int count) {
            const Range own = part(m, index, count);
            f(own.begin * n, own.size());
        });
    });
}

void softmax_into(const py::array& x, bool log, py::array out) {
    with_type(out, [&](auto zero) {
        using T = decltype(zero);
        require(x.ndim() == 2 && x.size() == out.size(), "expected two matrices of one shape");
        const T* const source = contiguous<T>(x, "x");
        T* const target = writable<T>(out, "out");
        const index_t n = x.shape(1);
        if (n == 0) return;
        by_rows(x.shape(0), n, [&](index_t at, index_t rows) {
            const Kernels<T>& k = kernels<T>();
            (log ? k.log_softmax : k.softmax)(source + at, target + at, rows, n);
        });
    });
}

void softmax_backward_into(const py::array& dy, const py::array& y, bool log, py::array out) {
    with_type(out, [&](auto zero) {
        using T = decltype(zero);
        require(dy.ndim() == 2 && dy.size() == out.size() && y.size() == out.size(),
                "expected three matrices of one shape");
        const T *const d = contiguous<T>(dy, "dy"), *const v = contiguous<T>(y, "y");
        T* const target = writable<T>(out, "out");
        const index_t n = dy.shape(1);
        by_rows(dy.shape(0), n, [&](index_t at, index_t rows) {
            const Kernels<T>& k = kernels<T>();
            (log ? k.log_softmax_backward : k.softmax_backward)(d + at, v + at, target + at, rows,
                                                                n);
        });
    });
}

void column_sums_into(const py::array& x, py::array out) {
    with_type(out, [&](auto zero) {
        using T = decltype(zero);
        require(x.ndim() == 2 && x.shape(1) == out.size(), "shapes do not fit");
        const T* const source = contiguous<T>(x, "x");
        T* const target = writable<T>(out, "out");
        const index_t m = x.shape(0), n = x.shape(1);
        without_gil(static_cast<double>(x.size()),
                    [&] { kernels<T>().column_sums(source, n, target, m, n); });
    });
}

// out = activation(x w + b); x has any strides, the others are contiguous.
void linear_into(const py::array& x, const py::array& w, const std::optional<py::array>& b,
                 const std::string& activation, py::array out) {
    with_type(out, [&](auto zero) {
        using T = decltype(zero);
        require(is_plain(x.ptr()) && x.ndim() == 2 && w.ndim() == 2 && out.ndim() == 2 &&
                    x.shape(1) == w.shape(0) && out.shape(0) == x.shape(0) &&
                    out.shape(1) == w.shape(1) && (!b || b->size() == w.shape(1)),
                "shapes do not fit");
        require(same_type(x, out), "all arrays must have one float type");
        const View<T> vx = view<T>(as_array(x.ptr()), true);
        const T* const weights = contiguous<T>(w, "w");
        const T* const bias = b ? contiguous<T>(*b, "b") : nullptr;
        T* const y = writable<T>(out, "out");
        const Activation f = activation_named(activation);
        const index_t n = w.shape(1);
        without_gil(operations(vx.rows, n, vx.columns), [&] {
            product(dense_forward<T>(vx.data, vx.row, vx.column, weights, bias, y, vx.rows,
                                     vx.columns, n, f));
            activate(pending_activation(f, bias != nullptr), y, vx.rows * n);
        });
    });
}

// The loss's mean over the rows; its gradient goes to `gradient`.
double loss_into(const std::string& name, const py::array& outputs, const py::array& target,
                 py::array gradient) {
    return with_type(outputs, [&](auto zero) {
        using T = decltype(zero);
        require(outputs.ndim() == 2, "expected a matrix of outputs");
        const index_t m = outputs.shape(0), n = outputs.shape(1);
        const T* const z = contiguous<T>(outputs, "outputs");
        Target<T> t;
        if (py::isinstance<py::array_t<int64_t>>(target)) {
            require(target.size() == m && (target.flags() & py::array::c_style),
                    "expected a label a row");
            t.labels = static_cast<const int64_t*>(target.data());
        } else {
            require(target.size() == m * n, "expected targets of the outputs' shape");
            t.values = contiguous<T>(target, "target");
        }
        require(gradient.size() == m * n, "gradient and outputs differ in size");
        T* const g = writable<T>(gradient, "gradient");
        const std::unique_ptr<Loss<T>> loss = make_loss<T>(name);
        double sum = 0;
        without_gil(activation_operations * static_cast<double>(m) * static_cast<double>(n), [&] {
            Buffer<T> losses;
            losses.reserve(m);
            loss->rows(z, t, m, n, m, g, losses.data());
            sum = kernels<T>().sum(losses.data(), m);
        });
        return sum / static_cast<double>(m);
    });
}

// ---------------------------------------------------------------- builtins with a way out

// src/pynn/ops/'s general functions, by name. Never released: they live as long as the module.
PyObject* general_matmul = nullptr;
PyObject* general_relu = nullptr;
PyObject* general_sigmoid = nullptr;
PyObject* general_tanh = nullptr;

void set_general(const std::string& name, py::object function) {
    static const std::map<std::string, PyObject**> places = {{"matmul", &general_matmul},
                                                             {"relu", &general_relu},
                                                             {"sigmoid", &general_sigmoid},
                                                             {"tanh", &general_tanh}};
    *places.at(name) = function.release().ptr();
}

// C++ exceptions must not reach the interpreter.
template <class F>
PyObject* guarded(F f) {
    try {
        return f();
    } catch (py::error_already_set& error) {
        error.restore();
    } catch (const std::bad_alloc&) {
        PyErr_NoMemory();
    } catch (const std::exception& error) {
        PyErr_SetString(PyExc_RuntimeError, error.what());
    }
    return nullptr;
}

// What a builtin was called with: its operands, and out, if nothing else was given.
struct Call {
    bool plain;
    PyObject* out;
};
Call read_call(int operands, PyObject* const* args, Py_ssize_t nargs, PyObject* names) {
    const Py_ssize_t named = names ? PyTuple_GET_SIZE(names) : 0;
    if (nargs + named < operands || nargs + named > operands + 1 || nargs < operands) {
        return {false, nullptr};
    }
    if (named == 1 && PyUnicode_CompareWithASCIIString(PyTuple_GET_ITEM(names, 0), "out") != 0) {
        return {false, nullptr};
    }
    PyObject* const out = nargs + named > operands ? args[operands] : nullptr;
    return {true, out == Py_None ? nullptr : out};
}

PyObject* matmul(PyObject*, PyObject* const* args, Py_ssize_t nargs, PyObject* names) {
    const Call call = read_call(2, args, nargs, names);
    if (call.plain && is_plain(args[0]) && is_plain(args[1])) {
        PyArrayObject *a = as_array(args[0]), *b = as_array(args[1]);
        const int na = PyArray_NDIM(a), nb = PyArray_NDIM(b);
        if (PyArray_TYPE(a) == PyArray_TYPE(b) && (na == 1 || na == 2) && (nb == 1 || nb == 2) &&
            PyArray_DIM(a, na - 1) == PyArray_DIM(b, 0)) {
            PyObject* const result = guarded([&] {
                return PyArray_TYPE(a) == NPY_FLOAT32 ? multiply<float>(a, b, call.out)
                                                      : multiply<double>(a, b, call.out);
            });
            if (result || PyErr_Occurred()) return result;
        }
    }
    return PyObject_Vectorcall(general_matmul, args, static_cast<size_t>(nargs), names);
}

template <class T>
PyObject* activated(PyArrayObject* x, PyObject* out, void (*f)(const T*, T*, index_t)) {
    if (out && !(takes(out, PyArray_TYPE(x), PyArray_NDIM(x), PyArray_DIMS(x)) &&
                 (PyArray_DATA(as_array(out)) == PyArray_DATA(x) || are_apart(as_array(out), x)))) {
        return nullptr;
    }
    PyObject* const result =
        out ? out : PyArray_SimpleNew(PyArray_NDIM(x), PyArray_DIMS(x), PyArray_TYPE(x));
    if (!result) throw py::error_already_set();
    const T* const source = static_cast<const T*>(PyArray_DATA(x));
    T* const target = static_cast<T*>(PyArray_DATA(as_array(result)));
    by_pieces(PyArray_SIZE(x), activation_operations,
              [&](index_t at, index_t n) { f(source + at, target + at, n); });
    Py_XINCREF(out);
    return result;
}

PyObject* activation(PyObject* general, void (*f32)(const float*, float*, index_t),
                     void (*f64)(const double*, double*, index_t), PyObject* const* args,
                     Py_ssize_t nargs, PyObject* names) {
    const Call call = read_call(1, args, nargs, names);
    if (call.plain && is_plain(args[0])) {
        PyArrayObject* x = as_array(args[0]);
        if (PyArray_NDIM(x) > 0 && PyArray_IS_C_CONTIGUOUS(x)) {
            PyObject* const result = guarded([&] {
                return PyArray_TYPE(x) == NPY_FLOAT32 ? activated(x, call.out, f32)
                                                      : activated(x, call.out, f64);
            });
            if (result || PyErr_Occurred()) return result;
        }
    }
    return PyObject_Vectorcall(general, args, static_cast<size_t>(nargs), names);
}

PyObject* relu(PyObject*, PyObject* const* args, Py_ssize_t nargs, PyObject* names) {
    return activation(general_relu, kernels<float>().relu, kernels<double>().relu, args, nargs,
                      names);
}
PyObject* sigmoid(PyObject*, PyObject* const* args, Py_ssize_t nargs, PyObject* names) {
    return activation(general_sigmoid, kernels<float>().sigmoid, kernels<double>().sigmoid, args,
                      nargs, names);
}
PyObject* tanh(PyObject*, PyObject* const* args, Py_ssize_t nargs, PyObject* names) {
    return activation(general_tanh, kernels<float>().tanh, kernels<double>().tanh, args, nargs,
                      names);
}

constexpr const char* matmul_doc = R"(matmul($module, x1, x2, /, out=None)
--

Matrix product of two arrays, with the semantics of `numpy.matmul`.

Parameters
----------
x1, x2 : array_like
    One-dimensional operands are a row (`x1`) or a column (`x2`) that leaves no axis in the
    result; further leading axes are broadcast. float32 and float64 operands of any strides,
    transposed views included, are read in place by pynn's kernels; any other type gives what
    `numpy.matmul` gives.
out : ndarray, optional
    Where the result goes; it may overlap the operands.

Returns
-------
ndarray or scalar
    The product, with NumPy's promotion of types.

Raises
------
ValueError
    If the shapes do not fit, in NumPy's words.

Notes
-----
Each element is a chain of fused multiply-adds over k in increasing order, cut every 512; the bits
do not depend on the number of threads, on the strides, or on what else is computed.
)";
constexpr const char* relu_doc = R"(relu($module, x, /, out=None)
--

Rectified linear unit, ``max(x, 0)`` element by element.

Parameters
----------
x : array_like
    Input. Types other than float32 and float64 give what ``numpy.maximum(x, 0)`` gives.
out : ndarray, optional
    Where the result goes; may be `x`.

Returns
-------
ndarray or scalar
    Of `x`'s shape. NaN stays NaN.
)";
constexpr const char* sigmoid_doc = R"(sigmoid($module, x, /, out=None)
--

Logistic function, ``1 / (1 + exp(-x))`` element by element.

Parameters
----------
x : array_like
    Input, real; integers are computed in the type that `numpy.tanh` would give.
out : ndarray, optional
    Where the result goes; may be `x`.

Returns
-------
ndarray or scalar
    Of `x`'s shape, in [0, 1], without a warning for any input. NaN stays NaN.
)";
constexpr const char* tanh_doc = R"(tanh($module, x, /, out=None)
--

Hyperbolic tangent, element by element.

Parameters
----------
x : array_like
    Input, real; integers are computed in the type that `numpy.tanh` would give.
out : ndarray, optional
    Where the result goes; may be `x`.

Returns
-------
ndarray or scalar
    Of `x`'s shape, in [-1, 1]. The sign of zero is kept; NaN stays NaN.
)";

PyCFunction fastcall(PyObject* (*f)(PyObject*, PyObject* const*, Py_ssize_t, PyObject*)) {
    return reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(f));
}

}  // namespace

void bind_ops(py::module_& m) {
    constexpr int flags = METH_FASTCALL | METH_KEYWORDS;
    static PyMethodDef methods[] = {{"matmul", fastcall(matmul), flags, matmul_doc},
                                    {"relu", fastcall(relu), flags, relu_doc},
                                    {"sigmoid", fastcall(sigmoid), flags, sigmoid_doc},
                                    {"tanh", fastcall(tanh), flags, tanh_doc},
                                    {nullptr, nullptr, 0, nullptr}};
    if (PyModule_AddFunctions(m.ptr(), methods) < 0) throw py::error_already_set();
    m.def("set_general", &set_general, py::arg("name"), py::arg("function"));
    m.def("gemm_into", &gemm_into, py::arg("a"), py::arg("b"), py::arg("out"), py::arg("alpha"),
          py::arg("beta"));
    m.def("activation_into", &activation_into, py::arg("name"), py::arg("alpha"), py::arg("x"),
          py::arg("out"));
    m.def("activation_backward_into", &activation_backward_into, py::arg("name"), py::arg("alpha"),
          py::arg("dy"), py::arg("y"), py::arg("out"));
    m.def("softmax_into", &softmax_into, py::arg("x"), py::arg("log"), py::arg("out"));
    m.def("softmax_backward_into", &softmax_backward_into, py::arg("dy"), py::arg("y"),
          py::arg("log"), py::arg("out"));
    m.def("column_sums_into", &column_sums_into, py::arg("x"), py::arg("out"));
    m.def("linear_into", &linear_into, py::arg("x"), py::arg("w"), py::arg("b"),
          py::arg("activation"), py::arg("out"));
    m.def("loss_into", &loss_into, py::arg("name"), py::arg("outputs"), py::arg("target"),
          py::arg("gradient"));
}

}  // namespace pynn
