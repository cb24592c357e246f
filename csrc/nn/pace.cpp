#include "nn/pace.h"

#include <algorithm>

namespace pynn {
namespace {

// What is measured: after one step, since who has just come finds cold caches.
constexpr int fewest_steps = 3;
constexpr double shortest_measured = 0.001;
// A longer step has enough to do for its threads, and is dear to try.
constexpr double longest_step = 0.0012;
// Before the first trial, and from one to the next: so that trials take a few hundredths at most.
constexpr double before = 0.005, shortest_hold = 0.03, longest_hold = 0.25;
constexpr int steps_between = 30;
constexpr double better = 0.95, worse = 1.25;

}  // namespace

void Pace::begin(double operations, int threads) {
    if (operations != operations_ || threads != threads_) {
        *this = Pace();
        operations_ = operations;
        threads_ = threads;
        hold_ = shortest_hold;
        next_ = before;
    } else if (trying_) {
        decide(true);  // (What trains for too short a time would stay in its trial for ever.)
    }
    restart();
}

void Pace::decide(bool change) {
    trying_ = false;
    if (change) alone_ = !alone_;
    decided_ = trained_;
    next_ = trained_ + hold_;
}

bool Pace::did_step(double now, bool alone) {
    if (alone != alone_) {  // others have the threads
        restart();
        return false;
    }
    if (!warm_) {
        warm_ = true;
        start_ = now;
        steps_ = 0;
        return false;
    }
    ++steps_;
    if (steps_ < fewest_steps || now - start_ < shortest_measured) return false;
    const double time = (now - start_) / steps_;
    trained_ += now - start_;
    start_ = now;
    steps_ = 0;
    if (trying_) {
        const bool keeps = time < better * times_[!alone_];
        times_[alone_] = time;
        hold_ = keeps ? shortest_hold : std::min(2 * hold_, longest_hold);
        decide(!keeps);
        return !keeps;
    }
    if (time > longest_step || trained_ < decided_ + steps_between * time) return false;
    const bool has_changed =
        times_[alone_] > 0 && time > worse * times_[alone_] && trained_ > decided_ + shortest_hold;
    if (trained_ < next_ && !has_changed) return false;
    times_[alone_] = time;
    trying_ = true;
    alone_ = !alone_;
    return true;
}

}  // namespace pynn
