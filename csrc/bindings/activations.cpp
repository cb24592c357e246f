// The functions of elements and of rows, and their gradients, as functions of arrays. One table
// defines them all; pynn/ops/ has the general function of each.
#include <iterator>
#include <limits>
#include <utility>

#include "bindings/arrays.h"
#include "bindings/builtin.h"
#include "bindings/module.h"
#include "bindings/without_gil.h"
#include "dispatch/dispatch.h"
#include "threads/team.h"

namespace pynn {
namespace {

// The least elements per thread, in multiples of the grain.
constexpr index_t elements_a_thread = 4096, element_grain = 1024;

// One thread's part of a call: m rows of n elements, or m elements (n is 1).
template <class T>
struct Piece {
    const Kernels<T>& k;
    const T *x, *y;  // the operands
    T* out;
    index_t m, n;
    T option;
};

// The keyword argument of a function (other than out), and its default.
struct Option {
    enum Kind { none, alpha, axis, approximate } kind;
    double fallback;
};
constexpr const char* option_names[] = {nullptr, "alpha", "axis", "approximate"};
constexpr Option no_option = {Option::none, 0}, along_axis = {Option::axis, -1},
                 by_tanh = {Option::approximate, 0};  // 1 for "tanh"
constexpr Option alpha(double fallback) { return {Option::alpha, fallback}; }

struct Function {
    template <class Run>
    constexpr Function(const char* called, int count, Option other, Run run)
        : name(called), operands(count), option(other), f32(run), f64(run) {}

    const char* name;
    int operands;
    Option option;
    void (*f32)(const Piece<float>&);
    void (*f64)(const Piece<double>&);
};

constexpr Function functions[] = {
    {"relu", 1, no_option, [](auto& p) { p.k.relu(p.x, p.out, p.m); }},
    {"sigmoid", 1, no_option, [](auto& p) { p.k.sigmoid(p.x, p.out, p.m); }},
    {"tanh", 1, no_option, [](auto& p) { p.k.tanh(p.x, p.out, p.m); }},
    {"softplus", 1, no_option, [](auto& p) { p.k.softplus(p.x, p.out, p.m); }},
    {"silu", 1, no_option, [](auto& p) { p.k.silu(p.x, p.out, p.m); }},
    {"gelu", 1, by_tanh,
     [](auto& p) { (p.option != 0 ? p.k.gelu_tanh : p.k.gelu)(p.x, p.out, p.m); }},
    {"elu", 1, alpha(1.0), [](auto& p) { p.k.elu(p.option, p.x, p.out, p.m); }},
    {"leaky_relu", 1, alpha(0.01), [](auto& p) { p.k.leaky_relu(p.option, p.x, p.out, p.m); }},
    {"exp", 1, no_option, [](auto& p) { p.k.exp(p.x, p.out, p.m); }},  // for tools/ulp.py

    {"relu_backward", 2, no_option, [](auto& p) { p.k.relu_backward(p.x, p.y, p.out, p.m); }},
    {"sigmoid_backward", 2, no_option, [](auto& p) { p.k.sigmoid_backward(p.x, p.y, p.out, p.m); }},
    {"tanh_backward", 2, no_option, [](auto& p) { p.k.tanh_backward(p.x, p.y, p.out, p.m); }},
    {"softplus_backward", 2, no_option,
     [](auto& p) { p.k.softplus_backward(p.x, p.y, p.out, p.m); }},
    {"silu_backward", 2, no_option, [](auto& p) { p.k.silu_backward(p.x, p.y, p.out, p.m); }},
    {"gelu_backward", 2, by_tanh,
     [](auto& p) {
         (p.option != 0 ? p.k.gelu_tanh_backward : p.k.gelu_backward)(p.x, p.y, p.out, p.m);
     }},
    {"elu_backward", 2, alpha(1.0),
     [](auto& p) { p.k.elu_backward(p.option, p.x, p.y, p.out, p.m); }},
    {"leaky_relu_backward", 2, alpha(0.01),
     [](auto& p) { p.k.leaky_relu_backward(p.option, p.x, p.y, p.out, p.m); }},

    {"softmax", 1, along_axis, [](auto& p) { p.k.softmax(p.x, p.out, p.m, p.n); }},
    {"log_softmax", 1, along_axis, [](auto& p) { p.k.log_softmax(p.x, p.out, p.m, p.n); }},
    {"softmax_backward", 2, along_axis,
     [](auto& p) { p.k.softmax_backward(p.x, p.y, p.out, p.m, p.n); }},
    {"log_softmax_backward", 2, along_axis,
     [](auto& p) { p.k.log_softmax_backward(p.x, p.y, p.out, p.m, p.n); }},
};

bool read_number(PyObject* given, double& value) {
    if (PyFloat_CheckExact(given)) {
        value = PyFloat_AS_DOUBLE(given);
        return true;
    }
    if (!PyLong_CheckExact(given)) return false;
    int beyond = 0;
    value = static_cast<double>(PyLong_AsLongLongAndOverflow(given, &beyond));
    return beyond == 0;
}

// Read the option's value; false if the general function must handle it.
bool read_option(Option option, PyObject* given, int ndim, double& value) {
    value = option.fallback;
    if (!given) return true;
    switch (option.kind) {
        case Option::none:
            return false;
        case Option::alpha:
            return read_number(given, value) && value > 0 &&
                   value <= std::numeric_limits<double>::max();
        case Option::axis:
            return PyLong_CheckExact(given) && read_number(given, value) &&
                   (value == -1 || value == ndim - 1);
        case Option::approximate:
            if (!PyUnicode_CheckExact(given)) return false;
            value = PyUnicode_CompareWithASCIIString(given, "tanh") == 0;
            return value != 0 || PyUnicode_CompareWithASCIIString(given, "none") == 0;
    }
    return false;
}

template <class T>
void compute(void (*kernel)(const Piece<T>&), PyArrayObject* x, PyArrayObject* y,
             PyArrayObject* out, bool rows, double option) {
    const index_t size = PyArray_SIZE(x);
    if (size == 0) return;
    const index_t n = rows ? PyArray_DIM(x, PyArray_NDIM(x) - 1) : 1, m = size / n;
    const Piece<T> all{kernels<T>(),
                       static_cast<const T*>(PyArray_DATA(x)),
                       y ? static_cast<const T*>(PyArray_DATA(y)) : nullptr,
                       static_cast<T*>(PyArray_DATA(out)),
                       m,
                       n,
                       static_cast<T>(option)};
    const double total = flops_per_element * static_cast<double>(size);
    without_gil(total, [&] {
        const int threads = threads_for(total, rows ? m : m / elements_a_thread);
        if (threads == 1)
            return kernel(all);  // (a team of one would cost too much for a small array)
        run_team(threads, [&](int index, int count) {
            const Range own = partition(m, index, count, rows ? 1 : element_grain);
            const index_t at = own.begin * n;
            kernel({all.k, all.x + at, y ? all.y + at : nullptr, all.out + at, own.size(), n,
                    all.option});
        });
    });
}

PyObject* answer(const Function& f, const Arguments& given) {
    const char* const names[] = {"out", option_names[f.option.kind]};
    PyObject* others[2] = {};
    if (!read(given, f.operands, 1, f.option.kind == Option::none ? 1 : 2, names, others)) {
        return nullptr;
    }
    if (!is_plain(given.values[0])) return nullptr;
    PyArrayObject* const x = as_array(given.values[0]);
    const int ndim = PyArray_NDIM(x), type = PyArray_TYPE(x);
    npy_intp* const shape = PyArray_DIMS(x);
    if (ndim == 0 || !PyArray_IS_C_CONTIGUOUS(x)) return nullptr;
    PyArrayObject* y = nullptr;
    if (f.operands == 2) {
        if (!is_like(given.values[1], type, ndim, shape)) return nullptr;
        y = as_array(given.values[1]);
    }
    double option;
    if (!read_option(f.option, others[1], ndim, option)) return nullptr;
    PyObject* const out = none_to_null(others[0]);
    const auto apart = [&](PyArrayObject* operand) {
        return PyArray_DATA(as_array(out)) == PyArray_DATA(operand) ||
               are_disjoint(as_array(out), operand);
    };
    if (out && !(is_writable_like(out, type, ndim, shape) && apart(x) && (!y || apart(y))))
        return nullptr;
    py::object result = out_or_new(out, type, ndim, shape);
    const bool rows = f.option.kind == Option::axis;
    if (type == NPY_FLOAT32) {
        compute(f.f32, x, y, as_array(result.ptr()), rows, option);
    } else {
        compute(f.f64, x, y, as_array(result.ptr()), rows, option);
    }
    return result.release().ptr();
}

template <std::size_t i>
PyObject* fast_path_of(const Arguments& given) {
    return answer(functions[i], given);
}

template <std::size_t... i>
void add_functions(std::index_sequence<i...>) {
    (add_builtin<fast_path_of<i>>(functions[i].name), ...);
}

}  // namespace

void bind_activations(py::module_&) {
    add_functions(std::make_index_sequence<std::size(functions)>());
}

}  // namespace pynn
