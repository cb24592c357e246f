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
class Crowd {
public:
    // The first thread of a team worked so long, which was `share` of all, and waited for the
    // others.
    void note(double now, double share, double worked, double waited);

    // Whether one thread is better now.
    bool keeps_alone(double now) const { return now < until_.load(std::memory_order_relaxed); }

    // Whether it was within the last second.
    bool is_near(double now) const { return keeps_alone(now - 1); }

private:
    std::mutex mutex_;
    double alone_ = 0, spent_ = 0, waited_ = 0;  // of late; what one thread would have spent
    double pause_ = 0;                           // the last one's length
    std::atomic<double> until_{0};               // and end
};

double seconds_now();

// Whether the threads at work may be fewer than were set: OpenMP's OMP_DYNAMIC.
bool may_adapt();

// Of the whole process.
bool crowd_keeps_alone();
bool crowd_is_near();

// A team's work from beginning to end, by its first thread: one such object on its stack.
class Stint {
public:
    explicit Stint(int count);  // of threads, who share the work evenly
    ~Stint();
    Stint(const Stint&) = delete;
    Stint& operator=(const Stint&) = delete;

    // Of the calling thread, which is in one. Whether the team had better be left; and how much of
    // the work it has done itself, where everybody takes what is next.
    static bool had_better_end();
    static void did(double share);

private:
    friend class Waiting;
    void settle(double now);

    Stint* outer_;
    double share_, since_, waited_ = 0;
};

// The calling thread waits for others, from beginning to end.
class Waiting {
public:
    Waiting();
    ~Waiting();
    Waiting(const Waiting&) = delete;
    Waiting& operator=(const Waiting&) = delete;

private:
    double start_;
};

}  // namespace pynn
