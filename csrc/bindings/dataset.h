// Samples, labels and weights: the caller's arrays as the trainer reads them.
#pragma once

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "bindings/arrays.h"
#include "nn/trainer.h"

namespace pynn {

inline DType dtype_of(const py::array& a) {
    switch (PyArray_TYPE(as_array(a.ptr()))) {
        case NPY_FLOAT:
            return DType::f32;
        case NPY_DOUBLE:
            return DType::f64;
        case NPY_HALF:
            return DType::f16;
        case NPY_BOOL:
        case NPY_UBYTE:
            return DType::u8;
        case NPY_BYTE:
            return DType::i8;
        case NPY_SHORT:
            return DType::i16;
        case NPY_USHORT:
            return DType::u16;
        case NPY_INT:
            return DType::i32;
        case NPY_UINT:
            return DType::u32;
        case NPY_LONG:
            return sizeof(long) == 8 ? DType::i64 : DType::i32;
        case NPY_ULONG:
            return sizeof(long) == 8 ? DType::u64 : DType::u32;
        case NPY_LONGLONG:
            return DType::i64;
        case NPY_ULONGLONG:
            return DType::u64;
        default:
            throw py::type_error("unsupported dtype " + std::string(py::str(a.dtype())));
    }
}

inline py::array as_dense(const py::object& x) {
    if (!py::isinstance<py::array>(x)) throw py::type_error("X must be an array");
    return py::reinterpret_borrow<py::array>(x);
}

inline Matrix matrix_of(const py::array& a, index_t columns, const char* name) {
    index_t of_sample = 1;
    for (index_t axis = 1; axis < a.ndim(); ++axis) of_sample *= a.shape(axis);
    require(a.ndim() >= 2 && a.ndim() <= 5 && of_sample == columns,
            (std::string(name) + " has the wrong shape").c_str());
    require(PyArray_ISBEHAVED_RO(as_array(a.ptr())),
            (std::string(name) + " must be aligned and in native byte order").c_str());
    Matrix m;
    m.data = static_cast<const char*>(a.data());
    m.dtype = dtype_of(a);
    m.rows = a.shape(0);
    m.columns = columns;
    m.row_stride = a.strides(0);
    const index_t last = a.ndim() - 1;
    m.column_stride = a.strides(last);
    if (last > 1) m.run = a.shape(last);
    for (index_t axis = 1; axis < last; ++axis) {
        m.axes[3 - last + axis] = a.shape(axis);
        m.axis_strides[3 - last + axis] = a.strides(axis);
    }
    return m;
}

// A sparse matrix in compressed rows as a Python object, from which Python classes may derive.
class BoundCsr {
public:
    BoundCsr(py::array starts, py::array columns, py::array values, index_t width)
        : starts_(std::move(starts)), columns_(std::move(columns)), values_(std::move(values)) {
        for (const py::array* a : {&starts_, &columns_, &values_}) {
            require(a->ndim() == 1 && PyArray_ISCARRAY_RO(as_array(a->ptr())),
                    "the arrays of a sparse matrix must be contiguous vectors");
            pins_.add(a->ptr());
        }
        require(starts_.size() >= 1 && columns_.size() == values_.size(),
                "the arrays of a sparse matrix differ in length");
        require(width >= 0, "a sparse matrix has a negative width");
        csr_.rows = starts_.size() - 1;
        csr_.columns = width;
        csr_.nnz = values_.size();
        csr_.row_pointers = starts_.data();
        csr_.column = columns_.data();
        csr_.int64_row_pointers = is_wide(starts_);
        csr_.int64_columns = is_wide(columns_);
        csr_.values = static_cast<const char*>(values_.data());
        csr_.dtype = dtype_of(values_);
        csr_.value_bytes = values_.itemsize();
    }
    const CsrMatrix& csr() const { return csr_; }

private:
    static bool is_wide(const py::array& a) {
        const DType type = dtype_of(a);
        require(type == DType::i32 || type == DType::i64,
                "the indices of a sparse matrix must be int32 or int64");
        return type == DType::i64;
    }
    py::array starts_, columns_, values_;
    Pins pins_;
    CsrMatrix csr_;
};

// Return X as a sparse matrix; null if it is none.
inline const CsrMatrix* as_csr(const py::object& x, index_t columns) {
    if (!py::isinstance<BoundCsr>(x)) return nullptr;
    const CsrMatrix& csr = x.cast<const BoundCsr&>().csr();
    require(csr.columns == columns, "X has the wrong shape");
    return &csr;
}
// Return the fault of x's indices in the `count` rows that `order` names (null: in any row), or "".
inline std::string sparse_error(const CsrMatrix& x, const int64_t* order, index_t count) {
    index_t row = -1;
    const bool few = order && count < x.rows;
    const char* const fault = csr_error(x, few ? order : nullptr, few ? count : x.rows, row);
    if (!fault) return "";
    return row < 0 ? fault : std::string(fault) + " in row " + std::to_string(row);
}
// Throw if the indices of x are invalid in the `count` rows that `order` names (null: in any row).
inline void check_sparse(const CsrMatrix& x, const int64_t* order, index_t count) {
    const std::string error = sparse_error(x, order, count);
    require(error.empty(), error.c_str());
}

// Return the values of a contiguous vector of n elements of T.
template <class T>
const T* vector_of(const py::array& a, index_t n, const char* name) {
    require(
        py::isinstance<py::array_t<T>>(a) && a.ndim() == 1 && a.shape(0) == n &&
            (a.flags() & py::array::c_style),
        (std::string(name) + " must be a contiguous vector of the right type and length").c_str());
    return static_cast<const T*>(a.data());
}

// Return X as a matrix. A sparse X goes to `sparse` (else null), and the matrix has only its shape.
inline Matrix x_of(const py::object& x, index_t inputs, const CsrMatrix*& sparse) {
    sparse = as_csr(x, inputs);
    if (!sparse) return matrix_of(as_dense(x), inputs, "X");
    Matrix shape;
    shape.rows = sparse->rows;
    shape.columns = inputs;
    return shape;
}

// The contiguous n values of T, in any shape.
template <class T>
const T* contiguous_values(const py::array& a, index_t n, const char* name) {
    require(py::isinstance<py::array_t<T>>(a) && a.size() == n && (a.flags() & py::array::c_style),
            (std::string(name) + " must be contiguous, of the right type and size").c_str());
    return static_cast<const T*>(a.data());
}

inline Pins pins_of(const py::object& x, const py::array* y,
                    const std::optional<py::array>& weights) {
    Pins pins;
    if (PyArray_Check(x.ptr())) pins.add(x.ptr());
    if (y) pins.add(y->ptr());
    if (weights) pins.add(weights->ptr());
    return pins;
}

// Build the dataset from X, y (labels or values) and the weights, if given: one per sample or one
// per target.
template <class T>
Dataset dataset_of(const py::object& x, const py::array& y, bool labels,
                   const std::optional<py::array>& weights, const Network<T>& network) {
    Dataset s;
    s.x = x_of(x, network.inputs(), s.sparse);
    const index_t targets = s.x.rows * network.target_positions();
    require(y.ndim() >= 1 && y.shape(0) == s.x.rows, "X and y differ in length");
    if (labels) {
        s.labels = contiguous_values<int64_t>(y, targets, "labels");
    } else {
        s.targets = matrix_of(y, network.outputs(), "y");
    }
    if (weights) {
        s.weight_per_target = weights->size() == targets && targets != s.x.rows;
        s.weights = contiguous_values<double>(*weights, s.weight_per_target ? targets : s.x.rows,
                                              "weights");
    }
    return s;
}

inline std::string bad_label(const char* name, int64_t label, index_t row, index_t classes) {
    return std::string(name) + " holds the label " + std::to_string(label) + " in row " +
           std::to_string(row) + ", which is not a class: expected 0 to " +
           std::to_string(classes - 1);
}

// Throw if a label is no class, among the `count` samples that `order` names (null: the first).
inline void check_labels(const Dataset& s, const int64_t* order, index_t count, index_t classes,
                         index_t positions) {
    if (!s.labels) return;
    for (index_t i = 0; i < count; ++i) {
        const index_t row = order ? static_cast<index_t>(order[i]) : i;
        for (index_t p = row * positions; p < (row + 1) * positions; ++p) {
            const int64_t label = s.labels[p];
            if (label < 0 || label >= classes) {
                throw py::value_error(bad_label("y", label, row, classes));
            }
        }
    }
}

// Throw if a token is not below `vocabulary` (0: X has no tokens), among the same samples.
inline void check_tokens(const Matrix& x, const int64_t* order, index_t count, index_t vocabulary) {
    if (vocabulary == 0) return;
    require(is_integer(x.dtype), "X must have an integer type: the network reads tokens");
    std::vector<int64_t> row(static_cast<std::size_t>(x.columns));
    for (index_t i = 0; i < count; ++i) {
        const BadToken bad = gather_tokens(x, order, i, 1, vocabulary, row.data());
        if (bad.row < 0) continue;
        const std::string token = x.dtype == DType::u64
                                      ? std::to_string(static_cast<uint64_t>(bad.token))
                                      : std::to_string(bad.token);
        throw py::value_error("X holds the token " + token + " in row " + std::to_string(bad.row) +
                              ", position " + std::to_string(bad.position) + ": expected 0 to " +
                              std::to_string(vocabulary - 1));
    }
}

// Throw if a call found its data changed.
inline void refuse_changed(const Changed& changed, index_t classes) {
    if (changed.row < 0) return;
    const bool is_label = changed.kind == Changed::Kind::label;
    const char* const name = is_label ? "y" : "X";
    std::string what;
    if (is_label) {
        what = bad_label(name, changed.value, changed.row, classes);
    } else if (changed.kind == Changed::Kind::token) {
        what = "X holds the token " + std::to_string(changed.value) + " in row " +
               std::to_string(changed.row);
    } else {
        what = "X has row pointers or column indices that do not fit in row " +
               std::to_string(changed.row);
    }
    throw py::value_error(what + "; " + name + " was changed during the call");
}

}  // namespace pynn
