// Matrix products as functions of arrays.
#include "bindings/builtin.h"
#include "bindings/module.h"
#include "bindings/views.h"
#include "bindings/without_gil.h"
#include "nn/parallel.h"
#include "nn/product.h"

namespace pynn {
namespace {

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
    py::object result = result_in(out, PyArray_TYPE(x1), ndim, shape);
    T* const data = static_cast<T*>(PyArray_DATA(as_array(result.ptr())));
    without_gil(operations(a.rows, b.columns, a.columns),
                [&] { product(gemm_of(a, b, View<T>{data, a.rows, b.columns, b.columns, 1})); });
    PyObject* const answer = result.release().ptr();
    return ndim == 0 && !out ? PyArray_Return(as_array(answer)) : answer;
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

PyObject* matmul(const Arguments& given) {
    PyObject* others[1];
    if (!read(given, 2, 1, {"out"}, others)) return nullptr;
    PyObject *x1 = given.values[0], *x2 = given.values[1];
    if (!is_plain(x1) || !is_plain(x2)) return nullptr;
    PyArrayObject *a = as_array(x1), *b = as_array(x2);
    const int na = PyArray_NDIM(a), nb = PyArray_NDIM(b);
    if (PyArray_TYPE(a) != PyArray_TYPE(b) || na < 1 || na > 2 || nb < 1 || nb > 2 ||
        PyArray_DIM(a, na - 1) != PyArray_DIM(b, 0)) {
        return nullptr;
    }
    PyObject* const out = unless_none(others[0]);
    return PyArray_TYPE(a) == NPY_FLOAT32 ? multiply<float>(a, b, out)
                                          : multiply<double>(a, b, out);
}

}  // namespace

void bind_products(py::module_& m) {
    add_builtin<matmul>("matmul");
    m.def("gemm_into", &gemm_into, py::arg("a"), py::arg("b"), py::arg("out"), py::arg("alpha"),
          py::arg("beta"));
}

}  // namespace pynn
