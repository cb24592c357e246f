// Training: the loop over mini-batches.
#pragma once

#include <functional>
#include <vector>

#include "nn/network.h"
#include "nn/optimizer.h"
#include "nn/parallel.h"

namespace pynn {

struct Samples {
    Matrix x;
    const int64_t* labels = nullptr;  // one a row, or
    Matrix targets;                   // a row of values a row
    const double* weights = nullptr;  // one a row, or none
};

// How to go through samples.
struct Epoch {
    const int64_t* order = nullptr;  // of `count` samples; null: as they are
    index_t count = 0, batch_size = 0;
    bool training = false;  // random layers are at work, by this key and from this step on
    uint64_t key = 0, first_step = 0;
    bool penalty_by_rows = false;  // a mini-batch of m rows has 1 / m times the penalties
};

struct EpochResult {
    double loss = 0;      // the sum over the samples seen, each mini-batch before its update
    index_t samples = 0;  // seen
    index_t batches = 0;  // done
    bool finite = true;   // false: the loss of the next mini-batch was not, and it was not applied
    double bad_loss = 0;
};

template <class T>
class Trainer {
public:
    explicit Trainer(const Network<T>& network) : network_(network) {}

    // Called by the calling thread now and then, between mini-batches; true stops the epoch there.
    using Report = std::function<bool(const EpochResult&)>;

    // Goes once through the samples, a step of the optimiser for each mini-batch.
    EpochResult run(const Samples& samples, const Epoch& epoch, const Optimizer<T>& optimizer,
                    const Report& report);

    // dx (rows x inputs) from the gradient `dout` of the predictions, or, if that is null, of the
    // mean loss. With an optimiser of Rule::copy the parameters' gradient besides.
    void differentiate_inputs(const Samples& samples, const T* dout, T* dx,
                              const Optimizer<T>* gradient);

private:
    struct MiniBatch {
        index_t first, rows;  // in the epoch's order
        const T* x;           // x_, or where the caller has the rows
        double weight;        // of all its samples
    };
    void prepare(index_t batch, int threads);
    MiniBatch mini_batch(const Samples& samples, const int64_t* order, index_t first,
                         index_t rows) const;
    // Rows `own` of the mini-batch, gathered, forward; their losses; and back from the last delta
    // to that of layer `lowest`.
    void forward(const Samples& samples, const int64_t* order, MiniBatch batch, Range own,
                 Scratch<T>& scratch);
    void find_losses(const Samples& samples, const int64_t* order, MiniBatch batch, Range own);
    void back(index_t lowest, Range own, Scratch<T>& scratch);
    // Part `index` of `count` of all layers' parameters follow their gradients.
    void follow_gradients(MiniBatch batch, int index, int count, const Update<T>& update);
    // The same with the whole gradient's length limited; false if that is not finite.
    bool follow_clipped(MiniBatch batch, int index, int count, Barrier& barrier, Update<T> update,
                        double most);

    // Rows `own` of what layer l gave, and of its delta.
    T* outputs(index_t l, Range own) {
        return outputs_[static_cast<std::size_t>(l)].data() +
               own.begin * network_.layer(l).outputs();
    }
    T* deltas(index_t l, Range own) {
        return deltas_[static_cast<std::size_t>(l)].data() +
               own.begin * network_.layer(l).outputs();
    }

    const Network<T>& network_;
    std::vector<Buffer<T>> outputs_, deltas_;  // by layer: batch x outputs
    // Of the mini-batch; `smoothed_` are targets that the loss makes.
    Buffer<T> x_, targets_, smoothed_, weights_, losses_;
    Buffer<int64_t> labels_;
    Buffer<T> gradient_;                  // of all parameters, where it is needed as a whole
    Buffer<double> penalties_, squares_;  // by piece
    std::vector<Scratch<T>> scratch_;     // by thread
};

}  // namespace pynn
