// Training: the loop over mini-batches.
#pragma once

#include <atomic>
#include <functional>
#include <vector>

#include "nn/network.h"
#include "nn/optimizer.h"
#include "nn/staging.h"
#include "threads/barrier.h"
#include "threads/team.h"
#include "threads/thread_count_tuner.h"

namespace pynn {

struct Dataset {
    Matrix x;                           // its rows and columns, and its values, or
    const CsrMatrix* sparse = nullptr;  // where they are
    const int64_t* labels = nullptr;    // one a row, or
    Matrix targets;                     // a row of values a row
    const double* weights = nullptr;    // one a row, or none
};

// How to go through samples.
struct TrainOptions {
    index_t epochs = 1;
    const int64_t* order = nullptr;  // of `count` samples, for each epoch; null: as they are
    index_t count = 0, batch_size = 0;
    bool training = false;  // random layers are at work, by this key and from this step on
    uint64_t key = 0, first_step = 0;
    // The caller's counters of steps, which advance with every step, or null: whoever looks between
    // two mini-batches finds the counters of these weights.
    int64_t* optimizer_counter = nullptr;
    uint64_t* noise_counter = nullptr;
    bool penalty_by_weight = false;  // a mini-batch of weight w (its rows) has 1 / w times them
};

// Of an epoch; each mini-batch before its update.
struct EpochStats {
    double loss = 0;     // the sum over the samples seen, with the penalties
    double penalty = 0;  // the penalties' part of it
    double seconds = 0;
};

// Why a mini-batch was the last one.
enum class Failure : int {
    none,
    loss,        // not finite; as the next three: the mini-batch was not applied
    gradient,    // not finite
    parameters,  // not finite when the course began
    rate,        // or the decay: out of the type's range
    update       // applied, and parameters or moments are not finite since
};

struct TrainResult {
    index_t epochs = 0;               // whole ones
    EpochStats stats;                 // of the last one begun
    index_t samples = 0;              // seen in it
    index_t batches = 0;              // done in it
    index_t steps = 0;                // done in all
    Failure failure = Failure::none;  // of the next mini-batch
    double bad_loss = 0;              // its mean loss then
    double largest_loss = 0;  // of a sample, times its weight; with Rule::store_gradient only
    Changed changed;          // what ended it, if that did
};

template <class T>
class Trainer {
public:
    explicit Trainer(const Network<T>& network) : network_(network) {}

    // Called by the calling thread now and then, between mini-batches; true stops the course there.
    using Report = std::function<bool(const TrainResult&)>;

    // Goes through the samples, a step of the optimizer for each mini-batch. `epoch_stats` (or
    // null) has an element for each epoch, written when that is whole.
    TrainResult run(const Dataset& dataset, const TrainOptions& options,
                    const Optimizer<T>& optimizer, EpochStats* epoch_stats, const Report& report);

    // The predictions (rows x outputs) as a step of training at `place` makes them. `watch`, here
    // and below, may end the call early.
    Changed predict_in_training(const Dataset& dataset, const RngPosition& rng, T* out,
                                Watch* watch);

    // dx (rows x inputs) from the gradient `dout` of the predictions, or, if that is null, of the
    // mean loss; random layers act as `place` says. With an optimizer of Rule::store_gradient also
    // the parameters' gradient.
    Changed differentiate_inputs(const Dataset& dataset, const T* dout, T* dx,
                                 const Optimizer<T>* gradient, const RngPosition& rng,
                                 Watch* watch);

private:
    struct MiniBatch {
        index_t first, rows;  // in the epoch's order
        const T* x;           // x_, or where the rows are; null for sparse samples
        WeightSum weight;     // of all its samples
        RowSource x_from, targets_from;
        SparseBatch<T> sparse;
        index_t rows_before;  // rows of the same mini-batch that come before these
    };
    // Rows of a mini-batch that need not be in memory all at once.
    static constexpr index_t block_rows = 1024;
    struct RunState;  // what the threads of a course share
    void prepare(index_t batch, bool gathers, int threads);
    // What the first layer needs for sparse samples.
    void prepare_sparse(const Dataset& dataset, const TrainOptions& options, index_t batch,
                        int threads);
    MiniBatch mini_batch(const Dataset& dataset, const int64_t* order, index_t first, index_t rows,
                         const StagingBuffer& staging);
    double flops_per_step(const Dataset& dataset, const Optimizer<T>& optimizer,
                          index_t batch_size) const;
    // The thread's part of a mini-batch: gathered and forward; its losses; and back from the last
    // delta to that of layer `lowest`, and to dx, the inputs', if that is not null.
    void forward(MiniBatch batch, const TeamThread& thread);
    void compute_losses(const Dataset& dataset, const int64_t* order, MiniBatch batch, Range own,
                        const TeamThread& thread);
    // The first sample of the mini-batch whose label, as it was read, is no class.
    Changed find_changed_label(const Dataset& dataset, const int64_t* order,
                               const MiniBatch& batch) const;
    void backward(index_t lowest, MiniBatch batch, T* dx, const TeamThread& thread);
    // The thread's part of all layers' parameters follow their gradients.
    void update_all_parameters(MiniBatch batch, const TeamThread& thread,
                               const OptimizerStep<T>& update);
    // Whether what the thread's rows add to the gradients is finite.
    bool sources_are_finite(MiniBatch batch, const TeamThread& thread);
    // How many outputs' biases are infinite in the thread's part; -1 if another parameter is not
    // finite, or one is NaN.
    index_t count_infinite_biases(const Optimizer<T>& optimizer, const TeamThread& thread) const;
    // True if the thread's part of the moments is finite.
    bool moments_are_finite(const Optimizer<T>& optimizer, const TeamThread& thread) const;
    // The same with the whole gradient's length limited; false if the gradient is not finite.
    bool update_with_clipping(MiniBatch batch, const TeamThread& thread, OptimizerStep<T> update,
                              double most);
    // The course's step `number`, on the samples from `first` on; false: it ends there.
    bool step(RunState& state, const int64_t* order, index_t number, index_t first,
              const TeamThread& thread);

    Scratch<T>& scratch(const TeamThread& thread) {
        return scratch_[static_cast<std::size_t>(thread.index)];
    }

    // What layer l gave, and its delta, from a row on.
    T* outputs(index_t l, index_t row = 0) {
        return outputs_[static_cast<std::size_t>(l)].data() + row * network_.layer(l).outputs();
    }
    T* deltas(index_t l, index_t row = 0) {
        return deltas_[static_cast<std::size_t>(l)].data() + row * network_.layer(l).outputs();
    }

    const Network<T>& network_;
    bool sparse_ = false;                      // the samples
    std::vector<Buffer<T>> outputs_, deltas_;  // by layer: batch x outputs
    // Of the mini-batch; `smoothed_` are targets that the loss makes.
    Buffer<T> x_, targets_, smoothed_, weights_, losses_;
    Buffer<int64_t> labels_;
    Buffer<Range> taken_;                 // of a sparse one, by row
    std::atomic<index_t> bad_row_{-1};    // a sample whose indices have changed; of a sparse one
    std::atomic<bool> label_bad_{false};  // one of `labels_` is no class
    Buffer<T> gradient_;                  // of all parameters, where it is needed as a whole
    Buffer<double> penalties_, squares_;  // by piece
    std::vector<Scratch<T>> scratch_;     // by thread
    ThreadCountTuner tuner_;              // from one course to the next
};

}  // namespace pynn
