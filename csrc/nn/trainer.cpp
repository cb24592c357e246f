#include "nn/trainer.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <limits>

#include "dispatch/dispatch.h"
#include "threads/fp_environment.h"
#include "threads/oversubscription.h"

namespace pynn {
namespace {

// Asks every few mini-batches whether it is time to report, so that the clock costs nothing.
class ReportTimer {
public:
    bool due() {
        if (--countdown_ > 0) return false;
        const auto now = Clock::now();
        const std::chrono::duration<double> elapsed = now - last_poll_;
        last_poll_ = now;
        // Aim at a look every tenth of the interval.
        constexpr double interval = 0.05;
        const double ratio = interval / 10 / std::max(elapsed.count(), 1e-9);
        stride_ = std::clamp<double>(stride_ * std::min(ratio, 2.0), 1, 1000);
        countdown_ = static_cast<int>(stride_);
        if (std::chrono::duration<double>(now - last_report_).count() < interval) return false;
        last_report_ = now;
        return true;
    }

private:
    using Clock = std::chrono::steady_clock;
    Clock::time_point last_poll_ = Clock::now(), last_report_ = last_poll_;
    double stride_ = 1;
    int countdown_ = 1;
};

class Stopwatch {
public:
    double seconds() const {
        return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
    }

private:
    std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

// The gradient as a whole is squared, scaled and applied in pieces of so many values.
constexpr index_t clip_piece = 4096;

// f(first, rows) for all rows of a range; in pieces that may end early where there is a watch.
template <class F>
void in_pieces(Range own, const TeamThread& thread, F f) {
    const index_t piece = thread.watch ? watched_rows : own.size();
    for (index_t first = own.begin; first < own.end; first += piece) {
        if (!thread.goes_on()) return;
        f(first, std::min(piece, own.end - first));
    }
}

double sum_in_order(const double* x, index_t n) {
    double total = 0;
    for (index_t i = 0; i < n; ++i) total += x[i];
    return total;
}

template <class T>
double small_squares(const T* x, index_t n, double factor) {
    double total = 0;
    for (index_t i = 0; i < n; ++i) {
        const double small = static_cast<double>(x[i]) * factor;
        total += small * small;
    }
    return total;
}

}  // namespace

template <class T>
void Trainer<T>::prepare(index_t batch, bool gathers, int threads) {
    const std::size_t layers = static_cast<std::size_t>(network_.layer_count());
    const index_t lowest = sparse_ ? network_.parameter_groups().front().layer : 0;
    if (outputs_.size() < layers) {
        outputs_ = std::vector<Buffer<T>>(layers);
        deltas_ = std::vector<Buffer<T>>(layers);
    }
    for (std::size_t l = static_cast<std::size_t>(lowest); l < layers; ++l) {
        const index_t n = network_.layer(static_cast<index_t>(l)).outputs();
        outputs_[l].reserve(batch * n);
        deltas_[l].reserve(batch * n);
    }
    if (gathers) x_.reserve(batch * network_.inputs());
    targets_.reserve(batch * network_.outputs());
    smoothed_.reserve(batch * network_.outputs());
    weights_.reserve(batch);
    labels_.reserve(batch);
    losses_.reserve(batch);
    penalties_.reserve(network_.penalty_pieces());
    if (scratch_.size() < static_cast<std::size_t>(threads)) {
        scratch_ = std::vector<Scratch<T>>(static_cast<std::size_t>(threads));
    }
    for (Scratch<T>& scratch : scratch_) {
        scratch.parameters_exceed_l2 = network_.parameters_exceed_l2(sparse_);
        for (index_t l = sparse_ ? lowest + 1 : 0; l < network_.layer_count(); ++l) {
            network_.layer(l).reserve(batch, scratch);
        }
    }
}

template <class T>
void Trainer<T>::prepare_sparse(const Dataset& dataset, const TrainOptions& options, index_t batch,
                                int threads) {
    const CsrMatrix& x = *dataset.sparse;
    taken_.reserve(batch);
    bad_row_ = -1;
    index_t stored = 0;
    for (index_t epoch = 0; epoch < (options.order ? options.epochs : 1); ++epoch) {
        const int64_t* const order =
            options.order ? options.order + epoch * options.count : nullptr;
        stored = std::max(stored, max_batch_nnz(x, order, options.count, batch));
    }
    const index_t longest = max_row_nnz(x);
    for (Scratch<T>& scratch : scratch_) {
        scratch.sparse.space.bad_row = -1;
        scratch.sparse.columns.take_bad_row();
        network_.layer(network_.parameter_groups().front().layer)
            .reserve_sparse(batch, stored, longest, threads, scratch);
    }
}

template <class T>
typename Trainer<T>::MiniBatch Trainer<T>::mini_batch(const Dataset& dataset, const int64_t* order,
                                                      index_t first, index_t rows,
                                                      const StagingBuffer& staging) {
    const WeightSum weight = dataset.weights ? sum_weights(dataset.weights, order, first, rows)
                                             : WeightSum{static_cast<double>(rows)};
    const RowSource targets = staging.targets({&dataset.targets, order, first});
    if (sparse_) {
        const bool drops = network_.parameter_groups().front().layer > 0;
        const SparseBatch<T> sparse{
            dataset.sparse, order, first, rows, drops ? &network_.layer(0) : nullptr,
            taken_.data()};
        return {first, rows, nullptr, weight, {}, targets, sparse, 0};
    }
    const RowSource x = staging.x({&dataset.x, order, first});
    const T* const there = x.order ? nullptr : in_place<T>(*x.m, x.first);
    return {first, rows, there ? there : x_.data(), weight, x, targets, {}, 0};
}

template <class T>
void Trainer<T>::forward(MiniBatch batch, const TeamThread& thread) {
    const Range own = partition(batch.rows, thread.index, thread.count);
    const bool gathers = sparse_ || batch.x == x_.data();
    const index_t first = sparse_ ? network_.parameter_groups().front().layer + 1 : 0;
    const T* const whole = sparse_ ? outputs(first - 1) : batch.x;  // of layer `first`
    if (sparse_) {
        bool finite = true;
        in_pieces(own, thread, [&](index_t row, index_t rows) {
            network_.layer(first - 1).forward_sparse(network_.parameters(), batch.sparse,
                                                     {row, row + rows}, outputs(first - 1, row),
                                                     scratch(thread));
            finite = finite && scratch(thread).sparse.finite;
        });
        scratch(thread).sparse.finite = finite;
        if (scratch(thread).sparse.space.bad_row >= 0)
            bad_row_ = scratch(thread).sparse.space.bad_row;
    } else if (gathers) {
        in_pieces(own, thread, [&](index_t row, index_t rows) {
            const RowSource& from = batch.x_from;
            gather(*from.m, from.order, from.first + row, rows,
                   x_.data() + row * network_.inputs());
        });
    }
    if (network_.partitions_layers(thread.count, sparse_)) {
        scratch(thread).rng.first_row = batch.rows_before;
        if (gathers) thread.wait();
        const T* input = whole;
        for (index_t l = first; l < network_.layer_count(); ++l) {
            if (thread.goes_on()) {
                network_.layer(l).forward_part(network_.parameters(), input, outputs(l), batch.rows,
                                               thread.index, thread.count, scratch(thread));
            }
            thread.wait();
            input = outputs(l);
        }
    } else {
        in_pieces(own, thread, [&](index_t row, index_t rows) {
            scratch(thread).rng.first_row = batch.rows_before + row;
            const T* input =
                whole + row * (first > 0 ? network_.layer(first - 1).outputs() : network_.inputs());
            for (index_t l = first; l < network_.layer_count() && thread.goes_on(); ++l) {
                T* const output = outputs(l, row);
                network_.layer(l).forward(network_.parameters(), input, output, rows,
                                          scratch(thread));
                input = output;
            }
        });
    }
}

template <class T>
void Trainer<T>::compute_losses(const Dataset& dataset, const int64_t* order, MiniBatch batch,
                                Range own, const TeamThread& thread) {
    const index_t rows = own.size(), at = batch.first + own.begin;
    const index_t last = network_.layer_count() - 1, n_out = network_.outputs();
    Target<T> target;
    if (dataset.labels) {
        int64_t* const labels = labels_.data() + own.begin;
        const index_t classes = network_.loss().classes(n_out);
        if (!read_labels(dataset.labels, order, at, rows, classes, labels)) {
            // (A loss of NaN: the step will be refused.)
            label_bad_ = true;
            std::fill(deltas(last, own.begin), deltas(last, own.end), T(0));
            std::fill(losses_.data() + own.begin, losses_.data() + own.end,
                      std::numeric_limits<T>::quiet_NaN());
            return;
        }
        target.labels = labels;
    } else {
        T* const values = targets_.data() + own.begin * n_out;
        const RowSource& from = batch.targets_from;
        gather(*from.m, from.order, from.first + own.begin, rows, values);
        target.values = values;
    }
    SampleWeights<T> weights{batch.weight.scaled};
    bool usable = true;
    if (dataset.weights) {
        T* const values = weights_.data() + own.begin;
        for (index_t i = 0; i < rows; ++i) {
            const double weight = dataset.weights[order ? order[at + i] : at + i];
            usable &= weight >= 0;
            values[i] = static_cast<T>(batch.weight.of(weight));
        }
        weights.weights = values;
    }
    network_.loss().evaluate(outputs(last, own.begin), target, rows, n_out, weights,
                             deltas(last, own.begin), losses_.data() + own.begin,
                             smoothed_.data() + own.begin * n_out);
    // An infinite input can give a finite loss (a saturated sigmoid, a ReLU that is off), but its
    // gradient is NaN.
    const bool finite =
        sparse_ ? scratch(thread).sparse.finite && scratch(thread).sparse.space.bad_row < 0
                : kernels<T>().all_finite(batch.x + own.begin * network_.inputs(),
                                          rows * network_.inputs());
    if (!finite || !usable) losses_.data()[own.begin] = std::numeric_limits<T>::quiet_NaN();
}

template <class T>
Changed Trainer<T>::find_changed_label(const Dataset& dataset, const int64_t* order,
                                       const MiniBatch& batch) const {
    if (!dataset.labels) return {};
    const index_t classes = network_.loss().classes(network_.outputs());
    const index_t i = find_bad_label(labels_.data(), batch.rows, classes);
    if (i < 0) return {};
    const index_t at = batch.first + i;
    return {order ? static_cast<index_t>(order[at]) : at, true, labels_.data()[i]};
}

template <class T>
void Trainer<T>::backward(index_t lowest, MiniBatch batch, T* dx, const TeamThread& thread) {
    const Range own = partition(batch.rows, thread.index, thread.count);
    const index_t last = network_.layer_count() - 1;
    const bool partitions_layers = network_.partitions_layers(thread.count, sparse_);
    const auto differentiate = [&](index_t row, index_t rows) {
        differentiate_flushed(network_.layer(last).activation(), outputs(last, row),
                              deltas(last, row), rows * network_.outputs());
    };
    // (f: of a layer, and what it reads and writes.)
    const auto each_layer = [&](auto f) {
        for (index_t l = last; dx ? l >= 0 : l > lowest; --l) {
            const Layer<T>& layer = network_.layer(l);
            const bool is_first = l == 0;
            const Activation input_activation =
                is_first ? Activation::identity : network_.layer(l - 1).activation();
            const T* const x = is_first ? batch.x : outputs(l - 1);
            T* const target = is_first ? dx : deltas(l - 1);
            f(l, layer, input_activation, x, target);
        }
    };
    if (partitions_layers) {
        differentiate(own.begin, own.size());
        each_layer([&](index_t l, const Layer<T>& layer, Activation input_activation, const T* x,
                       T* target) {
            thread.wait();
            if (!thread.goes_on()) return;
            layer.backward_part(network_.parameters(), deltas(l), x, input_activation, target,
                                batch.rows, thread.index, thread.count, scratch(thread));
        });
        return;
    }
    in_pieces(own, thread, [&](index_t row, index_t rows) {
        differentiate(row, rows);
        scratch(thread).rng.first_row = batch.rows_before + row;
        each_layer([&](index_t l, const Layer<T>& layer, Activation input_activation, const T* x,
                       T* target) {
            if (!thread.goes_on()) return;
            const index_t before = row * layer.inputs();
            layer.backward(network_.parameters(), deltas(l, row), x + before, input_activation,
                           target + before, rows, scratch(thread));
        });
    });
}

template <class T>
void Trainer<T>::update_all_parameters(MiniBatch batch, const TeamThread& thread,
                                       const OptimizerStep<T>& update) {
    for (const auto& group : network_.parameter_groups()) {
        const index_t l = group.layer;
        if (sparse_ && l == network_.parameter_groups().front().layer) {
            network_.layer(l).update_parameters_sparse(batch.sparse, deltas(l), thread.index,
                                                       thread.count, update, scratch(thread));
            const index_t bad_row = scratch(thread).sparse.columns.take_bad_row();
            if (bad_row >= 0) bad_row_ = bad_row;
            continue;
        }
        const T* const x = l == 0 ? batch.x : outputs(l - 1);
        network_.layer(l).update_parameters(x, deltas(l), batch.rows, thread.index, thread.count,
                                            update, scratch(thread));
    }
}

template <class T>
bool Trainer<T>::update_with_clipping(MiniBatch batch, const TeamThread& thread,
                                      OptimizerStep<T> update, double most) {
    T* const gradient = gradient_.data();
    OptimizerStep<T> whole = update;
    whole.rule = Rule::store_gradient;
    whole.w = gradient;
    update_all_parameters(batch, thread, whole);
    thread.wait();
    const index_t n = network_.parameter_count(), pieces = (n + clip_piece - 1) / clip_piece;
    const Range own = partition(pieces, thread.index, thread.count);
    const auto size = [&](index_t piece) { return std::min(clip_piece, n - piece * clip_piece); };
    for (index_t i = own.begin; i < own.end; ++i) {
        squares_.data()[i] = kernels<T>().sum_squares(gradient + i * clip_piece, size(i));
    }
    thread.wait();
    double length = std::sqrt(sum_in_order(squares_.data(), pieces)), limit = most;
    if (!std::isfinite(length)) {
        // The squares of finite values may overflow: those of so small a part of them do not.
        constexpr double small = 0x1p-600;
        thread.wait();
        for (index_t i = own.begin; i < own.end; ++i) {
            squares_.data()[i] = small_squares(gradient + i * clip_piece, size(i), small);
        }
        thread.wait();
        length = std::sqrt(sum_in_order(squares_.data(), pieces));
        limit *= small;
        if (!std::isfinite(length)) return false;
    }
    update.l1 = update.l2 = T(0);  // (They are in the gradient.)
    for (index_t i = own.begin; i < own.end; ++i) {
        T* const g = gradient + i * clip_piece;
        if (length > limit) kernels<T>().scale(static_cast<T>(limit / length), g, g, size(i));
        kernels<T>().update(update, g, i * clip_piece, size(i));
    }
    return true;
}

// A product with something infinite or NaN has no finite element, so these are the gradients whose
// parameters must not follow them. (The first layer's x has been looked at.)
template <class T>
bool Trainer<T>::sources_are_finite(MiniBatch batch, const TeamThread& thread) {
    const Range own = partition(batch.rows, thread.index, thread.count);
    if (own.size() == 0) return true;
    const auto is_finite = [&](const T* rows, index_t n) {
        return kernels<T>().all_finite(rows, own.size() * n);
    };
    const index_t lowest = network_.parameter_groups().front().layer;
    for (const auto& group : network_.parameter_groups()) {
        const index_t l = group.layer;
        if (!is_finite(deltas(l, own.begin), network_.layer(l).outputs())) return false;
        if (l > 0 && !(sparse_ && l == lowest) &&
            !is_finite(outputs(l - 1, own.begin), network_.layer(l).inputs())) {
            return false;
        }
    }
    return true;
}

// A bias of an output may be infinite: that of -inf switches a class off. Other parameters may not,
// since activations hide them (tanh(inf) is 1).
template <class T>
index_t Trainer<T>::count_infinite_biases(const Optimizer<T>& optimizer,
                                          const TeamThread& thread) const {
    const Range own = partition(network_.parameter_count(), thread.index, thread.count, 16);
    if (kernels<T>().all_finite(optimizer.w + own.begin, own.size())) return 0;
    const index_t first_bias = network_.first_output_bias();
    index_t infinite = 0;
    for (index_t i = own.begin; i < own.end; ++i) {
        const T value = optimizer.w[i];
        if (std::isfinite(value)) continue;
        if (std::isnan(value) || i < first_bias) return -1;
        ++infinite;
    }
    return infinite;
}

template <class T>
bool Trainer<T>::moments_are_finite(const Optimizer<T>& optimizer, const TeamThread& thread) const {
    const Range own = partition(network_.parameter_count(), thread.index, thread.count, 16);
    const auto is_finite = [&](const T* x) {
        return !x || kernels<T>().all_finite(x + own.begin, own.size());
    };
    return is_finite(optimizer.m) && is_finite(optimizer.v);
}

template <class T>
struct Trainer<T>::RunState {
    const Dataset& dataset;
    const TrainOptions& options;
    const Optimizer<T>& optimizer;
    const Report& report;
    Matrix prefetched_targets;  // a sample's target is found by the same index as the sample
    StagingBuffer& staging;     // of column-major samples
    index_t batch_size, lowest, penalty_pieces;
    bool constrained;
    double step_work;
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
    bool free = false;   // other threads have been, since `freed`
    WeightSum weight{};  // of the mini-batch, as thread 0 has read it: what all of them decide by
    Stopwatch freed{};

    // What the threads found, for all of them behind the next barrier: the last step whose gradient
    // or whose update may not be finite (-1: none), and what is not.
    const bool flags_are_kept = OverflowFlags::are_kept();
    std::atomic<index_t> suspect_gradient{-1}, suspect_update{-1};
    std::atomic<bool> bad_parameters{false}, bad_gradient{false}, bad_update{false};
    std::atomic<index_t> infinite_at_start{0}, infinite_now{0};  // biases

    bool takes_flags() const { return OverflowFlags::take() || !flags_are_kept; }

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

    // Stages the samples of the mini-batch at `first`, and of those after it, unless they are.
    void fill_staging(const int64_t* order, index_t first, const TeamThread& thread) {
        if (!staging.is_used() || staging.contains(order, first)) return;
        if (thread.index == 0) staging.sort(order, first);
        thread.wait();  // (Every thread has seen what the stage held before.)
        if (thread.index == 0) {
            staging.mark_filled(order, first);
            if (tuner) tuner->restart();  // (No other step takes as long.)
        }
        staging.fill(order, first, thread.index, thread.count);
        thread.wait();
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

// A step is two phases with a meeting after each: every thread takes some rows forward and back,
// then some of the parameters. Within a phase nobody reads what another writes. (Where layers are
// divided, the first phase has a meeting after each of them.)
template <class T>
bool Trainer<T>::step(RunState& c, const int64_t* order, index_t number, index_t first,
                      const TeamThread& team) {
    TeamThread thread = team;
    const TrainOptions& options = c.options;
    const int index = thread.index, threads = thread.count;
    TrainResult& result = c.result;
    if (index == 0) c.leave = c.should_leave(number, threads);
    if (threads == 1 && c.leave) return false;
    const index_t left = options.count - first;
    c.fill_staging(order, first, thread);
    const MiniBatch batch =
        mini_batch(c.dataset, order, first, std::min(c.batch_size, left), c.staging);
    if (batch.x_from.order && kernels<T>().prefetches_rows) {
        const Range next = partition(std::min(c.batch_size, left - batch.rows), index, threads);
        scratch(thread).prefetcher = make_row_prefetcher(c.dataset.x, c.prefetched_targets, order,
                                                         first + batch.rows + next.begin,
                                                         next.size(), c.step_work / threads);
    }
    const Range own = partition(batch.rows, index, threads);
    const bool updates = c.optimizer.rule != Rule::store_gradient;
    if (updates && number == 0) {
        const index_t infinite = count_infinite_biases(c.optimizer, thread);
        if (infinite < 0) {
            c.bad_parameters = true;
        } else {
            c.infinite_at_start += infinite;
        }
    }
    if (batch.rows > watched_rows) thread.watch = &c.watch;
    scratch(thread).rng = {options.training, options.key,
                           options.first_step + static_cast<uint64_t>(number)};
    forward(batch, thread);
    in_pieces(own, thread, [&](index_t row, index_t rows) {
        compute_losses(c.dataset, order, batch, {row, row + rows}, thread);
    });
    backward(c.lowest, batch, nullptr, thread);
    const Range pieces = partition(c.penalty_pieces, index, threads);
    for (index_t i = pieces.begin; i < pieces.end; ++i) {
        penalties_.data()[i] = network_.penalty(i);
    }
    if (updates && c.takes_flags()) c.suspect_gradient = number;
    if (index == 0) c.weight = batch.weight;
    if (index == 0 && c.watch.stopped()) c.leave = c.ended = true;
    thread.wait();
    // What follows is the same for every thread: thread 0 wrote `leave` and `weight` before the
    // meeting and will not until the next, and the sums have one order.
    if (c.leave) return false;
    const double rows = static_cast<double>(batch.rows);
    double loss = kernels<T>().sum(losses_.data(), batch.rows), penalty = 0, factor = 1;
    if (c.dataset.weights) {
        const double weight = c.weight.scaled;
        loss = weight > 0 ? loss / weight * rows : 0 * loss;
    }
    if (c.penalty_pieces > 0) {
        if (options.penalty_by_weight) {
            const double weight = c.weight.value();
            factor = weight > 0 ? 1 / weight : 0;
        }
        penalty = sum_in_order(penalties_.data(), c.penalty_pieces) * factor * rows;
        loss += penalty;
    }
    OptimizerStep<T> update = c.optimizer.step(number);
    update.p = network_.parameters();
    update.l1 = update.l2 = static_cast<T>(factor);
    Failure failure = Failure::none;
    if (!std::isfinite(loss)) {
        failure = Failure::loss;
    } else if (c.bad_parameters) {
        failure = Failure::parameters;
    } else if (!std::isfinite(update.rate) || !std::isfinite(update.decay)) {
        failure = Failure::rate;
    } else if (c.suspect_gradient == number) {
        if (!sources_are_finite(batch, thread)) c.bad_gradient = true;
        thread.wait();
        if (c.bad_gradient) failure = Failure::gradient;
    }
    if (failure == Failure::none) {
        if (c.optimizer.clip_norm > 0) {
            if (!update_with_clipping(batch, thread, update, c.optimizer.clip_norm)) {
                failure = Failure::gradient;
            }
        } else {
            // (A gradient may be left half done, an update may not.)
            scratch(thread).watcher =
                thread.watch && update.rule == Rule::store_gradient ? &thread : nullptr;
            update_all_parameters(batch, thread, update);
            scratch(thread).watcher = nullptr;
            if (index == 0 && c.watch.stopped()) c.ended = true;
        }
    }
    if (failure == Failure::none) {
        if (c.constrained) {
            thread.wait();
            for (const auto& group : network_.parameter_groups()) {
                network_.layer(group.layer).constrain(c.optimizer.w, index, threads);
            }
        }
        if (updates && c.takes_flags()) c.suspect_update = number;
        thread.wait();
        if (c.suspect_update == number) {
            const index_t infinite = count_infinite_biases(c.optimizer, thread);
            if (infinite < 0 || !moments_are_finite(c.optimizer, thread)) c.bad_update = true;
            c.infinite_now += infinite;
            thread.wait();
            if (c.bad_update || c.infinite_now > c.infinite_at_start) failure = Failure::update;
            thread.wait();
            if (index == 0) c.infinite_now = 0;  // (The next step meets before it counts again.)
        }
    }
    const auto count_step = [&] {
        result.steps += 1;
        if (options.optimizer_counter) *options.optimizer_counter += 1;
        if (options.noise_counter) *options.noise_counter += 1;
    };
    if (failure != Failure::none) {
        if (index == 0) {
            result.failure = failure;
            result.bad_loss = loss / rows;
            if (failure == Failure::update) count_step();
            result.changed =
                label_bad_ ? find_changed_label(c.dataset, order, batch) : Changed{bad_row_};
            c.ended = true;
        }
        return false;
    }
    if (index == 0) {
        if (update.rule == Rule::store_gradient) {
            const T* const losses = losses_.data();
            const double largest = *std::max_element(losses, losses + batch.rows);
            result.largest_loss = std::ldexp(largest, batch.weight.exponent);
        }
        result.stats.loss += loss;
        result.stats.penalty += penalty;
        result.samples += batch.rows;
        result.batches += 1;
        count_step();
        if (bad_row_ >= 0) {
            result.changed = {bad_row_};
            result.changed.applied = true;
            c.ended = true;
        }
    }
    return true;
}

template <class T>
double Trainer<T>::flops_per_step(const Dataset& dataset, const Optimizer<T>& optimizer,
                                  index_t batch_size) const {
    if (!sparse_) return network_.step_flops() * static_cast<double>(batch_size);
    const CsrMatrix& x = *dataset.sparse;
    const double stored = static_cast<double>(x.start(x.rows) - x.start(0)) /
                          static_cast<double>(std::max<index_t>(x.rows, 1));
    const double flops = network_.step_flops(stored) * static_cast<double>(batch_size);
    const bool skips_zero_gradients = optimizer.rule == Rule::sgd && optimizer.weight_decay == 0 &&
                                      network_.penalty_pieces() == 0 && optimizer.clip_norm == 0;
    // (An update from memory takes about as long as so many operations.)
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
    sparse_ = dataset.sparse != nullptr;
    bad_row_ = -1;
    label_bad_ = false;
    const double flops = flops_per_step(dataset, optimizer, batch_size);
    const int wanted =
        threads_for(flops, network_.max_parts(batch_size, sparse_), min_flops_per_training_thread);
    StagingBuffer staging;
    staging.begin(dataset.x, staging_dtype<T>(dataset.x), dataset.targets,
                  staging_dtype<T>(dataset.targets), batch_size, count, options.order != nullptr);
    const RowSource first_rows = staging.x({&dataset.x, options.order, 0});
    const bool gathers = first_rows.order || !in_place<T>(*first_rows.m, 0);
    prepare(batch_size, gathers && !sparse_, wanted);
    if (sparse_) prepare_sparse(dataset, options, batch_size, wanted);
    if (optimizer.clip_norm > 0) {
        const index_t n = network_.parameter_count();
        T* const gradient = gradient_.reserve(n);
        std::fill(gradient, gradient + n, T(0));  // between the layers nothing else writes
        squares_.reserve((n + clip_piece - 1) / clip_piece);
    }

    Matrix prefetched_targets = staging.targets_are_staged() ? Matrix() : dataset.targets;
    if (dataset.labels) {
        prefetched_targets.data = reinterpret_cast<const char*>(dataset.labels);
        prefetched_targets.row_stride = sizeof(int64_t);
    }
    RunState state{dataset,
                   options,
                   optimizer,
                   report,
                   prefetched_targets,
                   staging,
                   batch_size,
                   network_.parameter_groups().front().layer,
                   network_.penalty_pieces(),
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
    return result;
}

template <class T>
Changed Trainer<T>::predict_in_training(const Dataset& dataset, const RngPosition& rng, T* out,
                                        Watch* watch) {
    sparse_ = dataset.sparse != nullptr;
    const index_t count = dataset.x.rows, n_out = network_.outputs();
    const index_t block = sparse_ ? count : std::min(block_rows, count);
    const index_t last = network_.layer_count() - 1;
    const int wanted = threads_for(network_.forward_flops() * static_cast<double>(block),
                                   network_.max_parts(block), min_flops_per_training_thread);
    prepare(block, !sparse_ && !in_place<T>(dataset.x, 0), wanted);
    if (sparse_) {
        TrainOptions options;
        options.count = count;
        prepare_sparse(dataset, options, block, wanted);
    }
    const StagingBuffer no_staging;  // (Rows in their own order are copied by tiles as they are.)
    Barrier barrier;
    bool leave[2] = {};  // after a block of even or odd number: written before they meet
    run_team(wanted, [&](int index, int threads) {
        const TeamThread thread{index, threads, barrier, watch};
        scratch(thread).prefetcher = {};
        scratch(thread).rng = rng;
        for (index_t first = 0; first < count; first += block) {
            MiniBatch batch =
                mini_batch(dataset, nullptr, first, std::min(block, count - first), no_staging);
            batch.rows_before = first;
            const Range own = partition(batch.rows, index, threads);
            forward(batch, thread);
            const T* const rows = outputs(last, own.begin);
            T* const to = out + (first + own.begin) * n_out;
            std::copy(rows, rows + own.size() * n_out, to);
            if (own.size() > 0) network_.loss().predict(to, own.size(), n_out);
            bool& leaves = leave[first / block % 2];
            if (index == 0) leaves = !thread.goes_on();
            thread.wait();
            if (leaves) return;
        }
    });
    return {sparse_ ? bad_row_.load() : -1};
}

template <class T>
Changed Trainer<T>::differentiate_inputs(const Dataset& dataset, const T* dout, T* dx,
                                         const Optimizer<T>* gradient, const RngPosition& rng,
                                         Watch* watch) {
    // The parameters' gradient is a sum over all rows at once; without it a block of rows will do.
    const index_t count = dataset.x.rows, n_in = network_.inputs(), n_out = network_.outputs();
    const index_t block = gradient ? count : std::min(block_rows, count);
    const index_t last = network_.layer_count() - 1;
    sparse_ = false;
    label_bad_ = false;
    Changed changed;
    const int wanted = threads_for(network_.step_flops() * static_cast<double>(block),
                                   network_.max_parts(block), min_flops_per_training_thread);
    prepare(block, !in_place<T>(dataset.x, 0), wanted);
    const StagingBuffer no_staging;
    const WeightSum weight = dataset.weights ? sum_weights(dataset.weights, nullptr, 0, count)
                                             : WeightSum{static_cast<double>(count)};
    Barrier barrier;
    bool leave = false;  // written before they meet after each block
    run_team(wanted, [&](int index, int threads) {
        const TeamThread thread{index, threads, barrier, watch};
        scratch(thread).prefetcher = {};
        scratch(thread).rng = rng;
        for (index_t first = 0; first < count; first += block) {
            MiniBatch batch =
                mini_batch(dataset, nullptr, first, std::min(block, count - first), no_staging);
            batch.weight = weight;
            batch.rows_before = first;
            const Range own = partition(batch.rows, index, threads);
            forward(batch, thread);
            in_pieces(own, thread, [&](index_t row, index_t rows) {
                if (!dout) {
                    compute_losses(dataset, nullptr, batch, {row, row + rows}, thread);
                    return;
                }
                const T* const given = dout + (first + row) * n_out;
                T* const out = outputs(last, row);
                T* const delta = deltas(last, row);
                network_.loss().predict(out, rows, n_out);
                std::copy(given, given + rows * n_out, delta);
                network_.loss().predict_backward(out, delta, rows, n_out);
            });
            backward(0, batch, dx + first * n_in, thread);
            if (index == 0) leave = !thread.goes_on();
            thread.wait();
            if (leave) return;
            if (label_bad_) {  // (No thread sets it before the next meeting.)
                if (index == 0) changed = find_changed_label(dataset, nullptr, batch);
                return;
            }
            if (gradient) {
                scratch(thread).watcher = &thread;
                update_all_parameters(batch, thread, gradient->step(0));
                scratch(thread).watcher = nullptr;
            }
            thread.wait();
        }
    });
    return changed;
}

template class Trainer<float>;
template class Trainer<double>;

}  // namespace pynn
