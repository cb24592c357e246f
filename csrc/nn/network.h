// A chain of layers and a loss over one block of parameters.
#pragma once

#include <memory>
#include <vector>

#include "nn/layer.h"
#include "nn/loss.h"
#include "nn/samples.h"

namespace pynn {

template <class T>
class Network {
public:
    Network(std::vector<std::unique_ptr<Layer<T>>> layers, std::unique_ptr<Loss<T>> loss);

    index_t inputs() const { return layers_.front()->inputs(); }
    index_t outputs() const { return layers_.back()->outputs(); }
    index_t widest() const { return widest_; }
    index_t layer_count() const { return static_cast<index_t>(layers_.size()); }
    const Layer<T>& layer(index_t i) const { return *layers_[static_cast<std::size_t>(i)]; }
    const Loss<T>& loss() const { return *loss_; }

    // Where layer i's parameters start, each on a cache line of its own; and how many values the
    // block has in all.
    index_t offset(index_t i) const { return offsets_[static_cast<std::size_t>(i)]; }
    index_t parameter_count() const { return parameter_count_; }
    void set_parameters(T* parameters) { parameters_ = parameters; }
    T* parameters() const { return parameters_; }

    // Floating-point operations of a row: forward, and of a whole training step.
    double forward_operations() const;
    double step_operations() const;

    // out (rows x outputs of layer `layers` - 1) = the first `layers` layers' outputs, turned into
    // predictions if asked.
    void forward(const Matrix& x, index_t layers, bool predictions, T* out) const;

private:
    std::vector<std::unique_ptr<Layer<T>>> layers_;
    std::unique_ptr<Loss<T>> loss_;
    std::vector<index_t> offsets_;
    index_t parameter_count_ = 0, widest_ = 0;
    T* parameters_ = nullptr;
};

}  // namespace pynn
