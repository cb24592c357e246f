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

    // Goes once through samples order[0 .. count) (or 0 .. count), a step of the optimiser for each
    // mini-batch.
    EpochResult run(const Samples& samples, const int64_t* order, index_t count, index_t batch_size,
                    const Optimizer<T>& optimizer, const Report& report);

private:
    struct MiniBatch {
        index_t first, rows;  // in the epoch's order
        const T* x;           // x_, or where the caller has the rows
    };
    void prepare(index_t batch, int threads);
    // Rows `own` of the mini-batch: gathered, forward, their losses, and back to the first delta.
    void forward_and_back(const Samples& samples, const int64_t* order, MiniBatch batch, Range own,
                          Scratch<T>& scratch);
    // Part `index` of `count` of all layers' parameters follow their gradients.
    void follow_gradients(MiniBatch batch, int index, int count, const Update<T>& update);

    const Network<T>& network_;
    std::vector<Buffer<T>> outputs_, deltas_;  // by layer: batch x outputs
    Buffer<T> x_, targets_, losses_;           // of the mini-batch
    Buffer<int64_t> labels_;
    std::vector<Scratch<T>> scratch_;  // by thread
};

}  // namespace pynn
