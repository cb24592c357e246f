#include "nn/dense.h"

#include <algorithm>
#include <limits>

#include "dispatch/dispatch.h"
#include "nn/parallel.h"
#include "nn/product.h"

namespace pynn {
namespace {

template <class T>
class Dense final : public Layer<T> {
public:
    Dense(index_t inputs, index_t outputs, bool bias, Activation f)
        : inputs_(inputs), outputs_(outputs), bias_(bias), activation_(f) {}

    index_t inputs() const override { return inputs_; }
    index_t outputs() const override { return outputs_; }
    index_t parameter_count() const override { return inputs_ * outputs_ + (bias_ ? outputs_ : 0); }
    void place(index_t offset) override {
        w_ = offset;
        b_ = offset + inputs_ * outputs_;
    }
    Activation activation() const override { return activation_; }

    void reserve(index_t rows, Scratch<T>& scratch) const override {
        const Kernels<T>& k = kernels<T>();
        Gemm<T> dw = gradient_product(nullptr, nullptr, rows);
        dw.m = inputs_;
        scratch.workspace.reserve(
            std::max({k.gemm_workspace(forward_product(nullptr, nullptr, nullptr, nullptr, rows)),
                      k.gemm_workspace(backward_product(nullptr, nullptr, nullptr,
                                                        Activation::identity, nullptr, rows)),
                      k.gemm_workspace(dw)}));
        scratch.gradient.reserve(std::max(gradient_rows(inputs_) * outputs_, outputs_));
    }

    void forward(const T* parameters, const T* x, T* y, index_t rows,
                 Scratch<T>& scratch) const override {
        multiply(forward_product(parameters + w_, bias_ ? parameters + b_ : nullptr, x, y, rows),
                 scratch);
        activate(pending_activation(activation_, bias_), y, rows * outputs_);
    }

    void backward(const T* parameters, const T* delta, const T* x, Activation below, T* dx,
                  index_t rows, Scratch<T>& scratch) const override {
        multiply(backward_product(parameters + w_, delta, x, below, dx, rows), scratch);
        if (below != Activation::relu) differentiate(below, x, dx, rows * inputs_);
    }

    void follow_gradient(const T* x, const T* delta, index_t rows, int index, int count,
                         const Update<T>& update, Scratch<T>& scratch) const override {
        follow_weights(x, delta, rows, part(inputs_, index, count, inputs_ >= 16 * count ? 8 : 1),
                       update, scratch);
        const Range columns = part(outputs_, index, count, 16);
        if (!bias_ || columns.size() == 0) return;
        T* const gradient = scratch.gradient.reserve(columns.size());
        kernels<T>().column_sums(delta + columns.begin, outputs_, gradient, rows, columns.size());
        kernels<T>().update(update, gradient, b_ + columns.begin, columns.size());
    }

private:
    Gemm<T> forward_product(const T* w, const T* b, const T* x, T* y, index_t rows) const {
        return dense_forward(x, inputs_, index_t(1), w, b, y, rows, inputs_, outputs_, activation_);
    }

    // dx = delta W^T, with ReLU's derivative in the epilogue
    Gemm<T> backward_product(const T* w, const T* delta, const T* x, Activation below, T* dx,
                             index_t rows) const {
        Gemm<T> g{};
        g.m = rows;
        g.n = inputs_;
        g.k = outputs_;
        g.a = delta;
        g.a_row = outputs_;
        g.a_col = 1;
        g.b = w;
        g.b_row = 1;
        g.b_col = outputs_;
        g.c = dx;
        g.c_row = inputs_;
        if (below == Activation::relu) {
            g.epilogue = Epilogue::relu_backward;
            g.y = x;
            g.y_row = inputs_;
        }
        return g;
    }

    // dW = x^T delta; rows of W and c are the caller's to choose
    Gemm<T> gradient_product(const T* x, const T* delta, index_t rows) const {
        Gemm<T> g{};
        g.n = outputs_;
        g.k = rows;
        g.a = x;
        g.a_row = 1;
        g.a_col = inputs_;
        g.b = delta;
        g.b_row = outputs_;
        g.b_col = 1;
        g.c_row = outputs_;
        return g;
    }

    static void multiply(Gemm<T> g, Scratch<T>& scratch) {
        if (scratch.ahead.next < scratch.ahead.end) g.ahead = &scratch.ahead;
        product_serial(g, scratch.workspace);
    }

    // As many rows of W at a time as leave the gradient in the L2 cache until it is taken.
    index_t gradient_rows(index_t own) const {
        constexpr index_t piece = 128 * 1024 / sizeof(T);
        return std::max<index_t>(1, std::min(own, piece / outputs_));
    }

    void follow_weights(const T* x, const T* delta, index_t rows, Range own,
                        const Update<T>& update, Scratch<T>& scratch) const {
        Gemm<T> g = gradient_product(x + own.begin, delta, rows);
        // In the product's epilogue, where c need not be free for the pieces of a longer sum.
        if (update.rule == Rule::copy || rows <= k_chunk) {
            g.m = own.size();
            g.c = update.w + w_ + own.begin * outputs_;
            switch (update.rule) {
                case Rule::copy:
                    break;
                case Rule::sgd:
                    g.epilogue = Epilogue::scale;
                    g.alpha = -update.rate;
                    g.beta = update.keep;
                    break;
                default:
                    g.epilogue = Epilogue::update;
                    g.update = &update;
            }
            multiply(g, scratch);
            return;
        }
        const index_t step = gradient_rows(own.size());
        T* const gradient = scratch.gradient.reserve(step * outputs_);
        g.c = gradient;
        for (index_t i = own.begin; i < own.end; i += step) {
            g.m = std::min(step, own.end - i);
            g.a = x + i;
            multiply(g, scratch);
            kernels<T>().update(update, gradient, w_ + i * outputs_, g.m * outputs_);
        }
    }

    index_t inputs_, outputs_;
    bool bias_;
    Activation activation_;
    index_t w_ = 0, b_ = 0;  // offsets of the parameters
};

}  // namespace

template <class T>
Gemm<T> dense_forward(const T* x, index_t x_row, index_t x_col, const T* w, const T* bias, T* y,
                      index_t rows, index_t inputs, index_t outputs, Activation f) {
    Gemm<T> g{};
    g.m = rows;
    g.n = outputs;
    g.k = inputs;
    g.a = x;
    g.a_row = x_row;
    g.a_col = x_col;
    g.b = w;
    g.b_row = outputs;
    g.b_col = 1;
    g.c = y;
    g.c_row = outputs;
    if (bias) {
        g.epilogue = Epilogue::bias;
        g.bias = bias;
        g.floor = f == Activation::relu ? T(0) : -std::numeric_limits<T>::infinity();
    }
    return g;
}

Activation pending_activation(Activation f, bool bias) {
    return f == Activation::relu && bias ? Activation::identity : f;
}

template <class T>
std::unique_ptr<Layer<T>> make_dense(index_t inputs, index_t outputs, bool bias, Activation f) {
    return std::make_unique<Dense<T>>(inputs, outputs, bias, f);
}

template Gemm<float> dense_forward(const float*, index_t, index_t, const float*, const float*,
                                   float*, index_t, index_t, index_t, Activation);
template Gemm<double> dense_forward(const double*, index_t, index_t, const double*, const double*,
                                    double*, index_t, index_t, index_t, Activation);
template std::unique_ptr<Layer<float>> make_dense(index_t, index_t, bool, Activation);
template std::unique_ptr<Layer<double>> make_dense(index_t, index_t, bool, Activation);

}  // namespace pynn
