#include "nn/crowd.h"

#include <algorithm>
#include <chrono>
#include <cstdlib>

namespace pynn {
namespace {

Crowd crowd;

thread_local Stint* stint = nullptr;  // of the calling thread

// OpenMP's word for it: OMP_DYNAMIC=false asks for as many threads as were set.
bool may_adapt() {
    static const bool may = [] {
        const char* const dynamic = std::getenv("OMP_DYNAMIC");
        return !dynamic || (*dynamic != 'f' && *dynamic != 'F');
    }();
    return may;
}

double seconds_now() {
    const auto now = std::chrono::steady_clock::now().time_since_epoch();
    return std::chrono::duration<double>(now).count();
}

}  // namespace

void Crowd::note(double now, int count, double worked, double waited) {
    constexpr double memory = 0.05;                 // what is longer ago counts less and less
    constexpr double enough = 0.001;                // waiting that means something
    constexpr double shortest = 0.01, longest = 1;  // pauses
    constexpr double efficiency = 0.8;              // of threads that share a step
    const std::lock_guard<std::mutex> lock(mutex_);
    worked_ += worked;
    waited_ += waited;
    const double forgotten = std::min(1.0, memory / std::max(worked_ + waited_, memory));
    worked_ *= forgotten;
    waited_ *= forgotten;
    // One thread would take `efficiency` count worked_ for what took worked_ + waited_.
    if (waited_ < enough || waited_ < (efficiency * count - 1) * worked_) return;
    // Who is crowded again soon after a pause makes a longer one.
    const double until = until_.load(std::memory_order_relaxed);
    pause_ = now < until + pause_ ? std::min(longest, 2 * pause_) : shortest;
    until_.store(now + pause_, std::memory_order_relaxed);
    worked_ = waited_ = 0;
}

bool crowd_keeps_alone() { return may_adapt() && crowd.keeps_alone(seconds_now()); }

Stint::Stint(int count) : outer_(stint), count_(count), since_(seconds_now()) { stint = this; }
Stint::~Stint() {
    settle(seconds_now());
    stint = outer_;
}

void Stint::settle(double now) {
    crowd.note(now, count_, now - since_ - waited_, waited_);
    since_ = now;
    waited_ = 0;
}

bool Stint::had_better_end() {
    if (stint->waited_ == 0) return false;
    const double now = seconds_now();
    stint->settle(now);
    return may_adapt() && crowd.keeps_alone(now);
}

Waiting::Waiting() : start_(stint ? seconds_now() : 0) {}
Waiting::~Waiting() {
    if (stint) stint->waited_ += seconds_now() - start_;
}

}  // namespace pynn
