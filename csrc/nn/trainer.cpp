#include "nn/trainer.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <limits>

#include "dispatch/dispatch.h"
#include "nn/crowd.h"
#include "nn/float_state.h"

namespace pynn {
namespace {

// Asks every few mini-batches whether it is time to report, so that the clock costs nothing.
class ReportTimer {
public:
    bool due() {
        if (--countdown_ > 0) return false;
        const auto now = Clock::now();
        const std::chrono::duration<double> elapsed = now - last_look_;
        last_look_ = now;
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
    Clock::time_point last_look_ = Clock::now(), last_report_ = last_look_;
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
void in_pieces(Range own, const Member& me, F f) {
    const index_t piece = me.watch ? watched_rows : own.size();
    for (index_t first = own.begin; first < own.end; first += piece) {
        if (!me.goes_on()) return;
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
    const index_t lowest = sparse_ ? network_.stages().front().layer : 0;
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
        scratch.far_parameters = network_.has_far_parameters(sparse_);
        for (index_t l = sparse_ ? lowest + 1 : 0; l < network_.layer_count(); ++l) {
            network_.layer(l).reserve(batch, scratch);
        }
    }
}

template <class T>
void Trainer<T>::prepare_sparse(const Samples& samples, const Course& course, index_t batch,
                                int threads) {
    const CsrMatrix& x = *samples.sparse;
    taken_.reserve(batch);
    bad_row_ = -1;
    index_t stored = 0;
    for (index_t epoch = 0; epoch < (course.order ? course.epochs : 1); ++epoch) {
        const int64_t* const order = course.order ? course.order + epoch * course.count : nullptr;
        stored = std::max(stored, most_stored(x, order, course.count, batch));
    }
    const index_t longest = most_stored_in_row(x);
    for (Scratch<T>& scratch : scratch_) {
        scratch.sparse.space.bad_row = -1;
        scratch.sparse.columns.take_bad_row();
        network_.layer(network_.stages().front().layer)
            .reserve_sparse(batch, stored, longest, threads, scratch);
    }
}

template <class T>
typename Trainer<T>::MiniBatch Trainer<T>::mini_batch(const Samples& samples, const int64_t* order,
                                                      index_t first, index_t rows,
                                                      const RowStage& stage) {
    const WeightSum weight = samples.weights ? sum_weights(samples.weights, order, first, rows)
                                             : WeightSum{static_cast<double>(rows)};
    const RowSource targets = stage.targets({&samples.targets, order, first});
    if (sparse_) {
        const bool drops = network_.stages().front().layer > 0;
        const SparseBatch<T> sparse{
            samples.sparse, order, first, rows, drops ? &network_.layer(0) : nullptr,
            taken_.data()};
        return {first, rows, nullptr, weight, {}, targets, sparse, 0};
    }
    const RowSource x = stage.x({&samples.x, order, first});
    const T* const there = x.order ? nullptr : in_place<T>(*x.m, x.first);
    return {first, rows, there ? there : x_.data(), weight, x, targets, {}, 0};
}

template <class T>
void Trainer<T>::forward(MiniBatch batch, const Member& me) {
    const Range own = part(batch.rows, me.index, me.count);
    const bool gathers = sparse_ || batch.x == x_.data();
    const index_t first = sparse_ ? network_.stages().front().layer + 1 : 0;
    const T* const whole = sparse_ ? outputs(first - 1) : batch.x;  // of layer `first`
    if (sparse_) {
        bool finite = true;
        in_pieces(own, me, [&](index_t row, index_t rows) {
            network_.layer(first - 1).forward_sparse(network_.parameters(), batch.sparse,
                                                     {row, row + rows}, outputs(first - 1, row),
                                                     scratch(me));
            finite = finite && scratch(me).sparse.finite;
        });
        scratch(me).sparse.finite = finite;
        if (scratch(me).sparse.space.bad_row >= 0) bad_row_ = scratch(me).sparse.space.bad_row;
    } else if (gathers) {
        in_pieces(own, me, [&](index_t row, index_t rows) {
            const RowSource& from = batch.x_from;
            gather(*from.m, from.order, from.first + row, rows,
                   x_.data() + row * network_.inputs());
        });
    }
    if (network_.divides_layers(me.count, sparse_)) {
        scratch(me).place.first_row = batch.before;
        if (gathers) me.wait();
        const T* input = whole;
        for (index_t l = first; l < network_.layer_count(); ++l) {
            if (me.goes_on()) {
                network_.layer(l).forward_part(network_.parameters(), input, outputs(l), batch.rows,
                                               me.index, me.count, scratch(me));
            }
            me.wait();
            input = outputs(l);
        }
    } else {
        in_pieces(own, me, [&](index_t row, index_t rows) {
            scratch(me).place.first_row = batch.before + row;
            const T* input =
                whole + row * (first > 0 ? network_.layer(first - 1).outputs() : network_.inputs());
            for (index_t l = first; l < network_.layer_count() && me.goes_on(); ++l) {
                T* const output = outputs(l, row);
                network_.layer(l).forward(network_.parameters(), input, output, rows, scratch(me));
                input = output;
            }
        });
    }
}

template <class T>
void Trainer<T>::find_losses(const Samples& samples, const int64_t* order, MiniBatch batch,
                             Range own, const Member& me) {
    const index_t rows = own.size(), at = batch.first + own.begin;
    const index_t last = network_.layer_count() - 1, n_out = network_.outputs();
    Target<T> target;
    if (samples.labels) {
        int64_t* const labels = labels_.data() + own.begin;
        const index_t classes = network_.loss().classes(n_out);
        if (!read_labels(samples.labels, order, at, rows, classes, labels)) {
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
    RowWeights<T> weights{batch.weight.scaled};
    bool usable = true;
    if (samples.weights) {
        T* const values = weights_.data() + own.begin;
        for (index_t i = 0; i < rows; ++i) {
            const double weight = samples.weights[order ? order[at + i] : at + i];
            usable &= weight >= 0;
            values[i] = static_cast<T>(batch.weight.of(weight));
        }
        weights.weights = values;
    }
    network_.loss().rows(outputs(last, own.begin), target, rows, n_out, weights,
                         deltas(last, own.begin), losses_.data() + own.begin,
                         smoothed_.data() + own.begin * n_out);
    // An infinite input can give a finite loss (a saturated sigmoid, a ReLU that is off), but its
    // gradient is NaN.
    const bool finite = sparse_ ? scratch(me).sparse.finite && scratch(me).sparse.space.bad_row < 0
                                : kernels<T>().all_finite(batch.x + own.begin * network_.inputs(),
                                                          rows * network_.inputs());
    if (!finite || !usable) losses_.data()[own.begin] = std::numeric_limits<T>::quiet_NaN();
}

template <class T>
Changed Trainer<T>::find_changed_label(const Samples& samples, const int64_t* order,
                                       const MiniBatch& batch) const {
    if (!samples.labels) return {};
    const index_t classes = network_.loss().classes(network_.outputs());
    const index_t i = find_bad_label(labels_.data(), batch.rows, classes);
    if (i < 0) return {};
    const index_t at = batch.first + i;
    return {order ? static_cast<index_t>(order[at]) : at, true, labels_.data()[i]};
}

template <class T>
void Trainer<T>::back(index_t lowest, MiniBatch batch, T* dx, const Member& me) {
    const Range own = part(batch.rows, me.index, me.count);
    const index_t last = network_.layer_count() - 1;
    const bool divides_layers = network_.divides_layers(me.count, sparse_);
    const auto differentiate = [&](index_t row, index_t rows) {
        differentiate_settled(network_.layer(last).activation(), outputs(last, row),
                              deltas(last, row), rows * network_.outputs());
    };
    // (f: of a layer, and what it reads and writes.)
    const auto each_layer = [&](auto f) {
        for (index_t l = last; dx ? l >= 0 : l > lowest; --l) {
            const Layer<T>& layer = network_.layer(l);
            const bool is_first = l == 0;
            const Activation below =
                is_first ? Activation::identity : network_.layer(l - 1).activation();
            const T* const x = is_first ? batch.x : outputs(l - 1);
            T* const target = is_first ? dx : deltas(l - 1);
            f(l, layer, below, x, target);
        }
    };
    if (divides_layers) {
        differentiate(own.begin, own.size());
        each_layer([&](index_t l, const Layer<T>& layer, Activation below, const T* x, T* target) {
            me.wait();
            if (!me.goes_on()) return;
            layer.backward_part(network_.parameters(), deltas(l), x, below, target, batch.rows,
                                me.index, me.count, scratch(me));
        });
        return;
    }
    in_pieces(own, me, [&](index_t row, index_t rows) {
        differentiate(row, rows);
        scratch(me).place.first_row = batch.before + row;
        each_layer([&](index_t l, const Layer<T>& layer, Activation below, const T* x, T* target) {
            if (!me.goes_on()) return;
            const index_t before = row * layer.inputs();
            layer.backward(network_.parameters(), deltas(l, row), x + before, below,
                           target + before, rows, scratch(me));
        });
    });
}

template <class T>
void Trainer<T>::follow_gradients(MiniBatch batch, const Member& me, const Update<T>& update) {
    for (const auto& stage : network_.stages()) {
        const index_t l = stage.layer;
        if (sparse_ && l == network_.stages().front().layer) {
            network_.layer(l).follow_sparse_gradient(batch.sparse, deltas(l), me.index, me.count,
                                                     update, scratch(me));
            const index_t bad_row = scratch(me).sparse.columns.take_bad_row();
            if (bad_row >= 0) bad_row_ = bad_row;
            continue;
        }
        const T* const x = l == 0 ? batch.x : outputs(l - 1);
        network_.layer(l).follow_gradient(x, deltas(l), batch.rows, me.index, me.count, update,
                                          scratch(me));
    }
}

template <class T>
bool Trainer<T>::follow_clipped(MiniBatch batch, const Member& me, Update<T> update, double most) {
    T* const gradient = gradient_.data();
    Update<T> whole = update;
    whole.rule = Rule::copy;
    whole.w = gradient;
    follow_gradients(batch, me, whole);
    me.wait();
    const index_t n = network_.parameter_count(), pieces = (n + clip_piece - 1) / clip_piece;
    const Range own = part(pieces, me.index, me.count);
    const auto size = [&](index_t piece) { return std::min(clip_piece, n - piece * clip_piece); };
    for (index_t i = own.begin; i < own.end; ++i) {
        squares_.data()[i] = kernels<T>().sum_squares(gradient + i * clip_piece, size(i));
    }
    me.wait();
    double length = std::sqrt(sum_in_order(squares_.data(), pieces)), limit = most;
    if (!std::isfinite(length)) {
        // The squares of finite values may overflow: those of so small a part of them do not.
        constexpr double small = 0x1p-600;
        me.wait();
        for (index_t i = own.begin; i < own.end; ++i) {
            squares_.data()[i] = small_squares(gradient + i * clip_piece, size(i), small);
        }
        me.wait();
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
bool Trainer<T>::sources_are_finite(MiniBatch batch, const Member& me) {
    const Range own = part(batch.rows, me.index, me.count);
    if (own.size() == 0) return true;
    const auto is_finite = [&](const T* rows, index_t n) {
        return kernels<T>().all_finite(rows, own.size() * n);
    };
    const index_t lowest = network_.stages().front().layer;
    for (const auto& stage : network_.stages()) {
        const index_t l = stage.layer;
        if (!is_finite(deltas(l, own.begin), network_.layer(l).outputs())) return false;
        if (l > 0 && !(sparse_ && l == lowest) &&
            !is_finite(outputs(l - 1, own.begin), network_.layer(l).inputs())) {
            return false;
        }
    }
    return true;
}

template <class T>
bool Trainer<T>::parameters_are_finite(const Optimizer<T>& optimizer, const Member& me) const {
    const Range own = part(network_.parameter_count(), me.index, me.count, 16);
    return kernels<T>().all_finite(optimizer.w + own.begin, own.size());
}

template <class T>
bool Trainer<T>::state_is_finite(const Optimizer<T>& optimizer, const Member& me) const {
    const Range own = part(network_.parameter_count(), me.index, me.count, 16);
    const auto is_finite = [&](const T* x) {
        return !x || kernels<T>().all_finite(x + own.begin, own.size());
    };
    return is_finite(optimizer.w) && is_finite(optimizer.m) && is_finite(optimizer.v);
}

template <class T>
struct Trainer<T>::Common {
    const Samples& samples;
    const Course& course;
    const Optimizer<T>& optimizer;
    const Report& report;
    Matrix beside;    // a sample's target is found by the same index as the sample
    RowStage& stage;  // of column-major samples
    index_t batch_size, lowest, penalty_pieces;
    bool constrained;
    double step_work;
    int wanted;  // threads
    Pace* pace;  // or null: always as many

    CourseResult result{};
    ReportTimer timer{};
    Watch watch{[this] {  // of a step on many rows
        const bool ends = report && report(result);
        if (pace) pace->restart();
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

    bool takes_flags() const { return OverflowFlags::take() || !flags_are_kept; }

    // By the first thread, before step `number`: whether all part here.
    bool parts(index_t number, int threads) {
        const bool changes = pace && number > begin && pace->did_step(seconds_now(), threads == 1);
        if (number > 0 && report && timer.due()) {
            if (report(result)) ended = true;
            if (pace) pace->restart();
        }
        if (ended || wanted == 1 || number == begin) return ended;
        if (changes) return true;
        if (threads == 1) return !is_alone() && gets_more_threads();
        return Stint::had_better_end();
    }

    // Stages the samples of the mini-batch at `first`, and of those after it, unless they are.
    void fill_stage(const int64_t* order, index_t first, const Member& me) {
        if (!stage.is_used() || stage.holds(order, first)) return;
        if (me.index == 0) stage.sort(order, first);
        me.wait();  // (Every thread has seen what the stage held before.)
        if (me.index == 0) {
            stage.hold(order, first);
            if (pace) pace->restart();  // (No other step takes as long.)
        }
        stage.fill(order, first, me.index, me.count);
        me.wait();
    }

    bool is_alone() const { return pace && pace->is_alone(); }

    // Not at once: another fit may only be between two epochs.
    bool gets_more_threads() {
        constexpr double long_enough = 0.005;  // seconds
        const bool before = free;
        free = more_threads_are_free(wanted);
        if (free && !before) freed = Stopwatch();
        return free && freed.seconds() > long_enough;
    }
};

// A step is two phases with a meeting after each: every thread takes some rows forward and back,
// then some of the parameters. Within a phase nobody reads what another writes. (Where layers are
// divided, the first phase has a meeting after each of them.)
template <class T>
bool Trainer<T>::step(Common& c, const int64_t* order, index_t number, index_t first,
                      const Member& team) {
    Member me = team;
    const Course& course = c.course;
    const int index = me.index, threads = me.count;
    CourseResult& result = c.result;
    if (index == 0) c.leave = c.parts(number, threads);
    if (threads == 1 && c.leave) return false;
    const index_t left = course.count - first;
    c.fill_stage(order, first, me);
    const MiniBatch batch =
        mini_batch(c.samples, order, first, std::min(c.batch_size, left), c.stage);
    if (batch.x_from.order && kernels<T>().asks_ahead) {
        const Range next = part(std::min(c.batch_size, left - batch.rows), index, threads);
        scratch(me).ahead = ask_ahead(c.samples.x, c.beside, order, first + batch.rows + next.begin,
                                      next.size(), c.step_work / threads);
    }
    const Range own = part(batch.rows, index, threads);
    const bool updates = c.optimizer.rule != Rule::copy;
    if (updates && number == 0 && !parameters_are_finite(c.optimizer, me)) c.bad_parameters = true;
    if (batch.rows > watched_rows) me.watch = &c.watch;
    scratch(me).place = {course.training, course.key,
                         course.first_step + static_cast<uint64_t>(number)};
    forward(batch, me);
    in_pieces(own, me, [&](index_t row, index_t rows) {
        find_losses(c.samples, order, batch, {row, row + rows}, me);
    });
    back(c.lowest, batch, nullptr, me);
    const Range pieces = part(c.penalty_pieces, index, threads);
    for (index_t i = pieces.begin; i < pieces.end; ++i) {
        penalties_.data()[i] = network_.penalty(i);
    }
    if (updates && c.takes_flags()) c.suspect_gradient = number;
    if (index == 0) c.weight = batch.weight;
    if (index == 0 && c.watch.stopped()) c.leave = c.ended = true;
    me.wait();
    // What follows is the same for every thread: thread 0 wrote `leave` and `weight` before the
    // meeting and will not until the next, and the sums have one order.
    if (c.leave) return false;
    const double rows = static_cast<double>(batch.rows);
    double loss = kernels<T>().sum(losses_.data(), batch.rows), penalty = 0, factor = 1;
    if (c.samples.weights) {
        const double weight = c.weight.scaled;
        loss = weight > 0 ? loss / weight * rows : 0 * loss;
    }
    if (c.penalty_pieces > 0) {
        if (course.penalty_by_weight) {
            const double weight = c.weight.value();
            factor = weight > 0 ? 1 / weight : 0;
        }
        penalty = sum_in_order(penalties_.data(), c.penalty_pieces) * factor * rows;
        loss += penalty;
    }
    Update<T> update = c.optimizer.step(number);
    update.p = network_.parameters();
    update.l1 = update.l2 = static_cast<T>(factor);
    Failure failure = Failure::none;
    if (!std::isfinite(loss)) {
        failure = Failure::loss;
    } else if (c.bad_parameters) {
        failure = Failure::parameters;
    } else if (!std::isfinite(update.rate) || !std::isfinite(update.keep)) {
        failure = Failure::rate;
    } else if (c.suspect_gradient == number) {
        if (!sources_are_finite(batch, me)) c.bad_gradient = true;
        me.wait();
        if (c.bad_gradient) failure = Failure::gradient;
    }
    if (failure == Failure::none) {
        if (c.optimizer.clip_norm > 0) {
            if (!follow_clipped(batch, me, update, c.optimizer.clip_norm)) {
                failure = Failure::gradient;
            }
        } else {
            // (A gradient may be left half done, an update may not.)
            scratch(me).watcher = me.watch && update.rule == Rule::copy ? &me : nullptr;
            follow_gradients(batch, me, update);
            scratch(me).watcher = nullptr;
            if (index == 0 && c.watch.stopped()) c.ended = true;
        }
    }
    if (failure == Failure::none) {
        if (c.constrained) {
            me.wait();
            for (const auto& stage : network_.stages()) {
                network_.layer(stage.layer).constrain(c.optimizer.w, index, threads);
            }
        }
        if (updates && c.takes_flags()) c.suspect_update = number;
        me.wait();
        if (c.suspect_update == number) {
            if (!state_is_finite(c.optimizer, me)) c.bad_update = true;
            me.wait();
            if (c.bad_update) failure = Failure::update;
        }
    }
    const auto count_step = [&] {
        result.steps += 1;
        if (course.optimizer_counter) *course.optimizer_counter += 1;
        if (course.noise_counter) *course.noise_counter += 1;
    };
    if (failure != Failure::none) {
        if (index == 0) {
            result.failure = failure;
            result.bad_loss = loss / rows;
            if (failure == Failure::update) count_step();
            result.changed =
                label_bad_ ? find_changed_label(c.samples, order, batch) : Changed{bad_row_};
            c.ended = true;
        }
        return false;
    }
    if (index == 0) {
        if (update.rule == Rule::copy) {
            const T* const losses = losses_.data();
            const double largest = *std::max_element(losses, losses + batch.rows);
            result.largest_loss = std::ldexp(largest, batch.weight.exponent);
        }
        result.figures.loss += loss;
        result.figures.penalty += penalty;
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
double Trainer<T>::operations_of_step(const Samples& samples, const Optimizer<T>& optimizer,
                                      index_t batch_size) const {
    if (!sparse_) return network_.step_operations() * static_cast<double>(batch_size);
    const CsrMatrix& x = *samples.sparse;
    const double stored = static_cast<double>(x.start(x.rows) - x.start(0)) /
                          static_cast<double>(std::max<index_t>(x.rows, 1));
    const double operations = network_.step_operations(stored) * static_cast<double>(batch_size);
    const bool leaves_most = optimizer.rule == Rule::sgd && optimizer.weight_decay == 0 &&
                             network_.penalty_pieces() == 0 && optimizer.clip_norm == 0;
    // (An update from memory takes about as long as so many operations.)
    constexpr double per_parameter = 16;
    return leaves_most
               ? operations
               : operations + per_parameter * static_cast<double>(network_.parameter_count());
}

template <class T>
CourseResult Trainer<T>::run(const Samples& samples, const Course& course,
                             const Optimizer<T>& optimizer, EpochFigures* figures,
                             const Report& report) {
    const index_t count = course.count, batch_size = std::min(course.batch_size, count);
    sparse_ = samples.sparse != nullptr;
    bad_row_ = -1;
    label_bad_ = false;
    const double operations = operations_of_step(samples, optimizer, batch_size);
    const int wanted =
        threads_for(operations, network_.parts(batch_size, sparse_), worth_a_thread_in_training);
    RowStage stage;
    stage.begin(samples.x, staged_type<T>(samples.x), samples.targets,
                staged_type<T>(samples.targets), batch_size, count, course.order != nullptr);
    const RowSource first_rows = stage.x({&samples.x, course.order, 0});
    const bool gathers = first_rows.order || !in_place<T>(*first_rows.m, 0);
    prepare(batch_size, gathers && !sparse_, wanted);
    if (sparse_) prepare_sparse(samples, course, batch_size, wanted);
    if (optimizer.clip_norm > 0) {
        const index_t n = network_.parameter_count();
        T* const gradient = gradient_.reserve(n);
        std::fill(gradient, gradient + n, T(0));  // between the layers nothing else writes
        squares_.reserve((n + clip_piece - 1) / clip_piece);
    }

    Matrix beside = stage.stages_targets() ? Matrix() : samples.targets;
    if (samples.labels) {
        beside.data = reinterpret_cast<const char*>(samples.labels);
        beside.row_stride = sizeof(int64_t);
    }
    Common common{samples,
                  course,
                  optimizer,
                  report,
                  beside,
                  stage,
                  batch_size,
                  network_.stages().front().layer,
                  network_.penalty_pieces(),
                  network_.is_constrained() && optimizer.rule != Rule::copy,
                  operations / 2,
                  wanted,
                  wanted > 1 && may_adapt() ? &pace_ : nullptr};
    if (common.pace) pace_.begin(operations, wanted);
    CourseResult& result = common.result;
    const index_t batches = (count + batch_size - 1) / batch_size;
    const auto go_on = [&](int index, int threads) {
        const Member me{index, threads, common.barrier};
        OverflowFlags::take();  // (those of before)
        index_t i = common.begin % batches;
        for (index_t epoch = common.begin / batches; epoch < course.epochs; ++epoch, i = 0) {
            const int64_t* const order = course.order ? course.order + epoch * count : nullptr;
            if (index == 0 && i == 0) {
                common.epoch = Stopwatch();
                result.figures = {};
                result.samples = result.batches = 0;
            }
            for (; i < batches; ++i) {
                const index_t number = epoch * batches + i;
                if (!step(common, order, number, i * batch_size, me)) return;
            }
            if (index == 0) {
                result.figures.seconds = common.epoch.seconds();
                if (figures) figures[epoch] = result.figures;
                result.epochs += 1;
            }
        }
    };
    while (!common.ended && result.epochs < course.epochs) {
        common.begin = result.steps;
        common.leave = common.free = false;
        if (common.pace) pace_.restart();
        run_team(common.is_alone() ? 1 : wanted, go_on);
    }
    return result;
}

template <class T>
Changed Trainer<T>::predict_in_training(const Samples& samples, const Place& place, T* out,
                                        Watch* watch) {
    sparse_ = samples.sparse != nullptr;
    const index_t count = samples.x.rows, n_out = network_.outputs();
    const index_t block = sparse_ ? count : std::min(block_rows, count);
    const index_t last = network_.layer_count() - 1;
    const int wanted = threads_for(network_.forward_operations() * static_cast<double>(block),
                                   network_.parts(block), worth_a_thread_in_training);
    prepare(block, !sparse_ && !in_place<T>(samples.x, 0), wanted);
    if (sparse_) {
        Course course;
        course.count = count;
        prepare_sparse(samples, course, block, wanted);
    }
    const RowStage no_stage;  // (Rows in their own order are copied by tiles as they are.)
    Barrier barrier;
    bool leave[2] = {};  // after a block of even or odd number: written before they meet
    run_team(wanted, [&](int index, int threads) {
        const Member me{index, threads, barrier, watch};
        scratch(me).ahead = {};
        scratch(me).place = place;
        for (index_t first = 0; first < count; first += block) {
            MiniBatch batch =
                mini_batch(samples, nullptr, first, std::min(block, count - first), no_stage);
            batch.before = first;
            const Range own = part(batch.rows, index, threads);
            forward(batch, me);
            const T* const rows = outputs(last, own.begin);
            T* const to = out + (first + own.begin) * n_out;
            std::copy(rows, rows + own.size() * n_out, to);
            if (own.size() > 0) network_.loss().predict(to, own.size(), n_out);
            bool& leaves = leave[first / block % 2];
            if (index == 0) leaves = !me.goes_on();
            me.wait();
            if (leaves) return;
        }
    });
    return {sparse_ ? bad_row_.load() : -1};
}

template <class T>
Changed Trainer<T>::differentiate_inputs(const Samples& samples, const T* dout, T* dx,
                                         const Optimizer<T>* gradient, const Place& place,
                                         Watch* watch) {
    // The parameters' gradient is a sum over all rows at once; without it a block of rows will do.
    const index_t count = samples.x.rows, n_in = network_.inputs(), n_out = network_.outputs();
    const index_t block = gradient ? count : std::min(block_rows, count);
    const index_t last = network_.layer_count() - 1;
    sparse_ = false;
    label_bad_ = false;
    Changed changed;
    const int wanted = threads_for(network_.step_operations() * static_cast<double>(block),
                                   network_.parts(block), worth_a_thread_in_training);
    prepare(block, !in_place<T>(samples.x, 0), wanted);
    const RowStage no_stage;
    const WeightSum weight = samples.weights ? sum_weights(samples.weights, nullptr, 0, count)
                                             : WeightSum{static_cast<double>(count)};
    Barrier barrier;
    bool leave = false;  // written before they meet after each block
    run_team(wanted, [&](int index, int threads) {
        const Member me{index, threads, barrier, watch};
        scratch(me).ahead = {};
        scratch(me).place = place;
        for (index_t first = 0; first < count; first += block) {
            MiniBatch batch =
                mini_batch(samples, nullptr, first, std::min(block, count - first), no_stage);
            batch.weight = weight;
            batch.before = first;
            const Range own = part(batch.rows, index, threads);
            forward(batch, me);
            in_pieces(own, me, [&](index_t row, index_t rows) {
                if (!dout) {
                    find_losses(samples, nullptr, batch, {row, row + rows}, me);
                    return;
                }
                const T* const given = dout + (first + row) * n_out;
                T* const out = outputs(last, row);
                T* const delta = deltas(last, row);
                network_.loss().predict(out, rows, n_out);
                std::copy(given, given + rows * n_out, delta);
                network_.loss().predict_backward(out, delta, rows, n_out);
            });
            back(0, batch, dx + first * n_in, me);
            if (index == 0) leave = !me.goes_on();
            me.wait();
            if (leave) return;
            if (label_bad_) {  // (No thread sets it before the next meeting.)
                if (index == 0) changed = find_changed_label(samples, nullptr, batch);
                return;
            }
            if (gradient) {
                scratch(me).watcher = &me;
                follow_gradients(batch, me, gradient->step(0));
                scratch(me).watcher = nullptr;
            }
            me.wait();
        }
    });
    return changed;
}

template class Trainer<float>;
template class Trainer<double>;

}  // namespace pynn
