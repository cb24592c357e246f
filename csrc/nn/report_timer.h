// Clocks of the training loop.
#pragma once

#include <algorithm>
#include <chrono>

namespace pynn {

class Stopwatch {
public:
    double seconds() const {
        return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
    }

private:
    std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

// Reads the clock every few mini-batches, to see whether a report is due, so that it costs nothing.
class ReportTimer {
public:
    bool due() {
        if (--countdown_ > 0) return false;
        const auto now = Clock::now();
        const std::chrono::duration<double> elapsed = now - last_poll_;
        last_poll_ = now;
        // Aim at reading it every tenth of the interval.
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

}  // namespace pynn
