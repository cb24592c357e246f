// Matrix products as functions of arrays.
#include <pybind11/stl.h>

#include <algorithm>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "bindings/builtin.h"
#include "bindings/module.h"
#include "bindings/views.h"
#include "bindings/without_gil.h"
#include "dispatch/dispatch.h"
#include "nn/gemm.h"
#include "threads/team.h"

namespace pynn {
namespace {

// The leading axes of a product of stacks, and the operands' strides along them, in elements. The
// result's matrices are contiguous.
struct Stacks {
    int axes = 0;
    npy_intp shape[max_axes], a_step[max_axes], b_step[max_axes];
};

// Broadcast the axes before the last two as NumPy does; false if they do not fit.
bool broadcast(PyArrayObject* a, PyArrayObject* b, Stacks& stacks) {
    const int na = PyArray_NDIM(a) - 2, nb = PyArray_NDIM(b) - 2;
    const npy_intp size = PyArray_ITEMSIZE(a);
    stacks.axes = std::max({na, nb, 0});
    for (int i = 0; i < stacks.axes; ++i) {
        const int ia = i - stacks.axes + na, ib = i - stacks.axes + nb;
        const npy_intp da = ia < 0 ? 1 : PyArray_DIM(a, ia), db = ib < 0 ? 1 : PyArray_DIM(b, ib);
        if (da != db && da != 1 && db != 1) return false;
        stacks.shape[i] = da == 1 ? db : da;
        stacks.a_step[i] = da == 1 ? 0 : PyArray_STRIDE(a, ia) / size;
        stacks.b_step[i] = db == 1 ? 0 : PyArray_STRIDE(b, ib) / size;
    }
    return true;
}

// Compute the products of all matrices of a stack; `first` is the first.
template <class T>
void multiply(const Gemm<T>& first, const Stacks& stacks) {
    index_t count = 1;
    for (int i = 0; i < stacks.axes; ++i) count *= stacks.shape[i];
    const auto at = [&](index_t item) {
        Gemm<T> g = first;
        g.c += item * g.m * g.n;
        for (int i = stacks.axes - 1; i >= 0; --i) {
            const index_t here = item % stacks.shape[i];
            item /= stacks.shape[i];
            g.a += here * stacks.a_step[i];
            g.b += here * stacks.b_step[i];
        }
        return g;
    };
    const double total = static_cast<double>(count) * gemm_flops(first.m, first.n, first.k);
    without_gil(total, [&] {
        // Threads share many small products; few large ones are each divided among the threads.
        const int threads = threads_for(total, count);
        if (count < 4 * threads || threads == 1) {
            for (index_t item = 0; item < count; ++item) parallel_gemm(at(item));
        } else {
            run_team(threads, [&](int index, int team) {
                const Range own = partition(count, index, team);
                for (index_t item = own.begin; item < own.end; ++item) serial_gemm(at(item));
            });
        }
    });
}

// Return the product in `out`, or in a new array if that is null; null if `out` does not fit.
template <class T>
PyObject* multiply(PyArrayObject* x1, PyArrayObject* x2, const Stacks& stacks, PyObject* out) {
    const View<T> a = view<T>(x1, true), b = view<T>(x2, false);
    npy_intp shape[max_axes];
    int ndim = stacks.axes;
    std::copy_n(stacks.shape, ndim, shape);
    if (PyArray_NDIM(x1) > 1) shape[ndim++] = a.rows;
    if (PyArray_NDIM(x2) > 1) shape[ndim++] = b.columns;
    if (out && !(is_writable_like(out, PyArray_TYPE(x1), ndim, shape) &&
                 are_disjoint(as_array(out), x1) && are_disjoint(as_array(out), x2))) {
        return nullptr;
    }
    py::object result = out_or_new(out, PyArray_TYPE(x1), ndim, shape);
    void* const data = PyArray_DATA(as_array(result.ptr()));
    multiply(gemm_of(a, b, dense<T>(data, a.rows, b.columns)), stacks);
    PyObject* const answer = result.release().ptr();
    return ndim == 0 && !out ? PyArray_Return(as_array(answer)) : answer;
}

PyObject* matmul(const Arguments& given) {
    PyObject* others[1];
    if (!read(given, 2, 1, {"out"}, others)) return nullptr;
    if (!is_plain(given.values[0]) || !is_plain(given.values[1])) return nullptr;
    PyArrayObject *const a = as_array(given.values[0]), *const b = as_array(given.values[1]);
    const int na = PyArray_NDIM(a), nb = PyArray_NDIM(b), type = PyArray_TYPE(a);
    if (PyArray_TYPE(b) != type || na == 0 || nb == 0 ||
        PyArray_DIM(a, na - 1) != PyArray_DIM(b, nb == 1 ? 0 : nb - 2)) {
        return nullptr;
    }
    Stacks stacks;
    if (!broadcast(a, b, stacks)) return nullptr;
    PyObject* const out = none_to_null(others[0]);
    return type == NPY_FLOAT32 ? multiply<float>(a, b, stacks, out)
                               : multiply<double>(a, b, stacks, out);
}

// out = alpha a b + beta out, for plain matrices as pynn/ops/products.py prepares them.
void gemm_into(const py::array& a, const py::array& b, py::array out, double alpha, double beta) {
    with_type(out, [&](auto zero) {
        using T = decltype(zero);
        require(is_plain(a.ptr()) && is_plain(b.ptr()) && same_type(a, out) && same_type(b, out) &&
                    a.ndim() == 2 && b.ndim() == 2 && out.ndim() == 2,
                "expected plain matrices of one float type");
        const View<T> va = view<T>(as_array(a.ptr()), true), vb = view<T>(as_array(b.ptr()), true);
        require(out.shape(0) == va.rows && out.shape(1) == vb.columns && va.columns == vb.rows,
                "shapes do not fit");
        Gemm<T> g = gemm_of(va, vb, dense<T>(writable<T>(out, "out"), va.rows, vb.columns));
        if (alpha != 1 || beta != 0) {
            g.epilogue = Epilogue::scale;
            g.alpha = static_cast<T>(alpha);
            g.beta = static_cast<T>(beta);
        }
        without_gil(gemm_flops(g.m, g.n, g.k), [&] { parallel_gemm(g); });
    });
}

// The strategies of a layer's three float32 products on one thread: outputs, input gradient and
// weight gradient.
std::vector<std::string> strategies(index_t rows, index_t inputs, index_t outputs) {
    const float bias = 0;
    Gemm<float> forward{};
    forward.m = rows;
    forward.k = forward.a_row = inputs;
    forward.n = forward.b_row = forward.c_row = outputs;
    forward.a_col = forward.b_col = 1;
    forward.epilogue = Epilogue::bias;
    forward.bias = &bias;
    Gemm<float> input_gradient{};
    input_gradient.m = rows;
    input_gradient.k = input_gradient.a_row = input_gradient.b_col = outputs;
    input_gradient.n = input_gradient.c_row = inputs;
    input_gradient.a_col = input_gradient.b_row = 1;
    Gemm<float> weight_gradient{};
    weight_gradient.m = weight_gradient.a_col = inputs;
    weight_gradient.k = rows;
    weight_gradient.n = weight_gradient.b_row = weight_gradient.c_row = outputs;
    weight_gradient.a_row = weight_gradient.b_col = 1;
    std::vector<std::string> names;
    for (const auto& g : {forward, input_gradient, weight_gradient}) {
        names.emplace_back(kernels<float>().gemm_strategy(g));
    }
    return names;
}

// A piece of product_pieces(): a is a matrix, or with a table of rows or columns a vector.
using PieceArrays = std::tuple<py::array, py::array, std::optional<py::array_t<int32_t>>,
                               std::optional<py::array_t<int32_t>>>;

// a's table, all of whose runs of `length` elements, `step` apart, lie in `size` elements.
const int32_t* checked_table(const py::array_t<int32_t>& table, index_t count, index_t length,
                             index_t size) {
    require(table.ndim() == 1 && table.shape(0) == count &&
                (count < 2 || table.strides(0) == sizeof(int32_t)),
            "a table has the wrong length");
    for (index_t i = 0; i < count; ++i) {
        require(table.at(i) < 0 || table.at(i) + length <= size, "a table leaves its array");
    }
    return table.data();
}

// A product of several pieces, as layers use it (docs/kernels.md), for the tests: the pieces'
// operands, c, and what the epilogue takes. Gives the strategy's name.
std::string product_pieces(const std::vector<PieceArrays>& arrays, py::array c,
                           const std::string& epilogue, std::optional<py::array> other,
                           double factor, double beta, index_t k_before,
                           std::optional<py::array> acc_in, std::optional<py::array> acc_out,
                           bool b_exceeds_l2) {
    std::string name;
    with_type(c, [&](auto zero) {
        using T = decltype(zero);
        const auto matrix = [&](const py::array& x, index_t rows, index_t columns) {
            require(is_plain(x.ptr()) && same_type(x, c) && x.ndim() == 2 && x.shape(0) == rows &&
                        x.shape(1) == columns &&
                        (columns == 1 || x.strides(1) == static_cast<index_t>(sizeof(T))),
                    "an array does not fit");
            return view<T>(as_array(x.ptr()), true);
        };
        Gemm<T> g{};
        require(c.ndim() == 2 && !arrays.empty(), "expected a matrix and pieces");
        g.m = c.shape(0);
        g.n = c.shape(1);
        std::vector<GemmPiece<T>> pieces;
        for (const auto& [a, b, rows, columns] : arrays) {
            require(is_plain(a.ptr()) && is_plain(b.ptr()) && same_type(a, c) && same_type(b, c) &&
                        b.ndim() == 2 && b.shape(1) == g.n && a.ndim() == (rows || columns ? 1 : 2),
                    "expected operands of one type");
            const View<T> vb = view<T>(as_array(b.ptr()), true);
            GemmPiece<T> p{};
            p.k = vb.rows;
            p.b = vb.data;
            p.b_row = vb.row;
            p.b_col = vb.column;
            p.a = static_cast<const T*>(PyArray_DATA(as_array(a.ptr())));
            if (rows || columns) {
                require(a.strides(0) == static_cast<index_t>(sizeof(T)), "expected a plain vector");
                p.a_row = p.a_col = 1;
                if (rows) p.a_rows = checked_table(*rows, g.m, p.k, a.shape(0));
                if (columns) p.a_cols = checked_table(*columns, p.k, g.m, a.shape(0));
            } else {
                require(a.shape(0) == g.m && a.shape(1) == p.k, "shapes do not fit");
                const View<T> va = view<T>(as_array(a.ptr()), true);
                p.a_row = va.row;
                p.a_col = va.column;
            }
            pieces.push_back(p);
            g.k += p.k;
        }
        if (pieces.size() == 1) {
            static_cast<GemmPiece<T>&>(g) = pieces[0];
        } else {
            g.pieces = pieces.data();
            g.piece_count = static_cast<index_t>(pieces.size());
        }
        const View<T> vc = matrix(c, g.m, g.n);
        require(c.writeable(), "c must be writable");
        g.c = vc.data;
        g.c_row = vc.row;
        g.alpha = g.floor = static_cast<T>(factor);
        g.beta = static_cast<T>(beta);
        OptimizerStep<T> step{};
        if (epilogue == "bias") {
            g.epilogue = Epilogue::bias;
            g.bias = matrix(other.value(), 1, g.n).data;
        } else if (epilogue == "scale") {
            g.epilogue = Epilogue::scale;
        } else if (epilogue == "relu_backward") {
            const View<T> y = matrix(other.value(), g.m, g.n);
            g.epilogue = Epilogue::relu_backward;
            g.y = y.data;
            g.y_row = y.row;
        } else if (epilogue == "sgd") {
            g.epilogue = Epilogue::update;
            step.rule = Rule::sgd;
            step.w = g.c;
            step.rate = g.alpha;
            step.decay = g.beta;
            g.update = &step;
        } else {
            require(epilogue == "store", "unknown epilogue");
        }
        g.k_before = k_before;
        if (acc_in) {
            const View<T> v = matrix(*acc_in, g.m, g.n);
            g.acc_in = v.data;
            g.acc_in_row = v.row;
        }
        require(acc_in || k_before % KC == 0, "an unfinished chain is missing");
        if (acc_out) {
            g.acc_out_row = matrix(*acc_out, g.m, g.n).row;
            g.acc_out = writable<T>(*acc_out, "acc_out");
        }
        g.b_exceeds_l2 = b_exceeds_l2;
        name = kernels<T>().gemm_strategy(g);
        without_gil(gemm_flops(g.m, g.n, g.k), [&] { parallel_gemm(g); });
    });
    return name;
}

}  // namespace

void bind_products(py::module_& m) {
    m.def("strategies", &strategies, py::arg("rows"), py::arg("inputs"), py::arg("outputs"));
    add_builtin<matmul>("matmul");
    m.def("product_pieces", &product_pieces, py::arg("pieces"), py::arg("c"),
          py::arg("epilogue") = "store", py::arg("other") = py::none(), py::arg("factor") = 1.0,
          py::arg("beta") = 0.0, py::arg("k_before") = 0, py::arg("acc_in") = py::none(),
          py::arg("acc_out") = py::none(), py::arg("b_exceeds_l2") = false);
    m.def("gemm_into", &gemm_into, py::arg("a"), py::arg("b"), py::arg("out"), py::arg("alpha"),
          py::arg("beta"));
}

}  // namespace pynn
