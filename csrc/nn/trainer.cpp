#include "nn/trainer.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>

#include "dispatch/dispatch.h"

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

}  // namespace

template <class T>
void Trainer<T>::prepare(index_t batch, int threads) {
    const std::size_t layers = static_cast<std::size_t>(network_.layer_count());
    if (outputs_.size() < layers) {
        outputs_ = std::vector<Buffer<T>>(layers);
        deltas_ = std::vector<Buffer<T>>(layers);
    }
    for (std::size_t l = 0; l < layers; ++l) {
        const index_t n = network_.layer(static_cast<index_t>(l)).outputs();
        outputs_[l].reserve(batch * n);
        deltas_[l].reserve(batch * n);
    }
    x_.reserve(batch * network_.inputs());
    targets_.reserve(batch * network_.outputs());
    labels_.reserve(batch);
    losses_.reserve(batch);
    if (scratch_.size() < static_cast<std::size_t>(threads)) {
        scratch_ = std::vector<Scratch<T>>(static_cast<std::size_t>(threads));
    }
    for (Scratch<T>& scratch : scratch_) {
        for (index_t l = 0; l < network_.layer_count(); ++l) {
            network_.layer(l).reserve(batch, scratch);
        }
    }
}

template <class T>
void Trainer<T>::forward_and_back(const Samples& samples, const int64_t* order, MiniBatch batch,
                                  Range own, Scratch<T>& scratch) {
    const index_t rows = own.size(), at = batch.first + own.begin;
    if (rows == 0) return;
    const T* const input = batch.x + own.begin * network_.inputs();
    if (batch.x == x_.data()) {
        gather(samples.x, order, at, rows, x_.data() + own.begin * network_.inputs());
    }

    const index_t last = network_.layer_count() - 1, n_out = network_.outputs();
    const T* const parameters = network_.parameters();
    const auto outputs = [&](index_t l) {
        return outputs_[static_cast<std::size_t>(l)].data() +
               own.begin * network_.layer(l).outputs();
    };
    const auto deltas = [&](index_t l) {
        return deltas_[static_cast<std::size_t>(l)].data() +
               own.begin * network_.layer(l).outputs();
    };
    for (index_t l = 0; l <= last; ++l) {
        network_.layer(l).forward(parameters, l == 0 ? input : outputs(l - 1), outputs(l), rows,
                                  scratch);
    }

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
        gather(samples.targets, order, at, rows, values);
        target.values = values;
    }
    network_.loss().rows(outputs(last), target, rows, n_out, batch.rows, deltas(last),
                         losses_.data() + own.begin);
    // An infinite input can give a finite loss (a saturated sigmoid, a ReLU that is off), but its
    // gradient is NaN.
    if (!kernels<T>().all_finite(input, rows * network_.inputs())) {
        losses_.data()[own.begin] = std::numeric_limits<T>::quiet_NaN();
        return;
    }
    differentiate(network_.layer(last).activation(), outputs(last), deltas(last), rows * n_out);

    for (index_t l = last; l > 0; --l) {
        network_.layer(l).backward(parameters, deltas(l), outputs(l - 1),
                                   network_.layer(l - 1).activation(), deltas(l - 1), rows,
                                   scratch);
    }
}

template <class T>
void Trainer<T>::follow_gradients(MiniBatch batch, int index, int count, const Update<T>& update) {
    for (index_t l = 0; l < network_.layer_count(); ++l) {
        const T* const x = l == 0 ? batch.x : outputs_[static_cast<std::size_t>(l - 1)].data();
        network_.layer(l).follow_gradient(x, deltas_[static_cast<std::size_t>(l)].data(),
                                          batch.rows, index, count, update,
                                          scratch_[static_cast<std::size_t>(index)]);
    }
}

template <class T>
EpochResult Trainer<T>::run(const Samples& samples, const int64_t* order, index_t count,
                            index_t batch_size, const Optimizer<T>& optimizer,
                            const Report& report) {
    batch_size = std::min(batch_size, count);
    const int wanted = threads_for(network_.step_operations() * static_cast<double>(batch_size),
                                   batch_size / 8, worth_a_thread_in_training);
    prepare(batch_size, wanted);

    // A sample's target is found by the same index as the sample.
    Matrix beside = samples.targets;
    if (samples.labels) {
        beside.data = reinterpret_cast<const char*>(samples.labels);
        beside.row_stride = sizeof(int64_t);
    }
    const double step_work = network_.step_operations() / 2 * static_cast<double>(batch_size);

    EpochResult result;
    ReportTimer timer;
    Barrier barrier;
    bool stop = false;
    // A step is two phases with a meeting after each: every thread takes some rows forward and
    // back, then some of the parameters. Within a phase nobody reads what another writes.
    run_team(wanted, [&](int index, int threads) {
        Scratch<T>& scratch = scratch_[static_cast<std::size_t>(index)];
        for (index_t first = 0; first < count; first += batch_size) {
            if (index == 0 && first > 0 && report && timer.due()) stop = report(result);
            if (threads == 1 && stop) break;
            const T* const there = order ? nullptr : in_place<T>(samples.x, first);
            const MiniBatch batch{first, std::min(batch_size, count - first),
                                  there ? there : x_.data()};
            if (order) {
                const Range next =
                    part(std::min(batch_size, count - first - batch.rows), index, threads);
                scratch.ahead = ask_ahead(samples.x, beside, order, first + batch.rows + next.begin,
                                          next.size(), step_work / threads);
            }
            forward_and_back(samples, order, batch, part(batch.rows, index, threads), scratch);
            barrier.wait(threads);
            // What follows is the same for every thread: thread 0 wrote `stop` before the
            // meeting and will not until the next, and the sum has one order.
            if (stop) break;
            const double loss = kernels<T>().sum(losses_.data(), batch.rows);
            if (!std::isfinite(loss)) {
                if (index == 0) {
                    result.finite = false;
                    result.bad_loss = loss / static_cast<double>(batch.rows);
                }
                break;
            }
            follow_gradients(batch, index, threads, optimizer.step(first / batch_size));
            barrier.wait(threads);
            if (index == 0) {
                result.loss += loss;
                result.samples += batch.rows;
                result.batches += 1;
            }
        }
    });
    return result;
}

template class Trainer<float>;
template class Trainer<double>;

}  // namespace pynn
