// Whether the other threads of a team are worth waiting for.
//
// Where other programs keep the processors busy, a thread that has lost its processor keeps its
// team waiting for the milliseconds until it has one again, and that in every step: several threads
// are slower than one. So what a team's first thread works and how long it waits are added up, and
// where that is more than it would have worked alone, work stays on one thread for a while. The
// bits do not depend on it.
#pragma once

#include <atomic>
#include <mutex>

namespace pynn {

// All times in seconds, `now` by any clock.
class OversubscriptionMonitor {
public:
    // The first thread of a team worked so long, which was `share` of all, and waited for the
    // others.
    void record(double now, double share, double worked, double waited);

    // Whether one thread is better now.
    bool should_run_serial(double now) const {
        return now < serial_until_.load(std::memory_order_relaxed);
    }

    // Whether it was within the last second.
    bool was_recent(double now) const { return should_run_serial(now - 1); }

private:
    std::mutex mutex_;
    double serial_seconds_ = 0, team_seconds_ = 0,
           wait_seconds_ = 0;              // of late; what one thread would have spent
    double serial_period_ = 0;             // the last one's length
    std::atomic<double> serial_until_{0};  // and end
};

double seconds_now();

// Whether the threads at work may be fewer than were set: OpenMP's OMP_DYNAMIC.
bool may_use_fewer_threads();

// Of the whole process.
bool should_run_serial();
bool recently_oversubscribed();

// A team's work from beginning to end, by its first thread: one such object on its stack.
class TeamTimer {
public:
    explicit TeamTimer(int count);  // of threads, who share the work evenly
    ~TeamTimer();
    TeamTimer(const TeamTimer&) = delete;
    TeamTimer& operator=(const TeamTimer&) = delete;

    // Of the calling thread, which is in one. Whether the team had better be left; and how much of
    // the work it has done itself, where everybody takes what is next.
    static bool should_disband();
    static void set_share(double share);

private:
    friend class WaitTimer;
    void record_interval(double now);

    TeamTimer* enclosing_;
    double share_, since_, wait_seconds_ = 0;
};

// The calling thread waits for others, from beginning to end.
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
