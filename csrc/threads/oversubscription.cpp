#include "threads/oversubscription.h"

#include <algorithm>
#include <chrono>
#include <cstdlib>

namespace pynn {
namespace {

OversubscriptionMonitor monitor;

thread_local TeamTimer* team_timer = nullptr;  // of the calling thread

}  // namespace

// OMP_DYNAMIC=false demands as many threads as were set.
bool may_use_fewer_threads() {
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

void OversubscriptionMonitor::record(double now, double share, double worked, double waited) {
    constexpr double memory = 0.05;                 // older intervals count less and less
    constexpr double enough = 0.001;                // shorter waits are ignored
    constexpr double shortest = 0.01, longest = 1;  // serial periods
    constexpr double efficiency = 0.85;             // of threads that read each other's results
    const std::lock_guard<std::mutex> lock(mutex_);
    serial_seconds_ += efficiency * worked / share;
    team_seconds_ += worked + waited;
    wait_seconds_ += waited;
    const double remembered = std::min(1.0, memory / std::max(team_seconds_, memory));
    serial_seconds_ *= remembered;
    team_seconds_ *= remembered;
    wait_seconds_ *= remembered;
    if (wait_seconds_ < enough || team_seconds_ < serial_seconds_) return;
    // Oversubscribed again soon after a serial period: make the next one longer.
    const double until = serial_until_.load(std::memory_order_relaxed);
    serial_period_ =
        now < until + serial_period_ ? std::min(longest, 2 * serial_period_) : shortest;
    serial_until_.store(now + serial_period_, std::memory_order_relaxed);
    serial_seconds_ = team_seconds_ = wait_seconds_ = 0;
}

bool recently_oversubscribed() { return monitor.was_recent(seconds_now()); }
bool should_run_serial() {
    return may_use_fewer_threads() && monitor.should_run_serial(seconds_now());
}

TeamTimer::TeamTimer(int count)
    : enclosing_(team_timer), share_(1.0 / count), since_(seconds_now()) {
    team_timer = this;
}
TeamTimer::~TeamTimer() {
    record_interval(seconds_now());
    team_timer = enclosing_;
}

void TeamTimer::record_interval(double now) {
    monitor.record(now, share_, now - since_ - wait_seconds_, wait_seconds_);
    since_ = now;
    wait_seconds_ = 0;
}

bool TeamTimer::should_disband() {
    if (team_timer->wait_seconds_ == 0) return false;
    const double now = seconds_now();
    team_timer->record_interval(now);
    return may_use_fewer_threads() && monitor.should_run_serial(now);
}

void TeamTimer::set_share(double share) {
    // (A thread that did nothing measured nothing.)
    if (share > 0) team_timer->share_ = share;
}

WaitTimer::WaitTimer() : start_(team_timer ? seconds_now() : 0) {}
WaitTimer::~WaitTimer() {
    if (team_timer) team_timer->wait_seconds_ += seconds_now() - start_;
}

}  // namespace pynn
