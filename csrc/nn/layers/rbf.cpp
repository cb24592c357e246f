// Gaussian radial basis functions (D. S. Broomhead and D. Lowe, 1988):
//   y = exp(-|x - c|**2 / (2 width**2)) for each unit's center c and width.
// The squared distances are |x|**2 - 2 x.c + |c|**2, by one matrix product.
#include <algorithm>
#include <cmath>

#include "dispatch/dispatch.h"
#include "nn/column_sums.h"
#include "nn/gemm.h"
#include "nn/layers/kinds.h"

namespace pynn {
namespace {

template <class T>
class Rbf final : public Layer<T> {
public:
    Rbf(index_t inputs, index_t units, bool trains_widths)
        : inputs_(inputs), units_(units), trains_widths_(trains_widths) {}

    Shape output_shape(const Shape& in) const override {
        Shape out = in;
        out.channels = units_;
        return out;
    }
    double flops(const Shape& in) const override {
        return 2.0 * static_cast<double>(inputs_ * units_ * in.positions());
    }
    // The squared distances, for the gradient.
    index_t saved_size(const Shape& in) const override { return units_ * in.positions(); }
    std::vector<ParameterSpec> parameters() const override {
        return {{"centers", {units_, inputs_}}, {"widths", {units_}, trains_widths_}};
    }
    void set_offsets(index_t trained, index_t state) override {
        centers_ = trained;
        widths_ = trains_widths_ ? trained + units_ * inputs_ : state;
    }
    void reserve(index_t samples, const LayerShape& shape, Scratch<T>& scratch) const override {
        const index_t rows = samples * shape.in.positions();
        const Kernels<T>& k = kernels<T>();
        scratch.workspace.reserve(
            std::max({k.gemm_workspace(distance_product(nullptr, nullptr, nullptr, rows)),
                      k.gemm_workspace(input_product(nullptr, nullptr, nullptr, rows)),
                      k.gemm_workspace(center_product(nullptr, nullptr, nullptr, rows, units_))}));
        scratch.gradient.reserve(gradient_size(rows));
        scratch.column_sums.reserve(3 * units_);
    }

    void forward(const LayerIo<T>& io, Scratch<T>& scratch) const override {
        const index_t rows = rows_of(io);
        const T* const c = io.parameters + centers_;
        const T* const width = io.parameters + widths_;
        T* const lengths = scratch.column_sums.reserve(3 * units_);
        T* const factor = lengths + units_;
        for (index_t j = 0; j < units_; ++j) {
            lengths[j] = squared_length(c + j * inputs_);
            factor[j] = T(-0.5) / (width[j] * width[j]);
        }
        T* const squares = io.saved ? io.saved : io.y;
        serial_gemm(distance_product(io.x, c, squares, rows), scratch.workspace);
        for (index_t r = 0; r < rows; ++r) {
            const T length = squared_length(io.x + r * inputs_);
            T* const square = squares + r * units_;
            T* const y = io.y + r * units_;
            for (index_t j = 0; j < units_; ++j) {
                square[j] = std::max(T(0), (length + lengths[j]) - 2 * square[j]);
            }
            for (index_t j = 0; j < units_; ++j) y[j] = square[j] * factor[j];
        }
        kernels<T>().flushed_exp(io.y, io.y, rows * units_);
    }

    // dx = sum over units of e (x - c), where e is the gradient of half the squared distance.
    void backward(const LayerIo<T>& io, Scratch<T>& scratch) const override {
        const index_t rows = rows_of(io);
        const T* const c = io.parameters + centers_;
        T* const e = scratch.gradient.reserve(gradient_size(rows));
        half_square_gradients(io, {0, units_}, e, scratch);
        serial_gemm(input_product(e, c, io.dx, rows), scratch.workspace);
        for (index_t r = 0; r < rows; ++r) {
            T total = 0;
            for (index_t j = 0; j < units_; ++j) total += e[r * units_ + j];
            const T* const x = io.x + r * inputs_;
            T* const dx = io.dx + r * inputs_;
            for (index_t i = 0; i < inputs_; ++i) dx[i] = total * x[i] - dx[i];
        }
        differentiate_flushed(io.x_activation, io.x, io.dx, rows * inputs_);
    }

    void update_parameters(const LayerIo<T>& io, int index, int count,
                           const OptimizerStep<T>& given, Scratch<T>& scratch) const override {
        const index_t rows = rows_of(io);
        const Range own = partition(units_, index, count, 8);
        if (own.size() == 0) return;
        OptimizerStep<T> step = given;
        step.l1 = step.l2 = T(0);
        T* const e = scratch.gradient.reserve(gradient_size(rows));
        T* const gradient = e + rows * own.size();
        half_square_gradients(io, own, e, scratch);
        // The centers: sum over rows of e (c - x).
        T* const sums = scratch.column_sums.reserve(3 * units_);
        const index_t positions = io.shape->in_positions, n = own.size();
        sum_columns_of(io.rows, positions, n, sums, sums + units_, sums + 2 * units_,
                       [&](index_t r, index_t j) { return e[r * n + j]; });
        for (index_t first = 0; first < io.rows; first += piece_samples) {
            const index_t begin = first * positions;
            const index_t end = std::min(io.rows, first + piece_samples) * positions;
            Gemm<T> g =
                center_product(e + begin * n, io.x + begin * inputs_, gradient, end - begin, n);
            if (first > 0) {
                g.epilogue = Epilogue::scale;
                g.alpha = g.beta = T(1);
            }
            serial_gemm(g, scratch.workspace);
        }
        const T* const c = io.parameters + centers_ + own.begin * inputs_;
        for (index_t j = 0; j < n; ++j) {
            for (index_t i = 0; i < inputs_; ++i) {
                T& d = gradient[j * inputs_ + i];
                d = sums[j] * c[j * inputs_ + i] - d;
            }
        }
        // (The widths' gradient reads them, so it comes first.)
        T* const d_width = gradient + n * inputs_;
        if (trains_widths_) {
            const T* const width = io.parameters + widths_ + own.begin;
            sum_columns_of(io.rows, positions, n, d_width, sums + units_, sums + 2 * units_,
                           [&](index_t r, index_t j) {
                               return -e[r * n + j] * io.saved[r * units_ + own.begin + j];
                           });
            for (index_t j = 0; j < n; ++j) d_width[j] /= width[j];
        }
        if ((io.frozen & 1) == 0) {
            kernels<T>().update(step, gradient, centers_ + own.begin * inputs_, n * inputs_);
        }
        if (trains_widths_ && (io.frozen & 2) == 0)
            kernels<T>().update(step, d_width, widths_ + own.begin, n);
    }

private:
    static index_t rows_of(const LayerIo<T>& io) { return io.rows * io.shape->in_positions; }
    index_t gradient_size(index_t rows) const { return rows * units_ + units_ * (inputs_ + 1); }

    T squared_length(const T* x) const {
        T total = 0;
        for (index_t i = 0; i < inputs_; ++i) total += x[i] * x[i];
        return total;
    }

    // e = -delta y / width**2, of the units `own`: d loss / d (|x - c|**2 / 2).
    void half_square_gradients(const LayerIo<T>& io, Range own, T* e, Scratch<T>&) const {
        const T* const width = io.parameters + widths_ + own.begin;
        const index_t n = own.size();
        for (index_t r = 0; r < rows_of(io); ++r) {
            const T* const y = io.y + r * units_ + own.begin;
            const T* const delta = io.delta + r * units_ + own.begin;
            for (index_t j = 0; j < n; ++j) {
                e[r * n + j] = -(delta[j] * y[j]) / (width[j] * width[j]);
            }
        }
    }

    // x C^T
    Gemm<T> distance_product(const T* x, const T* c, T* out, index_t rows) const {
        return product(rows, units_, inputs_, x, inputs_, 1, c, 1, inputs_, out);
    }
    // e C
    Gemm<T> input_product(const T* e, const T* c, T* out, index_t rows) const {
        return product(rows, inputs_, units_, e, units_, 1, c, inputs_, 1, out);
    }
    // e^T x, of n units
    Gemm<T> center_product(const T* e, const T* x, T* out, index_t rows, index_t n) const {
        return product(n, inputs_, rows, e, 1, n, x, inputs_, 1, out);
    }
    static Gemm<T> product(index_t m, index_t n, index_t k, const T* a, index_t a_row,
                           index_t a_col, const T* b, index_t b_row, index_t b_col, T* c) {
        Gemm<T> g{};
        g.m = m;
        g.n = n;
        g.k = k;
        g.a = a;
        g.a_row = a_row;
        g.a_col = a_col;
        g.b = b;
        g.b_row = b_row;
        g.b_col = b_col;
        g.c = c;
        g.c_row = n;
        return g;
    }

    index_t inputs_, units_;
    bool trains_widths_;
    index_t centers_ = 0, widths_ = 0;  // offsets
};

}  // namespace

template <class T>
std::unique_ptr<Layer<T>> make_rbf(const LayerSettings& s) {
    return std::make_unique<Rbf<T>>(s.size("inputs"), s.size("units"), s.flag("trains_widths"));
}

template std::unique_ptr<Layer<float>> make_rbf(const LayerSettings&);
template std::unique_ptr<Layer<double>> make_rbf(const LayerSettings&);

}  // namespace pynn
