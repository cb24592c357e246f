// Losses: what a network's outputs are worth, and the gradient to send back.
#pragma once

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "nn/activation.h"
#include "nn/buffer.h"

namespace pynn {

// The targets of some rows: labels, or rows of values; the other is null.
template <class T>
struct Target {
    const int64_t* labels = nullptr;
    const T* values = nullptr;
};

// What rows of one mini-batch are worth: each its weight (or 1) of `total`.
template <class T>
struct SampleWeights {
    double total;                // of the whole mini-batch
    const T* weights = nullptr;  // of the rows at hand
};

struct LossSettings {
    std::string name;
    double smoothing = 0;           // of the cross-entropies' targets
    double delta = 1;               // huber's
    std::vector<double> quantiles;  // pinball's, one for each output
    bool of_mean = false;           // poisson: of means, not of their logarithms
};

template <class T>
class Loss {
public:
    virtual ~Loss() = default;

    // What turns the last layer's outputs into predictions. The cross-entropies are computed from
    // logits and Poisson's loss from logarithms, so theirs (softmax, sigmoid, exp) is not a layer's
    // activation.
    virtual void predict(T*, index_t, index_t) const {}
    // d (the predictions' gradient) becomes the outputs' gradient.
    virtual void predict_backward(const T*, T*, index_t, index_t) const {}

    // Labels are below it. (One output tells two classes apart.)
    virtual index_t classes(index_t outputs) const { return std::max<index_t>(outputs, 2); }

    // Each row's loss, times its weight; and the gradient of the weighted mean over the mini-batch
    // with respect to the last layer's outputs, which may take their place. `room` (rows x n) is
    // used where targets have to be made.
    void evaluate(const T* outputs, Target<T> target, index_t rows, index_t n,
                  SampleWeights<T> weights, T* gradient, T* losses, T* target_buffer) const;

protected:
    // The targets, in `room` if they are not those that were given.
    virtual Target<T> targets(Target<T> given, index_t, index_t, T*) const { return given; }
    // A row's loss without its weight; `scale` is the gradient's factor.
    virtual void evaluate_unweighted(LossRows<T>& r, T scale) const = 0;
};

// Throws std::invalid_argument for an unknown name.
template <class T>
std::unique_ptr<Loss<T>> make_loss(const LossSettings& settings);

// Copies the labels (`positions` a sample) of samples order[first .. first + count), or first .. if
// order is null: the caller's memory may change between two reads. False: one of the copies is not
// below `classes`.
bool read_labels(const int64_t* labels, const int64_t* order, index_t first, index_t count,
                 index_t positions, index_t classes, int64_t* copies);
// The first of `count` labels that is not below `classes`, or -1.
index_t find_bad_label(const int64_t* labels, index_t count, index_t classes);

// A sum of weights, times 2 to the power of minus `exponent`. Weights count by their ratios, and
// float holds few of double's values: where a sum is far from 1, its weights are taken times the
// same power, and else as they are (0).
struct WeightSum {
    double scaled = 0;
    int exponent = 0;

    double of(double weight) const;  // as it is taken
    double value() const;            // of the sum, which may overflow
};

// In a fixed order, of samples order[first .. first + count) if there is an order; `positions`
// weights a sample.
WeightSum sum_weights(const double* weights, const int64_t* order, index_t first, index_t count,
                      index_t positions = 1);

}  // namespace pynn
