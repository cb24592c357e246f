#include "nn/trainer.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>

#include "dispatch/dispatch.h"
#include "nn/parameter_checks.h"
#include "nn/report_timer.h"
#include "nn/sums.h"
#include "threads/fp_environment.h"
#include "threads/oversubscription.h"

namespace pynn {
namespace {

// The smallest part of a gradient for a thread, in values.
constexpr index_t min_shared_values = 4096;

}  // namespace

template <class T>
struct Trainer<T>::RunState {
    const TrainOptions& options;
    const Optimizer<T>& optimizer;
    const Report& report;
    ParameterChecks<T> checks;
    index_t batch_size;
    bool constrained;
    double step_flops;        // for the products to prefetch by
    int wanted;               // threads
    ThreadCountTuner* tuner;  // or null: always as many

    TrainResult result{};
    ReportTimer timer{};
    Watch watch{[this] {  // of a step on many rows
        const bool ends = report && report(result);
        if (tuner) tuner->restart();
        return ends;
    }};
    Stopwatch epoch{};
    Barrier barrier{};
    index_t begin = 0;   // the team's first step
    bool leave = false;  // the team, which may come together again
    bool ended = false;  // before the last step
    bool free = false;   // other threads have been available, since `freed`
    WeightSum weight{};  // of the mini-batch, as thread 0 has read it: all threads decide by it
    Stopwatch freed{};
    std::atomic<bool> bad_gradient{false};

    bool updates() const { return optimizer.rule != Rule::store_gradient; }

    // By the first thread, before step `number`: whether all part here.
    bool should_leave(index_t number, int threads) {
        const bool changes =
            tuner && number > begin && tuner->record_step(seconds_now(), threads == 1);
        if (number > 0 && report && timer.due()) {
            if (report(result)) ended = true;
            if (tuner) tuner->restart();
        }
        if (ended || wanted == 1 || number == begin) return ended;
        if (changes) return true;
        if (threads == 1) return !is_serial() && can_grow();
        return TeamTimer::should_disband();
    }

    bool is_serial() const { return tuner && tuner->is_serial(); }

    // Not at once: another fit may only be between two epochs.
    bool can_grow() {
        constexpr double long_enough = 0.005;  // seconds
        const bool before = free;
        free = can_get_more_threads(wanted);
        if (free && !before) freed = Stopwatch();
        return free && freed.seconds() > long_enough;
    }
};

template <class T>
void Trainer<T>::reserve(const Dataset& dataset, const TrainOptions& options, index_t batch,
                         int threads, bool staged) {
    sparse_ = dataset.sparse != nullptr;
    reader_.begin(dataset, options.order, options.epochs, batch, options.count, staged);
    passes_.reserve(batch, threads, sparse_);
    if (sparse_) passes_.reserve_sparse(reader_, batch, threads);
    losses_.reserve(batch * network_.target_positions());
    penalties_.reserve(network_.penalty_pieces());
}

template <class T>
index_t Trainer<T>::rows_at_once(index_t count, bool whole) const {
    constexpr index_t block_rows = 1024;
    return whole ? count : std::min(block_rows, count);
}

// A step is two phases with a barrier after each: every thread takes some rows forward and
// backward, then some of the parameters. Within a phase no thread reads what another writes.
// (Layers divided among the threads and batch statistics have further barriers.)
template <class T>
bool Trainer<T>::step(RunState& state, const int64_t* order, index_t number, index_t first,
                      const TeamThread& team) {
    TeamThread thread = team;
    if (thread.index == 0) state.leave = state.should_leave(number, thread.count);
    if (thread.count == 1 && state.leave) return false;
    const MiniBatch<T> batch = read_batch(state, order, first, thread);
    if (state.updates() && number == 0) state.checks.count_at_start(thread);
    if (batch.rows > network_.watched_rows()) thread.watch = &state.watch;
    scratch(thread).rng = {state.options.training, state.options.key,
                           state.options.first_step + static_cast<uint64_t>(number)};

    passes_.forward(batch, reader_, thread);
    compute_losses(batch, thread);
    passes_.backward(batch, network_.lowest_trainable(), nullptr, thread);
    compute_penalties(thread);
    if (state.updates()) state.checks.note_passes(number);
    if (thread.index == 0) state.weight = batch.weight;
    if (thread.index == 0 && state.watch.stopped()) state.leave = state.ended = true;
    thread.wait();
    // What follows is the same for every thread: thread 0 wrote `leave` and `weight` before the
    // barrier and will not until the next, and the sums have one order.
    if (state.leave) return false;
    const StepLoss loss = total_loss(state, batch);
    OptimizerStep<T> step = state.optimizer.step(number);
    step.p = network_.parameters();
    step.l1 = step.l2 = static_cast<T>(loss.penalty_factor);
    Failure failure = check(state, batch, number, loss.total, step, thread);
    if (failure == Failure::none) failure = update(state, batch, number, step, thread);
    if (thread.index == 0) record(state, batch, loss, failure);
    return failure == Failure::none;
}

template <class T>
MiniBatch<T> Trainer<T>::read_batch(RunState& state, const int64_t* order, index_t first,
                                    const TeamThread& thread) {
    // (No other step takes as long as one that stages samples.)
    if (reader_.stage(order, first, thread) && state.tuner) state.tuner->restart();
    const index_t left = state.options.count - first;
    const MiniBatch<T> batch = reader_.at(order, first, std::min(state.batch_size, left));
    if (batch.x_from.order && kernels<T>().prefetches_rows) {
        const Range next =
            partition(std::min(state.batch_size, left - batch.rows), thread.index, thread.count);
        scratch(thread).prefetcher =
            reader_.prefetcher(batch, next, state.step_flops / thread.count);
    }
    return batch;
}

template <class T>
void Trainer<T>::compute_losses(const MiniBatch<T>& batch, const TeamThread& thread) {
    in_pieces(partition(batch.rows, thread.index, thread.count), thread, network_.watched_rows(),
              [&](index_t row, index_t rows) { compute_losses(batch, {row, row + rows}, thread); });
}

template <class T>
void Trainer<T>::compute_losses(const MiniBatch<T>& batch, Range own, const TeamThread& thread) {
    const index_t last = network_.layer_count() - 1, positions = network_.target_positions();
    T* const gradient = passes_.deltas(last, own.begin);
    T* const losses = losses_.data() + own.begin * positions;
    const index_t targets = own.size() * positions;
    Target<T> target;
    if (!reader_.read_targets(batch, own, target)) {
        // (A loss of NaN: the step will be refused.)
        std::fill(gradient, gradient + own.size() * network_.outputs(), T(0));
        std::fill(losses, losses + targets, std::numeric_limits<T>::quiet_NaN());
        return;
    }
    SampleWeights<T> weights;
    bool usable = reader_.read_weights(batch, own, weights);
    network_.loss().evaluate(passes_.outputs(last, own.begin), target, targets,
                             network_.target_outputs(), weights, gradient, losses,
                             reader_.target_buffer(own.begin));
    // An infinite input can give a finite loss (a saturated sigmoid, a ReLU that is off), but its
    // gradient is NaN.
    if (batch.tokens) {
        usable &= !reader_.has_bad_index();
    } else if (batch.x) {
        const index_t n = network_.inputs();
        usable &= kernels<T>().all_finite(batch.x + own.begin * n, own.size() * n);
    } else {
        const SparseScratch<T>& sparse = scratch(thread).sparse;
        usable &= sparse.finite && sparse.space.bad_row < 0;
    }
    if (!usable) losses[0] = std::numeric_limits<T>::quiet_NaN();
}

template <class T>
void Trainer<T>::compute_penalties(const TeamThread& thread) {
    const Range own = partition(network_.penalty_pieces(), thread.index, thread.count);
    for (index_t i = own.begin; i < own.end; ++i) penalties_.data()[i] = network_.penalty(i);
}

template <class T>
typename Trainer<T>::StepLoss Trainer<T>::total_loss(const RunState& state,
                                                     const MiniBatch<T>& batch) const {
    const double rows = static_cast<double>(batch.rows);
    const index_t targets = batch.rows * network_.target_positions();
    StepLoss loss{kernels<T>().sum(losses_.data(), targets), 0, 1};
    const double weight = state.weight.scaled;
    if (reader_.has_weights()) {
        loss.total = weight > 0 ? loss.total / weight * rows : 0 * loss.total;
    } else {
        loss.total /= static_cast<double>(network_.target_positions());
    }
    if (network_.penalty_pieces() > 0) {
        if (state.options.penalty_by_weight) {
            const double unscaled = state.weight.value();
            loss.penalty_factor = unscaled > 0 ? 1 / unscaled : 0;
        }
        loss.penalty =
            sum_in_order(penalties_.data(), network_.penalty_pieces()) * loss.penalty_factor * rows;
        loss.total += loss.penalty;
    }
    return loss;
}

template <class T>
Failure Trainer<T>::check(RunState& state, const MiniBatch<T>& batch, index_t number, double loss,
                          const OptimizerStep<T>& step, const TeamThread& thread) {
    if (!std::isfinite(loss)) return Failure::loss;
    if (state.checks.bad_at_start()) return Failure::parameters;
    if (!std::isfinite(step.rate) || !std::isfinite(step.decay)) return Failure::rate;
    if (!state.checks.suspects_passes(number)) return Failure::none;
    if (!passes_.sources_are_finite(batch, thread)) state.bad_gradient = true;
    thread.wait();
    return state.bad_gradient ? Failure::gradient : Failure::none;
}

template <class T>
Failure Trainer<T>::update(RunState& state, const MiniBatch<T>& batch, index_t number,
                           const OptimizerStep<T>& step, const TeamThread& thread) {
    if (state.optimizer.clip_norm > 0) {
        OptimizerStep<T> whole = step;
        whole.rule = Rule::store_gradient;
        whole.w = clipping_.gradient();
        passes_.update(batch, reader_, thread, whole);
        thread.wait();
        if (!clipping_.update(network_, thread, step, state.optimizer.clip_norm)) {
            return Failure::gradient;
        }
    } else {
        // (A gradient may be left half done, an update may not.)
        scratch(thread).watcher = thread.watch && !state.updates() ? &thread : nullptr;
        passes_.update(batch, reader_, thread, step);
        scratch(thread).watcher = nullptr;
        if (thread.index == 0 && state.watch.stopped()) state.ended = true;
    }
    if (state.constrained) {
        thread.wait();
        constrain(state.optimizer.w, thread);
    }
    state.checks.note_update(number);
    thread.wait();
    if (!state.updates()) {
        return state.checks.gradient_is_bad(number, thread) ? Failure::gradient : Failure::none;
    }
    return state.checks.update_is_bad(number, thread) ? Failure::update : Failure::none;
}

template <class T>
void Trainer<T>::constrain(T* parameters, const TeamThread& thread) const {
    for (const index_t i : network_.parametric_layers()) {
        const Node<T>& node = network_.node(i);
        if (node.trainable) {
            node.layer->constrain(parameters, node.frozen, thread.index, thread.count);
        }
    }
}

// By thread 0: what the step did.
template <class T>
void Trainer<T>::record(RunState& state, const MiniBatch<T>& batch, const StepLoss& loss,
                        Failure failure) {
    TrainResult& result = state.result;
    if (failure == Failure::none || failure == Failure::update) {
        result.steps += 1;
        if (state.options.optimizer_counter) *state.options.optimizer_counter += 1;
        if (state.options.noise_counter) *state.options.noise_counter += 1;
        if (state.options.advances_state) passes_.advance_state(batch.rows);
    }
    if (failure != Failure::none) {
        result.failure = failure;
        result.bad_loss = loss.total / static_cast<double>(batch.rows);
        result.changed = reader_.find_changed(batch);
        state.ended = true;
        return;
    }
    if (!state.updates()) {
        const T* const losses = losses_.data();
        const T* const end = losses + batch.rows * network_.target_positions();
        const double largest = *std::max_element(losses, end);
        result.largest_loss = std::ldexp(largest, batch.weight.exponent);
    }
    result.stats.loss += loss.total;
    result.stats.penalty += loss.penalty;
    result.samples += batch.rows;
    result.batches += 1;
    if (reader_.bad_row() >= 0) {
        result.changed = {reader_.bad_row()};
        result.changed.applied = true;
        state.ended = true;
    }
}

template <class T>
double Trainer<T>::flops_per_step(const Dataset& dataset, const Optimizer<T>& optimizer,
                                  index_t batch_size) const {
    if (!dataset.sparse) return network_.step_flops() * static_cast<double>(batch_size);
    const CsrMatrix& x = *dataset.sparse;
    const double stored = static_cast<double>(x.start(x.rows) - x.start(0)) /
                          static_cast<double>(std::max<index_t>(x.rows, 1));
    const double flops = network_.step_flops(stored) * static_cast<double>(batch_size);
    const bool skips_zero_gradients = optimizer.rule == Rule::sgd && optimizer.weight_decay == 0 &&
                                      network_.penalty_pieces() == 0 && optimizer.clip_norm == 0;
    // (An update from memory takes about as long as this many operations.)
    constexpr double per_parameter = 16;
    return skips_zero_gradients
               ? flops
               : flops + per_parameter * static_cast<double>(network_.parameter_count());
}

template <class T>
TrainResult Trainer<T>::run(const Dataset& dataset, const TrainOptions& options,
                            const Optimizer<T>& optimizer, EpochStats* epoch_stats,
                            const Report& report) {
    const index_t count = options.count, batch_size = std::min(options.batch_size, count);
    const bool is_sparse = dataset.sparse != nullptr;
    const double flops = flops_per_step(dataset, optimizer, batch_size);
    const int wanted = threads_for(flops, network_.max_parts(batch_size, is_sparse),
                                   min_flops_per_training_thread);
    reserve(dataset, options, batch_size, wanted, network_.vocabulary() == 0);
    if (optimizer.clip_norm > 0) clipping_.reserve(network_.parameter_count());

    RunState state{options,
                   optimizer,
                   report,
                   {network_, optimizer},
                   batch_size,
                   network_.is_constrained() && optimizer.rule != Rule::store_gradient,
                   flops / 2,
                   wanted,
                   wanted > 1 && may_use_fewer_threads() ? &tuner_ : nullptr};
    if (state.tuner) tuner_.begin(flops, wanted);
    TrainResult& result = state.result;
    const index_t batches = (count + batch_size - 1) / batch_size;
    const auto run_epochs = [&](int index, int threads) {
        const TeamThread thread{index, threads, state.barrier};
        OverflowFlags::take();  // (those of before)
        index_t i = state.begin % batches;
        for (index_t epoch = state.begin / batches; epoch < options.epochs; ++epoch, i = 0) {
            const int64_t* const order = options.order ? options.order + epoch * count : nullptr;
            if (index == 0 && i == 0) {
                state.epoch = Stopwatch();
                result.stats = {};
                result.samples = result.batches = 0;
            }
            for (; i < batches; ++i) {
                const index_t number = epoch * batches + i;
                if (!step(state, order, number, i * batch_size, thread)) return;
            }
            if (index == 0) {
                result.stats.seconds = state.epoch.seconds();
                if (epoch_stats) epoch_stats[epoch] = result.stats;
                result.epochs += 1;
            }
        }
    };
    while (!state.ended && result.epochs < options.epochs) {
        state.begin = result.steps;
        state.leave = state.free = false;
        if (state.tuner) tuner_.restart();
        run_team(state.is_serial() ? 1 : wanted, run_epochs);
    }
    reader_.end();
    return result;
}

template <class T>
Changed Trainer<T>::predict_in_training(const Dataset& dataset, const RngPosition& rng, T* out,
                                        Watch* watch) {
    const index_t count = dataset.x.rows, n_out = network_.outputs();
    const index_t block = rows_at_once(count, dataset.sparse || network_.has_statistics());
    const index_t last = network_.layer_count() - 1;
    const int wanted = threads_for(network_.forward_flops() * static_cast<double>(block),
                                   network_.max_parts(block), min_flops_per_training_thread);
    TrainOptions options;
    options.count = count;
    reserve(dataset, options, block, wanted, false);
    Barrier barrier;
    bool leave[2] = {};  // after a block of even or odd number: written before the barrier
    run_team(wanted, [&](int index, int threads) {
        const TeamThread thread{index, threads, barrier, watch};
        scratch(thread).prefetcher = {};
        scratch(thread).rng = rng;
        for (index_t first = 0; first < count; first += block) {
            MiniBatch<T> batch = reader_.at(nullptr, first, std::min(block, count - first));
            batch.rows_before = first;
            const Range own = partition(batch.rows, index, threads);
            passes_.forward(batch, reader_, thread);
            const T* const rows = passes_.outputs(last, own.begin);
            T* const to = out + (first + own.begin) * n_out;
            std::copy(rows, rows + own.size() * n_out, to);
            if (own.size() > 0) {
                network_.loss().predict(to, own.size() * network_.target_positions(),
                                        network_.target_outputs());
            }
            bool& leaves = leave[first / block % 2];
            if (index == 0) leaves = !thread.goes_on();
            thread.wait();
            if (leaves) return;
        }
    });
    return reader_.find_changed({});
}

template <class T>
Changed Trainer<T>::differentiate_inputs(const Dataset& dataset, const T* dout, T* dx,
                                         const Optimizer<T>* gradient, const RngPosition& rng,
                                         bool advances_state, Watch* watch) {
    // The parameters' gradient is a sum over all rows at once; without it a block of rows will do.
    const index_t count = dataset.x.rows, n_in = network_.inputs(), n_out = network_.outputs();
    const index_t positions = network_.target_positions(), n_target = network_.target_outputs();
    const index_t block = rows_at_once(count, gradient || network_.has_statistics());
    const index_t last = network_.layer_count() - 1;
    Changed changed;
    const int wanted = threads_for(network_.step_flops() * static_cast<double>(block),
                                   network_.max_parts(block), min_flops_per_training_thread);
    TrainOptions options;
    options.count = count;
    reserve(dataset, options, block, wanted, false);
    const WeightSum weight = reader_.at(nullptr, 0, count).weight;
    Barrier barrier;
    bool leave = false;  // written before the barrier after each block
    run_team(wanted, [&](int index, int threads) {
        const TeamThread thread{index, threads, barrier, watch};
        scratch(thread).prefetcher = {};
        scratch(thread).rng = rng;
        for (index_t first = 0; first < count; first += block) {
            MiniBatch<T> batch = reader_.at(nullptr, first, std::min(block, count - first));
            batch.weight = weight;
            batch.rows_before = first;
            passes_.forward(batch, reader_, thread);
            const Range own = partition(batch.rows, index, threads);
            if (dout) {
                in_pieces(own, thread, network_.watched_rows(), [&](index_t row, index_t rows) {
                    const T* const given = dout + (first + row) * n_out;
                    T* const out = passes_.outputs(last, row);
                    T* const delta = passes_.deltas(last, row);
                    network_.loss().predict(out, rows * positions, n_target);
                    std::copy(given, given + rows * n_out, delta);
                    network_.loss().predict_backward(out, delta, rows * positions, n_target);
                });
            } else {
                compute_losses(batch, thread);
            }
            passes_.backward(batch, 0, dx ? dx + first * n_in : nullptr, thread);
            if (index == 0) leave = !thread.goes_on();
            thread.wait();
            if (leave) return;
            if (reader_.has_bad_index()) {  // (No thread sets it before the next barrier.)
                if (index == 0) changed = reader_.find_changed(batch);
                return;
            }
            if (gradient) {
                scratch(thread).watcher = &thread;
                passes_.update(batch, reader_, thread, gradient->step(0));
                scratch(thread).watcher = nullptr;
            }
            thread.wait();
        }
        if (advances_state && index == 0) passes_.advance_state(count);
    });
    return changed;
}

template <class T>
TrainResult Trainer<T>::apply_gradient(const T* gradient, const Optimizer<T>& optimizer,
                                       int64_t* optimizer_counter, uint64_t* noise_counter) {
    const index_t count = network_.parameter_count();
    OptimizerStep<T> step = optimizer.step(0);
    step.p = network_.parameters();
    step.l1 = step.l2 = T(0);
    clipping_.reserve(count);
    std::copy(gradient, gradient + count, clipping_.gradient());
    ParameterChecks<T> checks(network_, optimizer);
    TrainResult result;
    constexpr double flops_per_value = 16;
    const int wanted = threads_for(flops_per_value * static_cast<double>(count),
                                   count / min_shared_values, min_flops_per_training_thread);
    Barrier barrier;
    std::atomic<bool> bad_gradient{false};
    run_team(wanted, [&](int index, int threads) {
        const TeamThread thread{index, threads, barrier};
        OverflowFlags::take();
        checks.count_at_start(thread);
        const Range own = partition(count, index, threads, 16);
        if (!kernels<T>().all_finite(gradient + own.begin, own.size())) bad_gradient = true;
        thread.wait();
        Failure failure = Failure::none;
        if (checks.bad_at_start()) {
            failure = Failure::parameters;
        } else if (!std::isfinite(step.rate) || !std::isfinite(step.decay)) {
            failure = Failure::rate;
        } else if (bad_gradient) {
            failure = Failure::gradient;
        } else {
            const double limit = optimizer.clip_norm > 0 ? optimizer.clip_norm
                                                         : std::numeric_limits<double>::infinity();
            if (!clipping_.update(network_, thread, step, limit)) failure = Failure::gradient;
        }
        if (failure == Failure::none) {
            thread.wait();
            constrain(optimizer.w, thread);
            checks.note_update(0);
            thread.wait();
            if (checks.update_is_bad(0, thread)) failure = Failure::update;
        }
        if (index != 0) return;
        result.failure = failure;
        if (failure != Failure::none && failure != Failure::update) return;
        result.steps = 1;
        if (optimizer_counter) *optimizer_counter += 1;
        if (noise_counter) *noise_counter += 1;
    });
    return result;
}

template class Trainer<float>;
template class Trainer<double>;

}  // namespace pynn
