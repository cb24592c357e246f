// Training: the loop over mini-batches, and what else needs a backward pass.
#pragma once

#include <functional>
#include <vector>

#include "nn/gradient_clipping.h"
#include "nn/mini_batch.h"
#include "nn/network.h"
#include "nn/optimizer.h"
#include "nn/passes.h"
#include "threads/barrier.h"
#include "threads/team.h"
#include "threads/thread_count_tuner.h"

namespace pynn {

struct TrainOptions {
    index_t epochs = 1;
    const int64_t* order = nullptr;  // of `count` samples, for each epoch; null: as they are
    index_t count = 0, batch_size = 0;
    bool training = false;  // random layers are active, with this key and from this step on
    uint64_t key = 0, first_step = 0;
    bool advances_state = false;  // running statistics follow each step
    // The caller's counters, which advance with every step, or null: between two mini-batches a
    // reader finds the counters of these weights.
    int64_t* optimizer_counter = nullptr;
    uint64_t* noise_counter = nullptr;
    bool penalty_by_weight = false;  // a mini-batch of weight w (its rows) has 1 / w of the penalty
};

// Sums over an epoch; each mini-batch counts before its update.
struct EpochStats {
    double loss = 0;     // over the samples seen, with the penalties
    double penalty = 0;  // the penalties' part of it
    double seconds = 0;
};

// Why a mini-batch was the last one.
enum class Failure : int {
    none,
    loss,        // not finite; as with the next three, the mini-batch was not applied
    gradient,    // not finite
    parameters,  // not finite when the run began
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
    Changed changed;          // what ended the run, if that did
};

template <class T>
class Trainer {
public:
    explicit Trainer(const Network<T>& network)
        : network_(network), reader_(network), passes_(network) {}

    // Called by the calling thread now and then, between mini-batches; true ends the run there.
    using Report = std::function<bool(const TrainResult&)>;

    // Goes through the samples, a step of the optimizer for each mini-batch. `epoch_stats` (or
    // null) has an element for each epoch, written when that is whole.
    TrainResult run(const Dataset& dataset, const TrainOptions& options,
                    const Optimizer<T>& optimizer, EpochStats* epoch_stats, const Report& report);

    // The predictions (rows x outputs) as a step of training at `rng` makes them. `watch`, here
    // and below, may end the call early.
    Changed predict_in_training(const Dataset& dataset, const RngPosition& rng, T* out,
                                Watch* watch);

    // dx (rows x inputs) from the gradient `dout` of the predictions, or, if that is null, of the
    // mean loss; random layers act as `rng` says. With an optimizer of Rule::store_gradient also
    // the parameters' gradient; running statistics follow if `advances_state`.
    Changed differentiate_inputs(const Dataset& dataset, const T* dout, T* dx,
                                 const Optimizer<T>* gradient, const RngPosition& rng,
                                 bool advances_state, Watch* watch);

    // A step by a gradient (laid out as the parameters are), without penalties: clipped, and with
    // the constraints. Nothing is changed where it is not finite, or the rate is not.
    TrainResult apply_gradient(const T* gradient, const Optimizer<T>& optimizer,
                               int64_t* optimizer_counter, uint64_t* noise_counter);

private:
    struct RunState;  // what the threads of a run share
    // What a step's mini-batch costs, and by what the penalties in it are multiplied.
    struct StepLoss {
        double total, penalty, penalty_factor;
    };

    void reserve(const Dataset& dataset, const TrainOptions& options, index_t batch, int threads,
                 bool staged);
    double flops_per_step(const Dataset& dataset, const Optimizer<T>& optimizer,
                          index_t batch_size) const;
    // Rows that need not be in memory all at once: of a mini-batch without batch statistics.
    index_t rows_at_once(index_t count, bool whole) const;

    // A step of a run: mini-batch `number`, whose samples begin at `first` of the epoch's order.
    // False: the team parts here.
    bool step(RunState& state, const int64_t* order, index_t number, index_t first,
              const TeamThread& thread);
    MiniBatch<T> read_batch(RunState& state, const int64_t* order, index_t first,
                            const TeamThread& thread);
    // Losses and the gradient at the outputs, of the thread's rows.
    void compute_losses(const MiniBatch<T>& batch, const TeamThread& thread);
    void compute_losses(const MiniBatch<T>& batch, Range own, const TeamThread& thread);
    void compute_penalties(const TeamThread& thread);
    StepLoss total_loss(const RunState& state, const MiniBatch<T>& batch) const;
    // Why the step must not be applied, for all threads alike.
    Failure check(RunState& state, const MiniBatch<T>& batch, index_t number, double loss,
                  const OptimizerStep<T>& step, const TeamThread& thread);
    Failure update(RunState& state, const MiniBatch<T>& batch, index_t number,
                   const OptimizerStep<T>& step, const TeamThread& thread);
    // The thread's part of the constraints on parameters.
    void constrain(T* parameters, const TeamThread& thread) const;
    void record(RunState& state, const MiniBatch<T>& batch, const StepLoss& loss, Failure failure);

    Scratch<T>& scratch(const TeamThread& thread) { return passes_.scratch(thread); }

    const Network<T>& network_;
    MiniBatchReader<T> reader_;
    Passes<T> passes_;
    GradientClipping<T> clipping_;
    bool sparse_ = false;       // the samples
    Buffer<T> losses_;          // of the mini-batch, by target
    Buffer<double> penalties_;  // by piece
    ThreadCountTuner tuner_;    // from one run to the next
};

}  // namespace pynn
