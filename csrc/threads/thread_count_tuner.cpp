#include "threads/thread_count_tuner.h"

#include <algorithm>

namespace pynn {
namespace {

// An interval that is measured. The step before it is not, since the caches are cold then.
constexpr int min_steps = 3;
constexpr double min_measured_seconds = 0.001;
// A longer step has enough work for its threads, and a trial of it is expensive.
constexpr double max_step_seconds = 0.0012;
// Training before the first trial and between two, so that trials take a few percent at most.
constexpr double first_trial_after = 0.005, min_trial_interval = 0.03, max_trial_interval = 0.25;
constexpr int min_steps_between_trials = 30;
constexpr double trial_wins_below = 0.95, retry_above = 1.25;

}  // namespace

void ThreadCountTuner::begin(double flops, int threads) {
    if (flops != flops_ || threads != threads_) {
        *this = ThreadCountTuner();
        flops_ = flops;
        threads_ = threads;
        trial_interval_ = min_trial_interval;
        next_trial_ = first_trial_after;
    } else if (in_trial_) {
        decide(true);  // (a series of short fits would stay in its trial forever)
    }
    restart();
}

void ThreadCountTuner::decide(bool change) {
    in_trial_ = false;
    if (change) serial_ = !serial_;
    decided_at_ = trained_seconds_;
    next_trial_ = trained_seconds_ + trial_interval_;
}

bool ThreadCountTuner::record_step(double now, bool alone) {
    if (alone != serial_) {  // other callers have the threads
        restart();
        return false;
    }
    if (!warmed_up_) {
        warmed_up_ = true;
        interval_start_ = now;
        interval_steps_ = 0;
        return false;
    }
    ++interval_steps_;
    if (interval_steps_ < min_steps || now - interval_start_ < min_measured_seconds) return false;
    const double time = (now - interval_start_) / interval_steps_;
    trained_seconds_ += now - interval_start_;
    interval_start_ = now;
    interval_steps_ = 0;
    if (in_trial_) {
        const bool wins = time < trial_wins_below * step_times_[!serial_];
        step_times_[serial_] = time;
        trial_interval_ =
            wins ? min_trial_interval : std::min(2 * trial_interval_, max_trial_interval);
        decide(!wins);
        return !wins;
    }
    if (time > max_step_seconds || trained_seconds_ < decided_at_ + min_steps_between_trials * time)
        return false;
    const bool slowed_down = step_times_[serial_] > 0 &&
                             time > retry_above * step_times_[serial_] &&
                             trained_seconds_ > decided_at_ + min_trial_interval;
    if (trained_seconds_ < next_trial_ && !slowed_down) return false;
    step_times_[serial_] = time;
    in_trial_ = true;
    serial_ = !serial_;
    return true;
}

}  // namespace pynn
