// A chain of layers and a loss over one block of parameters.
#pragma once

#include <algorithm>
#include <memory>
#include <vector>

#include "nn/layer.h"
#include "nn/loss.h"
#include "nn/matrix.h"

namespace pynn {

template <class T>
class Network {
public:
    Network(std::vector<std::unique_ptr<Layer<T>>> layers, std::unique_ptr<Loss<T>> loss);

    index_t inputs() const { return layers_.front()->inputs(); }
    index_t outputs() const { return layers_.back()->outputs(); }
    index_t max_width() const { return max_width_; }
    index_t layer_count() const { return static_cast<index_t>(layers_.size()); }
    const Layer<T>& layer(index_t i) const { return *layers_[static_cast<std::size_t>(i)]; }
    const Loss<T>& loss() const { return *loss_; }

    // The layers with parameters, and those after each that belong to it: what it has learned is
    // the output of layer stop(i) - 1.
    struct ParameterGroup {
        index_t layer, offset, stop;
    };
    const std::vector<ParameterGroup>& parameter_groups() const { return parameter_groups_; }

    // Each stage's parameters start on a cache line of their own; so many values are the block.
    index_t parameter_count() const { return parameter_count_; }
    // Where the biases of the last layer begin; the end where it has none.
    index_t first_output_bias() const;
    // Whether they leave the L2 cache between two uses of a layer's.
    bool parameters_exceed_l2(bool sparse = false) const { return dense_bytes(sparse) > l2_bytes; }
    // Whether so many threads divide each layer by itself (layer.h).
    bool partitions_layers(int threads, bool sparse = false) const {
        return threads > 1 && parameters_exceed_l2(sparse);
    }
    // How many parts there are to give to threads, of so many rows: columns too, if the parameters
    // are so large that what the threads save outweighs their meetings whatever the rows.
    index_t max_parts(index_t rows, bool sparse = false) const {
        const bool far_beyond_l2 = dense_bytes(sparse) > 4 * l2_bytes;
        return far_beyond_l2 ? std::max(rows / 8, max_width_ / 64) : rows / 8;
    }
    void set_parameters(T* parameters) { parameters_ = parameters; }
    T* parameters() const { return parameters_; }

    // Floating-point operations of a row: forward, and of a whole training step.
    double forward_flops() const;
    double step_flops() const;
    // The same with sparse samples, of so many stored values a row.
    double forward_flops(double stored) const;
    double step_flops(double stored) const;

    // The penalties on the parameters: their pieces, whose order is that of their sum.
    index_t penalty_pieces() const { return static_cast<index_t>(penalties_.size()); }
    double penalty(index_t piece) const {
        const Penalty& p = penalties_[static_cast<std::size_t>(piece)];
        return layer(p.layer).penalty(parameters_, p.piece);
    }
    bool is_constrained() const;

    // out (rows x outputs of layer `layers` - 1) = the first `layers` layers' outputs, turned into
    // predictions if asked. A watch may end it early.
    void forward(const Matrix& x, index_t layers, bool predictions, T* out,
                 Watch* watch = nullptr) const;
    Changed forward(const CsrMatrix& x, index_t layers, bool predictions, T* out,
                    Watch* watch = nullptr) const;

private:
    // The parameters that every row needs: with sparse samples not the first layer's.
    index_t dense_bytes(bool sparse) const {
        const index_t first = sparse ? layer(parameter_groups_.front().layer).parameter_count() : 0;
        return (parameter_count_ - first) * static_cast<index_t>(sizeof(T));
    }
    void forward_partitioned(const Matrix& x, index_t layers, bool predictions, int threads,
                             T* out) const;

    std::vector<std::unique_ptr<Layer<T>>> layers_;
    std::unique_ptr<Loss<T>> loss_;
    std::vector<ParameterGroup> parameter_groups_;
    struct Penalty {
        index_t layer, piece;
    };
    std::vector<Penalty> penalties_;
    index_t parameter_count_ = 0, max_width_ = 0, max_output_width_ = 0;
    T* parameters_ = nullptr;
};

}  // namespace pynn
