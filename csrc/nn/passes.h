// The passes of a training step through a network's layers: forward, backward, update. Each is one
// thread's part of it; all threads of a team take part.
#pragma once

#include <vector>

#include "nn/mini_batch.h"
#include "nn/network.h"

namespace pynn {

template <class T>
class Passes {
public:
    explicit Passes(const Network<T>& network) : network_(network) {}

    // Allocates for mini-batches of `batch` rows and a team of `threads`.
    void reserve(index_t batch, int threads, bool is_sparse);
    void reserve_sparse(const MiniBatchReader<T>& reader, index_t batch, int threads);

    // Outputs of all layers. Batch statistics only `in_training`.
    void forward(const MiniBatch<T>& batch, MiniBatchReader<T>& reader, const TeamThread& thread);
    // From the gradient at the outputs, deltas(last), to those of layer `lowest` and of all layers
    // with parameters above it; to dx, that of the inputs, if it is not null.
    void backward(const MiniBatch<T>& batch, index_t lowest, T* dx, const TeamThread& thread);
    // The thread's part of the parameters of layers that are trainable.
    void update(const MiniBatch<T>& batch, MiniBatchReader<T>& reader, const TeamThread& thread,
                const OptimizerStep<T>& step);
    // Running statistics, after a step, on one thread.
    void advance_state(index_t rows);

    // False if what the thread's rows contribute to a gradient is not finite.
    bool sources_are_finite(const MiniBatch<T>& batch, const TeamThread& thread);

    Scratch<T>& scratch(const TeamThread& thread) {
        return scratch_[static_cast<std::size_t>(thread.index)];
    }
    // The output of layer i, and its delta (layer.h), from a row on.
    T* outputs(index_t i, index_t row = 0) {
        return outputs_[static_cast<std::size_t>(i)].data() + row * network_.shape(i).out_size;
    }
    T* deltas(index_t i, index_t row = 0) {
        return deltas_[static_cast<std::size_t>(i)].data() + row * network_.shape(i).out_size;
    }

private:
    bool uses_statistics(index_t i, const Scratch<T>& scratch) const {
        const Node<T>& node = network_.node(i);
        return node.has_statistics && scratch.rng.training && node.trainable;
    }
    // Rows `own` of the mini-batch at layer i.
    LayerIo<T> io(index_t i, const MiniBatch<T>& batch, Range own, const Scratch<T>& scratch);
    // The same with the gradients that layer i passes down. Those in `added_` are added afterwards.
    LayerIo<T> backward_io(index_t i, const MiniBatch<T>& batch, Range own, index_t lowest, T* dx,
                           const Scratch<T>& scratch);
    bool passes_down(index_t i, index_t lowest, const T* dx) const;
    // Adds what layer i has left in `added_`, for rows `own`.
    void add_gradients(index_t i, Range own, T* dx);
    // Multiplies the delta of layer i by its activation's derivative, if no reader has done that.
    void differentiate_output(index_t i, Range own);
    void forward_layers(index_t first, index_t last, const MiniBatch<T>& batch,
                        const TeamThread& thread);

    const Network<T>& network_;
    std::vector<Buffer<T>> outputs_, deltas_, saved_, statistics_;  // by layer
    Buffer<T> added_[2];  // gradients of an input with several readers; by input of the layer
    std::vector<Scratch<T>> scratch_;  // by thread
};

}  // namespace pynn
