#include "nn/loss.h"

#include <stdexcept>

#include "dispatch/dispatch.h"

namespace pynn {
namespace {

template <class T>
LossRows<T> loss_rows(const T* outputs, Target<T> target, index_t rows, index_t n, T* gradient,
                      T* losses) {
    LossRows<T> r{};
    r.m = rows;
    r.n = n;
    r.z = outputs;
    r.labels = target.labels;
    r.target = target.values;
    r.gradient = gradient;
    r.loss = losses;
    return r;
}

template <class T>
class SoftmaxCrossEntropy final : public Loss<T> {
public:
    void predict(T* outputs, index_t rows, index_t n) const override {
        kernels<T>().softmax(outputs, outputs, rows, n);
    }
    bool classifies() const override { return true; }
    void rows(const T* outputs, Target<T> target, index_t rows, index_t n, index_t batch,
              T* gradient, T* losses) const override {
        LossRows<T> r = loss_rows(outputs, target, rows, n, gradient, losses);
        r.scale = T(1) / static_cast<T>(batch);
        kernels<T>().softmax_cross_entropy(r);
    }
};

template <class T>
class SigmoidCrossEntropy final : public Loss<T> {
public:
    void predict(T* outputs, index_t rows, index_t n) const override {
        kernels<T>().sigmoid(outputs, outputs, rows * n);
    }
    bool classifies() const override { return true; }
    void rows(const T* outputs, Target<T> target, index_t rows, index_t n, index_t batch,
              T* gradient, T* losses) const override {
        LossRows<T> r = loss_rows(outputs, target, rows, n, gradient, losses);
        r.scale = T(1) / static_cast<T>(batch);
        kernels<T>().sigmoid_cross_entropy(r);
    }
};

// Half the sum of squares over the outputs, or the mean of the squares over the outputs.
template <class T>
class SquaredError final : public Loss<T> {
public:
    explicit SquaredError(bool mean) : mean_(mean) {}
    void predict(T*, index_t, index_t) const override {}
    bool classifies() const override { return false; }
    void rows(const T* outputs, Target<T> target, index_t rows, index_t n, index_t batch,
              T* gradient, T* losses) const override {
        LossRows<T> r = loss_rows(outputs, target, rows, n, gradient, losses);
        const T count = static_cast<T>(n);
        r.scale = mean_ ? T(2) / (static_cast<T>(batch) * count) : T(1) / static_cast<T>(batch);
        kernels<T>().squared_error(r);
        if (!mean_) return;
        for (index_t i = 0; i < rows; ++i) losses[i] *= T(2) / count;
    }

private:
    bool mean_;
};

}  // namespace

template <class T>
std::unique_ptr<Loss<T>> make_loss(const std::string& name) {
    if (name == "softmax_cross_entropy") return std::make_unique<SoftmaxCrossEntropy<T>>();
    if (name == "sigmoid_cross_entropy") return std::make_unique<SigmoidCrossEntropy<T>>();
    if (name == "squared_error") return std::make_unique<SquaredError<T>>(false);
    if (name == "mse") return std::make_unique<SquaredError<T>>(true);
    throw std::invalid_argument("unknown loss '" + name + "'");
}

template std::unique_ptr<Loss<float>> make_loss(const std::string&);
template std::unique_ptr<Loss<double>> make_loss(const std::string&);

}  // namespace pynn
