#include "nn/crowd.h"

#include <algorithm>
#include <chrono>
#include <cstdlib>

namespace pynn {
namespace {

Crowd crowd;

thread_local Stint* stint = nullptr;  // of the calling thread

}  // namespace

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

void Crowd::note(double now, double share, double worked, double waited) {
    constexpr double memory = 0.05;                 // what is longer ago counts less and less
    constexpr double enough = 0.001;                // waiting that means something
    constexpr double shortest = 0.01, longest = 1;  // pauses
    constexpr double efficiency = 0.85;             // of threads that read each other's results
    const std::lock_guard<std::mutex> lock(mutex_);
    alone_ += efficiency * worked / share;
    spent_ += worked + waited;
    waited_ += waited;
    const double remembered = std::min(1.0, memory / std::max(spent_, memory));
    alone_ *= remembered;
    spent_ *= remembered;
    waited_ *= remembered;
    if (waited_ < enough || spent_ < alone_) return;
    // Who is crowded again soon after a pause makes a longer one.
    const double until = until_.load(std::memory_order_relaxed);
    pause_ = now < until + pause_ ? std::min(longest, 2 * pause_) : shortest;
    until_.store(now + pause_, std::memory_order_relaxed);
    alone_ = spent_ = waited_ = 0;
}

bool crowd_is_near() { return crowd.is_near(seconds_now()); }
bool crowd_keeps_alone() { return may_adapt() && crowd.keeps_alone(seconds_now()); }

Stint::Stint(int count) : outer_(stint), share_(1.0 / count), since_(seconds_now()) {
    stint = this;
}
Stint::~Stint() {
    settle(seconds_now());
    stint = outer_;
}

void Stint::settle(double now) {
    crowd.note(now, share_, now - since_ - waited_, waited_);
    since_ = now;
    waited_ = 0;
}

bool Stint::had_better_end() {
    if (stint->waited_ == 0) return false;
    const double now = seconds_now();
    stint->settle(now);
    return may_adapt() && crowd.keeps_alone(now);
}

void Stint::did(double share) {
    // (Who did nothing has nothing to go by.)
    if (share > 0) stint->share_ = share;
}

Waiting::Waiting() : start_(stint ? seconds_now() : 0) {}
Waiting::~Waiting() {
    if (stint) stint->waited_ += seconds_now() - start_;
}

}  // namespace pynn
