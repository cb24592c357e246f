// Early end of a long call, such as for Ctrl-C.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <utility>

namespace pynn {

// The calling thread polls between pieces of its work; the other threads of its team see the
// result. The caller finds out afterwards why it was stopped.
class Watch {
public:
    // `ask` returns true if the work should end. The calling thread calls it every 0.05 s.
    explicit Watch(std::function<bool()> ask) : ask_(std::move(ask)) {}
    Watch(const Watch&) = delete;
    Watch& operator=(const Watch&) = delete;

    void look() {
        constexpr std::chrono::milliseconds interval{50};
        const auto now = Clock::now();
        if (stopped() || now - last_ < interval) return;
        if (ask_()) stopped_.store(true, std::memory_order_relaxed);
        last_ = Clock::now();
    }
    bool stopped() const { return stopped_.load(std::memory_order_relaxed); }

private:
    using Clock = std::chrono::steady_clock;
    std::function<bool()> ask_;
    Clock::time_point last_ = Clock::now();
    std::atomic<bool> stopped_{false};
};

}  // namespace pynn
