#include "nn/trainer.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>

#include "dispatch/dispatch.h"
#include "nn/crowd.h"

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

double sum_in_order(const double* x, index_t n) {
    double total = 0;
    for (index_t i = 0; i < n; ++i) total += x[i];
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
    index_t stored = 0;
    for (index_t epoch = 0; epoch < (course.order ? course.epochs : 1); ++epoch) {
        const int64_t* const order = course.order ? course.order + epoch * course.count : nullptr;
        stored = std::max(stored, most_stored(x, order, course.count, batch));
    }
    const index_t longest = most_stored_in_row(x);
    for (Scratch<T>& scratch : scratch_) {
        network_.layer(network_.stages().front().layer)
            .reserve_sparse(batch, stored, longest, threads, scratch);
    }
}

template <class T>
typename Trainer<T>::MiniBatch Trainer<T>::mini_batch(const Samples& samples, const int64_t* order,
                                                      index_t first, index_t rows,
                                                      const RowStage& stage) const {
    const double weight = samples.weights ? weight_of(samples.weights, order, first, rows)
                                          : static_cast<double>(rows);
    const RowSource targets = stage.targets({&samples.targets, order, first});
    if (sparse_) {
        const bool drops = network_.stages().front().layer > 0;
        const SparseBatch<T> sparse{samples.sparse, order, first, rows,
                                    drops ? &network_.layer(0) : nullptr};
        return {first, rows, nullptr, weight, {}, targets, sparse, 0};
    }
    const RowSource x = stage.x({&samples.x, order, first});
    const T* const there = x.order ? nullptr : in_place<T>(*x.m, x.first);
    return {first, rows, there ? there : x_.data(), weight, x, targets, {}, 0};
}

template <class T>
void Trainer<T>::forward(MiniBatch batch, const Member& me) {
    const Range own = part(batch.rows, me.index, me.count);
    const index_t rows = own.size();
    const bool gathers = sparse_ || batch.x == x_.data();
    const T *whole = batch.x, *input = whole;  // of the first layer that is not yet done
    index_t first = 0;
    if (sparse_) {
        first = network_.stages().front().layer;
        T* const output = outputs(first, own.begin);
        network_.layer(first).forward_sparse(network_.parameters(), batch.sparse, own, output,
                                             scratch(me));
        whole = outputs(first);
        input = output;
        ++first;
    } else {
        input += own.begin * network_.inputs();
        if (gathers && rows > 0) {
            const RowSource& from = batch.x_from;
            gather(*from.m, from.order, from.first + own.begin, rows,
                   x_.data() + own.begin * network_.inputs());
        }
    }
    if (network_.divides_layers(me.count, sparse_)) {
        scratch(me).place.first_row = batch.before;
        if (gathers) me.wait();
        input = whole;
        for (index_t l = first; l < network_.layer_count(); ++l) {
            network_.layer(l).forward_part(network_.parameters(), input, outputs(l), batch.rows,
                                           me.index, me.count, scratch(me));
            me.wait();
            input = outputs(l);
        }
    } else if (rows > 0) {
        scratch(me).place.first_row = batch.before + own.begin;
        for (index_t l = first; l < network_.layer_count(); ++l) {
            T* const output = outputs(l, own.begin);
            network_.layer(l).forward(network_.parameters(), input, output, rows, scratch(me));
            input = output;
        }
    }
}

template <class T>
void Trainer<T>::find_losses(const Samples& samples, const int64_t* order, MiniBatch batch,
                             const Member& me) {
    const Range own = part(batch.rows, me.index, me.count);
    const index_t rows = own.size(), at = batch.first + own.begin;
    const index_t last = network_.layer_count() - 1, n_out = network_.outputs();
    Target<T> target;
    if (samples.labels) {
        if (order) {
            int64_t* const labels = labels_.data() + own.begin;
            for (index_t i = 0; i < rows; ++i) labels[i] = samples.labels[order[at + i]];
            target.labels = labels;
        } else {
            target.labels = samples.labels + at;
        }
    } else {
        T* const values = targets_.data() + own.begin * n_out;
        const RowSource& from = batch.targets_from;
        gather(*from.m, from.order, from.first + own.begin, rows, values);
        target.values = values;
    }
    RowWeights<T> weights{batch.weight};
    if (samples.weights) {
        const int exponent = weight_exponent(batch.weight);
        weights.total = std::ldexp(batch.weight, -exponent);
        T* const values = weights_.data() + own.begin;
        for (index_t i = 0; i < rows; ++i) {
            const double weight = samples.weights[order ? order[at + i] : at + i];
            values[i] = static_cast<T>(exponent ? std::ldexp(weight, -exponent) : weight);
        }
        weights.weights = values;
    }
    network_.loss().rows(outputs(last, own.begin), target, rows, n_out, weights,
                         deltas(last, own.begin), losses_.data() + own.begin,
                         smoothed_.data() + own.begin * n_out);
    // An infinite input can give a finite loss (a saturated sigmoid, a ReLU that is off), but its
    // gradient is NaN.
    const bool finite = sparse_ ? scratch(me).sparse.finite
                                : kernels<T>().all_finite(batch.x + own.begin * network_.inputs(),
                                                          rows * network_.inputs());
    if (!finite) losses_.data()[own.begin] = std::numeric_limits<T>::quiet_NaN();
}

template <class T>
void Trainer<T>::back(index_t lowest, MiniBatch batch, T* dx, const Member& me) {
    const Range own = part(batch.rows, me.index, me.count);
    const index_t last = network_.layer_count() - 1, rows = own.size();
    differentiate_settled(network_.layer(last).activation(), outputs(last, own.begin),
                          deltas(last, own.begin), rows * network_.outputs());
    const bool divides_layers = network_.divides_layers(me.count, sparse_);
    for (index_t l = last; dx ? l >= 0 : l > lowest; --l) {
        const Layer<T>& layer = network_.layer(l);
        const bool is_first = l == 0;
        const Activation below =
            is_first ? Activation::identity : network_.layer(l - 1).activation();
        const T* const x = is_first ? batch.x : outputs(l - 1);
        T* const target = is_first ? dx : deltas(l - 1);
        if (divides_layers) {
            me.wait();
            layer.backward_part(network_.parameters(), deltas(l), x, below, target, batch.rows,
                                me.index, me.count, scratch(me));
        } else if (rows > 0) {
            const index_t before = own.begin * layer.inputs();
            layer.backward(network_.parameters(), deltas(l, own.begin), x + before, below,
                           target + before, rows, scratch(me));
        }
    }
}

template <class T>
void Trainer<T>::follow_gradients(MiniBatch batch, const Member& me, const Update<T>& update) {
    for (const auto& stage : network_.stages()) {
        const index_t l = stage.layer;
        if (sparse_ && l == network_.stages().front().layer) {
            network_.layer(l).follow_sparse_gradient(batch.sparse, deltas(l), me.index, me.count,
                                                     update, scratch(me));
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
    const double length = std::sqrt(sum_in_order(squares_.data(), pieces));
    if (!std::isfinite(length)) return false;
    update.l1 = update.l2 = T(0);  // (They are in the gradient.)
    for (index_t i = own.begin; i < own.end; ++i) {
        T* const g = gradient + i * clip_piece;
        if (length > most) kernels<T>().scale(static_cast<T>(most / length), g, g, size(i));
        kernels<T>().update(update, g, i * clip_piece, size(i));
    }
    return true;
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
    Stopwatch epoch{};
    Barrier barrier{};
    index_t begin = 0;   // the team's first step
    bool leave = false;  // the team, which may come together again
    bool ended = false;  // before the last step
    bool free = false;   // other threads have been, since `freed`
    Stopwatch freed{};

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
                      const Member& me) {
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
    scratch(me).place = {course.training, course.key,
                         course.first_step + static_cast<uint64_t>(number)};
    forward(batch, me);
    if (own.size() > 0) find_losses(c.samples, order, batch, me);
    back(c.lowest, batch, nullptr, me);
    const Range pieces = part(c.penalty_pieces, index, threads);
    for (index_t i = pieces.begin; i < pieces.end; ++i) {
        penalties_.data()[i] = network_.penalty(i);
    }
    me.wait();
    // What follows is the same for every thread: thread 0 wrote `leave` before the meeting and will
    // not until the next, and the sums have one order.
    if (c.leave) return false;
    const double rows = static_cast<double>(batch.rows);
    double loss = kernels<T>().sum(losses_.data(), batch.rows), penalty = 0, factor = 1;
    if (c.samples.weights) {
        const double weight = std::ldexp(batch.weight, -weight_exponent(batch.weight));
        loss = weight > 0 ? loss / weight * rows : 0 * loss;
    }
    if (course.penalty_by_weight) factor = batch.weight > 0 ? 1 / batch.weight : 0;
    if (c.penalty_pieces > 0) {
        penalty = sum_in_order(penalties_.data(), c.penalty_pieces) * factor * rows;
        loss += penalty;
    }
    Update<T> update = c.optimizer.step(number);
    update.p = network_.parameters();
    update.l1 = update.l2 = static_cast<T>(factor);
    bool finite = std::isfinite(loss);
    if (finite) {
        if (c.optimizer.clip_norm > 0) {
            finite = follow_clipped(batch, me, update, c.optimizer.clip_norm);
        } else {
            follow_gradients(batch, me, update);
        }
    }
    if (!finite) {
        if (index == 0) {
            result.finite = false;
            result.bad_loss = loss / rows;
            c.ended = true;
        }
        return false;
    }
    me.wait();
    if (c.constrained) {
        for (const auto& stage : network_.stages()) {
            network_.layer(stage.layer).constrain(c.optimizer.w, index, threads);
        }
        me.wait();
    }
    if (index == 0) {
        if (update.rule == Rule::copy) {
            const T* const losses = losses_.data();
            result.largest_loss = *std::max_element(losses, losses + batch.rows);
        }
        result.figures.loss += loss;
        result.figures.penalty += penalty;
        result.samples += batch.rows;
        result.batches += 1;
        result.steps += 1;
        if (course.optimizer_counter) *course.optimizer_counter += 1;
        if (course.noise_counter) *course.noise_counter += 1;
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
void Trainer<T>::predict_in_training(const Samples& samples, const Place& place, T* out) {
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
    run_team(wanted, [&](int index, int threads) {
        const Member me{index, threads, barrier};
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
            me.wait();
        }
    });
}

template <class T>
void Trainer<T>::differentiate_inputs(const Samples& samples, const T* dout, T* dx,
                                      const Optimizer<T>* gradient, const Place& place) {
    // The parameters' gradient is a sum over all rows at once; without it a block of rows will do.
    const index_t count = samples.x.rows, n_in = network_.inputs(), n_out = network_.outputs();
    const index_t block = gradient ? count : std::min(block_rows, count);
    const index_t last = network_.layer_count() - 1;
    sparse_ = false;
    const int wanted = threads_for(network_.step_operations() * static_cast<double>(block),
                                   network_.parts(block), worth_a_thread_in_training);
    prepare(block, !in_place<T>(samples.x, 0), wanted);
    const RowStage no_stage;
    const double weight = samples.weights ? weight_of(samples.weights, nullptr, 0, count)
                                          : static_cast<double>(count);
    Barrier barrier;
    run_team(wanted, [&](int index, int threads) {
        const Member me{index, threads, barrier};
        scratch(me).ahead = {};
        scratch(me).place = place;
        for (index_t first = 0; first < count; first += block) {
            MiniBatch batch =
                mini_batch(samples, nullptr, first, std::min(block, count - first), no_stage);
            batch.weight = weight;
            batch.before = first;
            const Range own = part(batch.rows, index, threads);
            const index_t rows = own.size();
            forward(batch, me);
            if (rows > 0 && dout) {
                const T* const given = dout + (first + own.begin) * n_out;
                T* const out = outputs(last, own.begin);
                T* const delta = deltas(last, own.begin);
                network_.loss().predict(out, rows, n_out);
                std::copy(given, given + rows * n_out, delta);
                network_.loss().predict_backward(out, delta, rows, n_out);
            } else if (rows > 0) {
                find_losses(samples, nullptr, batch, me);
            }
            back(0, batch, dx + first * n_in, me);
            me.wait();
            if (gradient) follow_gradients(batch, me, gradient->step(0));
            me.wait();
        }
    });
}

template class Trainer<float>;
template class Trainer<double>;

}  // namespace pynn
