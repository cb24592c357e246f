// Detection of oversubscribed processors.
//
// Where other programs keep the processors busy, a thread may lose its processor for milliseconds.
// Its team waits for it in every step, so that several threads are slower than one. Therefore the
// computing and waiting times of a team's thread 0 are added up. If their sum exceeds the time of
// one thread alone, work stays on one thread for a while. The bits do not depend on it.
#pragma once

#include <atomic>
#include <mutex>

namespace pynn {

// All times in seconds, `now` by any clock.
class OversubscriptionMonitor {
public:
    // Thread 0 of a team computed for `worked` seconds, `share` of the job, and waited for the
    // others for `waited` seconds.
    void record(double now, double share, double worked, double waited);

    // True if work should stay on one thread now.
    bool should_run_serial(double now) const {
        return now < serial_until_.load(std::memory_order_relaxed);
    }

    // True if it should have within the last second.
    bool was_recent(double now) const { return should_run_serial(now - 1); }

private:
    std::mutex mutex_;
    // Recent sums: the estimated time of one thread alone, the team's time, its waiting.
    double serial_seconds_ = 0, team_seconds_ = 0, wait_seconds_ = 0;
    double serial_period_ = 0;             // length of the last serial period
    std::atomic<double> serial_until_{0};  // end of the last serial period
};

double seconds_now();

// True if fewer threads may run than were set (OpenMP's OMP_DYNAMIC).
bool may_use_fewer_threads();

// The monitor of the whole process.
bool should_run_serial();
bool recently_oversubscribed();

// Times a team's job. Thread 0 of the team keeps one on its stack for the whole job.
class TeamTimer {
public:
    explicit TeamTimer(int count);  // threads, which share the work evenly
    ~TeamTimer();
    TeamTimer(const TeamTimer&) = delete;
    TeamTimer& operator=(const TeamTimer&) = delete;

    // Both need a timer of the calling thread.
    static bool should_disband();         // true if the caller's team should disband
    static void set_share(double share);  // of the job, where threads take pieces in turn

private:
    friend class WaitTimer;
    void record_interval(double now);

    TeamTimer* enclosing_;
    double share_, since_, wait_seconds_ = 0;
};

// Times a wait of the calling thread for others.
class WaitTimer {
public:
    WaitTimer();
    ~WaitTimer();
    WaitTimer(const WaitTimer&) = delete;
    WaitTimer& operator=(const WaitTimer&) = delete;

private:
    double start_;
};

}  // namespace pynn
