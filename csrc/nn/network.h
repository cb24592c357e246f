// A network: layers in topological order over one block of parameters, and a loss.
#pragma once

#include <algorithm>
#include <memory>
#include <vector>

#include "nn/layer.h"
#include "nn/loss.h"
#include "nn/matrix.h"

namespace pynn {

// Which outputs a layer reads: those of earlier layers by index, or the network's input.
constexpr index_t network_input = -1, no_input = -2;

template <class T>
struct Node {
    std::unique_ptr<Layer<T>> layer;
    index_t inputs[2] = {network_input, no_input};
    // The input's shape where it is another than that of the output read (a flattened image).
    bool reshapes = false;
    Shape reshaped{};

    // The rest is the network's to set.
    int readers = 0;  // layers that read the output
    // True where the gradient for an input is added to that of a later reader of the same output.
    bool accumulates[2] = {false, false};
    uint32_t frozen = 0;                  // parameters that training leaves alone, a bit each
    bool trainable = true;                // any other
    index_t parameters = 0, offset = 0;   // how many are trained, and where they begin
    index_t state = 0, state_offset = 0;  // the same of the others
    // In inference: the node whose output this one passes on (itself if it is active, or the
    // network's input), and the buffer that holds it.
    index_t value = 0, buffer = 0;
    bool has_statistics = false;
    Activation activation = Activation::identity;
};

template <class T>
class Network {
public:
    // `positions`: each position of the outputs is classified or fitted by itself, and has a
    // target.
    Network(std::vector<Node<T>> nodes, const Shape& input, std::unique_ptr<Loss<T>> loss,
            bool target_per_position = false);

    index_t inputs() const { return input_.size(); }
    index_t outputs() const { return shapes_.back().out.size(); }
    const Shape& input_shape() const { return input_; }
    index_t layer_count() const { return static_cast<index_t>(nodes_.size()); }
    const Node<T>& node(index_t i) const { return nodes_[static_cast<std::size_t>(i)]; }
    const Layer<T>& layer(index_t i) const { return *node(i).layer; }
    index_t value_of(index_t i) const { return i < 0 ? i : node(i).value; }
    const LayerShape& shape(index_t i) const { return shapes_[static_cast<std::size_t>(i)]; }
    const Loss<T>& loss() const { return *loss_; }
    // The targets of a sample, and the outputs of each.
    index_t target_positions() const { return target_positions_; }
    index_t target_outputs() const { return outputs() / target_positions_; }

    // The layers with parameters.
    const std::vector<index_t>& parametric_layers() const { return parametric_; }
    index_t first_parametric() const { return parametric_.empty() ? 0 : parametric_.front(); }
    // The lowest layer with parameters that training changes: no layer below needs a gradient.
    index_t lowest_trainable() const { return lowest_trainable_; }
    // `parameter`: its place among the layer's trained ones.
    void set_trainable(index_t layer, index_t parameter, bool trainable);
    // The trained parameters in contiguous pieces, without those of frozen layers. `row`: as
    // Layer::sparse_row().
    struct TrainableRange {
        Range range;
        index_t row;
    };
    const std::vector<TrainableRange>& trainable_ranges() const { return trainable_ranges_; }

    // Each layer's parameters start on a cache line. The block has the trained ones first
    // (parameter_count()) and then the others (block_size() in all).
    index_t parameter_count() const { return parameter_count_; }
    index_t block_size() const { return block_size_; }
    // Where the biases of the last layer begin; the end where it has none.
    index_t first_output_bias() const;
    // True if they leave the L2 cache between two uses of a layer's.
    bool parameters_exceed_l2(bool sparse = false) const { return dense_bytes(sparse) > l2_bytes; }
    // True if a team of `threads` divides each layer (layer.h).
    bool partitions_layers(int threads, bool sparse = false) const {
        return threads > 1 && parameters_exceed_l2(sparse);
    }
    // How many parts of `rows` rows there are to give to threads: columns too, if the parameters
    // are so large that what the threads save outweighs their barriers whatever the rows.
    index_t max_parts(index_t rows, bool sparse = false) const {
        const index_t parts = std::min(rows, rows * max_positions_ / 8);
        const bool far_beyond_l2 = dense_bytes(sparse) > 4 * l2_bytes;
        return far_beyond_l2 ? std::max(parts, max_width_ / 64) : parts;
    }
    // More samples than these are worked on in pieces, between which a call may end early.
    index_t watched_rows() const {
        return std::max<index_t>(1, pynn::watched_rows / max_positions_);
    }
    void set_parameters(T* parameters) { parameters_ = parameters; }
    T* parameters() const { return parameters_; }

    // Where the input is integers: they are below it. Otherwise 0.
    index_t vocabulary() const { return vocabulary_; }

    // True if a layer computes statistics over the mini-batch in training.
    bool has_statistics() const { return has_statistics_; }

    // Floating-point operations of a sample: forward, and of a whole training step.
    double forward_flops() const { return forward_flops_; }
    double step_flops() const;
    // The same with sparse samples, of `stored` values a row.
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
    // predictions if `predictions`. A watch may end it early.
    Changed forward(const Matrix& x, index_t layers, bool predictions, T* out,
                    Watch* watch = nullptr) const;
    Changed forward(const CsrMatrix& x, index_t layers, bool predictions, T* out,
                    Watch* watch = nullptr) const;

    // What layer i reads and writes: the network's input (x or tokens), or what `output_of(layer)`
    // gives.
    template <class OutputOf>
    LayerIo<T> io(index_t i, index_t rows, const T* x, const int64_t* tokens,
                  const OutputOf& output_of, T* y) const {
        const index_t* const inputs = node(i).inputs;
        const bool reads_input = inputs[0] == network_input;
        LayerIo<T> io{parameters_, &shape(i), rows, reads_input ? x : output_of(inputs[0])};
        if (reads_input) io.tokens = tokens;
        if (inputs[1] != no_input) {
            io.x2 = inputs[1] == network_input ? x : output_of(inputs[1]);
        }
        io.y = y;
        return io;
    }

private:
    // The parameters that every row needs: with sparse samples not the first layer's.
    index_t dense_bytes(bool sparse) const {
        const index_t first = sparse ? node(first_parametric()).parameters : 0;
        return (parameter_count_ - first) * static_cast<index_t>(sizeof(T));
    }
    // Rows of integers, checked.
    Changed read_tokens(const Matrix& x, index_t first, index_t rows, int64_t* to) const;
    void connect();
    void place_parameters();
    void find_trainable();
    void assign_buffers();
    Changed forward_partitioned(const Matrix& x, index_t layers, bool predictions, int threads,
                                T* out) const;
    // A block of rows through layers first .. last; `below` is the output of layer first - 1. The
    // last one's output goes to `result`.
    void forward_block(index_t first, index_t last, const T* input, const int64_t* tokens,
                       const T* below, index_t rows, index_t block, T* result,
                       std::vector<Buffer<T>>& buffers, Scratch<T>& scratch) const;

    std::vector<Node<T>> nodes_;
    Shape input_;
    std::vector<LayerShape> shapes_;
    std::unique_ptr<Loss<T>> loss_;
    index_t target_positions_ = 1;
    std::vector<index_t> parametric_;
    std::vector<TrainableRange> trainable_ranges_;
    index_t lowest_trainable_ = 0;
    struct Penalty {
        index_t layer, piece;
    };
    std::vector<Penalty> penalties_;
    index_t parameter_count_ = 0, block_size_ = 0;
    index_t vocabulary_ = 0;
    index_t max_width_ = 0, max_output_width_ = 0, max_positions_ = 1, buffers_ = 0;
    double forward_flops_ = 0;
    bool has_statistics_ = false;
    T* parameters_ = nullptr;
};

}  // namespace pynn
