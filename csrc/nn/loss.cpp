#include "nn/loss.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "dispatch/dispatch.h"

namespace pynn {
namespace {

// Cross-entropies: targets between a class and all others alike (C. Szegedy et al., "Rethinking the
// Inception architecture", CVPR 2016).
template <class T>
class CrossEntropy : public Loss<T> {
public:
    explicit CrossEntropy(double smoothing) : smoothing_(static_cast<T>(smoothing)) {}

protected:
    Target<T> targets(Target<T> given, index_t rows, index_t n, T* target_buffer) const override {
        if (smoothing_ == T(0)) return given;
        const T off_weight = smoothing_ / static_cast<T>(smoothed_classes(n)),
                on_weight = T(1) - smoothing_;
        if (given.labels) {
            std::fill(target_buffer, target_buffer + rows * n, off_weight);
            for (index_t i = 0; i < rows; ++i) {
                const int64_t label = given.labels[i];
                if (n > 1) {
                    target_buffer[i * n + label] += on_weight;
                } else {
                    target_buffer[i] += on_weight * static_cast<T>(label);
                }
            }
        } else {
            for (index_t i = 0; i < rows * n; ++i)
                target_buffer[i] = on_weight * given.values[i] + off_weight;
        }
        return {nullptr, target_buffer};
    }

private:
    // What a smoothed target is divided among.
    virtual index_t smoothed_classes(index_t n) const = 0;
    T smoothing_;
};

template <class T>
class SoftmaxCrossEntropy final : public CrossEntropy<T> {
public:
    using CrossEntropy<T>::CrossEntropy;
    index_t classes(index_t outputs) const override { return outputs; }
    void predict(T* outputs, index_t rows, index_t n) const override {
        kernels<T>().softmax(outputs, outputs, rows, n);
    }
    void predict_backward(const T* predictions, T* d, index_t rows, index_t n) const override {
        kernels<T>().softmax_backward(d, predictions, d, rows, n);
    }

private:
    index_t smoothed_classes(index_t n) const override { return n; }
    void evaluate_unweighted(LossRows<T>& r, T scale) const override {
        r.scale = scale;
        kernels<T>().softmax_cross_entropy(r);
    }
};

template <class T>
class SigmoidCrossEntropy final : public CrossEntropy<T> {
public:
    using CrossEntropy<T>::CrossEntropy;
    void predict(T* outputs, index_t rows, index_t n) const override {
        kernels<T>().sigmoid(outputs, outputs, rows * n);
    }
    void predict_backward(const T* predictions, T* d, index_t rows, index_t n) const override {
        kernels<T>().sigmoid_backward(d, predictions, d, rows * n);
    }

private:
    index_t smoothed_classes(index_t) const override { return 2; }
    void evaluate_unweighted(LossRows<T>& r, T scale) const override {
        r.scale = scale;
        kernels<T>().sigmoid_cross_entropy(r);
    }
};

// Half the deviance, summed over the outputs.
template <class T>
class Poisson final : public Loss<T> {
public:
    explicit Poisson(bool of_mean) : of_mean_(of_mean) {}
    void predict(T* outputs, index_t rows, index_t n) const override {
        if (!of_mean_) kernels<T>().exp(outputs, outputs, rows * n);
    }
    void predict_backward(const T* predictions, T* d, index_t rows, index_t n) const override {
        if (!of_mean_) kernels<T>().exp_backward(d, predictions, d, rows * n);
    }

private:
    void evaluate_unweighted(LossRows<T>& r, T scale) const override {
        r.scale = scale;
        of_mean_ ? kernels<T>().poisson_of_mean(r) : kernels<T>().poisson(r);
    }
    bool of_mean_;
};

// A sum over the outputs of f(output, target) by one of the kernels, times a factor, or the mean of
// it over the outputs.
template <class T>
class ElementwiseLoss final : public Loss<T> {
public:
    using Kernel = void (*)(const LossRows<T>&);
    ElementwiseLoss(Kernel kernel, double factor, bool mean, const LossSettings& settings)
        : kernel_(kernel),
          factor_(static_cast<T>(factor)),
          mean_(mean),
          delta_(static_cast<T>(settings.delta)),
          quantiles_(settings.quantiles.begin(), settings.quantiles.end()) {}

private:
    void evaluate_unweighted(LossRows<T>& r, T scale) const override {
        const T factor = mean_ ? factor_ / static_cast<T>(r.n) : factor_;
        r.scale = scale * factor;
        r.delta = delta_;
        r.quantile = quantiles_.data();
        kernel_(r);
        if (factor != T(1)) kernels<T>().scale(factor, r.loss, r.loss, r.m);
    }

    Kernel kernel_;
    T factor_;
    bool mean_;
    T delta_;
    std::vector<T> quantiles_;
};

}  // namespace

template <class T>
void Loss<T>::evaluate(const T* outputs, Target<T> target, index_t rows, index_t n,
                       SampleWeights<T> weights, T* gradient, T* losses, T* target_buffer) const {
    target = targets(target, rows, n, target_buffer);
    LossRows<T> r{};
    r.m = rows;
    r.n = n;
    r.z = outputs;
    r.labels = target.labels;
    r.target = target.values;
    r.gradient = gradient;
    r.loss = losses;
    // (Where no sample has any weight there is nothing to learn.)
    evaluate_unweighted(r, weights.total > 0 ? T(1) / static_cast<T>(weights.total) : T(0));
    if (!weights.weights) return;
    for (index_t i = 0; i < rows; ++i) {
        const T w = weights.weights[i];
        if (w == T(0) && std::isinf(losses[i])) {  // it does not count, as any other of weight 0
            losses[i] = T(0);
            std::fill(gradient + i * n, gradient + (i + 1) * n, T(0));
            continue;
        }
        losses[i] *= w;
        kernels<T>().scale(w, gradient + i * n, gradient + i * n, n);
    }
}

template <class T>
std::unique_ptr<Loss<T>> make_loss(const LossSettings& s) {
    const Kernels<T>& k = kernels<T>();
    const auto elementwise = [&](typename ElementwiseLoss<T>::Kernel kernel, double factor,
                                 bool mean) {
        return std::make_unique<ElementwiseLoss<T>>(kernel, factor, mean, s);
    };
    if (s.name == "softmax_cross_entropy") {
        return std::make_unique<SoftmaxCrossEntropy<T>>(s.smoothing);
    }
    if (s.name == "sigmoid_cross_entropy") {
        return std::make_unique<SigmoidCrossEntropy<T>>(s.smoothing);
    }
    // (The kernel's is half the square.)
    if (s.name == "squared_error") return elementwise(k.squared_error, 1, false);
    if (s.name == "mse") return elementwise(k.squared_error, 2, true);
    if (s.name == "mae") return elementwise(k.absolute_error, 1, true);
    if (s.name == "huber") return elementwise(k.huber, 1, true);
    if (s.name == "pinball") return elementwise(k.pinball, 1, true);
    if (s.name == "poisson") return std::make_unique<Poisson<T>>(s.of_mean);
    throw std::invalid_argument("unknown loss '" + s.name + "'");
}

bool read_labels(const int64_t* labels, const int64_t* order, index_t first, index_t count,
                 index_t positions, index_t classes, int64_t* copies) {
    // (The sign of the label or of what is left to the last class.)
    uint64_t signs = 0;
    const uint64_t last = static_cast<uint64_t>(classes - 1);
    const auto take = [&](index_t i, int64_t label) {
        copies[i] = label;
        signs |= static_cast<uint64_t>(label) | (last - static_cast<uint64_t>(label));
    };
    if (!order) {
        const int64_t* const from = labels + first * positions;
        for (index_t i = 0; i < count * positions; ++i) take(i, from[i]);
    } else if (positions == 1) {
        for (index_t i = 0; i < count; ++i) take(i, labels[order[first + i]]);
    } else {
        for (index_t i = 0; i < count; ++i) {
            const int64_t* const from = labels + order[first + i] * positions;
            for (index_t p = 0; p < positions; ++p) take(i * positions + p, from[p]);
        }
    }
    return signs >> 63 == 0;
}

index_t find_bad_label(const int64_t* labels, index_t count, index_t classes) {
    const int64_t* const end = labels + count;
    const int64_t* const found =
        std::find_if(labels, end, [=](int64_t label) { return label < 0 || label >= classes; });
    return found == end ? -1 : found - labels;
}

double WeightSum::of(double weight) const {
    return exponent == 0 ? weight : std::ldexp(weight, -exponent);
}
double WeightSum::value() const { return std::ldexp(scaled, exponent); }

WeightSum sum_weights(const double* weights, const int64_t* order, index_t first, index_t count,
                      index_t positions) {
    const auto sum_of = [&](auto taken) {
        double total = 0;
        for (index_t i = first; i < first + count; ++i) {
            const double* const row = weights + (order ? order[i] : i) * positions;
            for (index_t p = 0; p < positions; ++p) total += taken(row[p]);
        }
        return total;
    };
    constexpr double far = 0x1p60;
    double total = sum_of([](double weight) { return weight; });
    if (total >= 1 / far && total <= far) return {total, 0};
    if (total <= 0 || std::isnan(total)) return {total, 0};
    int exponent = 0;
    if (std::isinf(total)) {  // of finite weights, at most 2**63 of them
        exponent = 64;
        total = sum_of([](double weight) { return std::ldexp(weight, -64); });
    }
    const int further = std::ilogb(total);
    return {std::ldexp(total, -further), exponent + further};
}

template class Loss<float>;
template class Loss<double>;
template std::unique_ptr<Loss<float>> make_loss(const LossSettings&);
template std::unique_ptr<Loss<double>> make_loss(const LossSettings&);

}  // namespace pynn
