// Whether the other threads of a team are worth waiting for.
//
// Where other programs keep the processors busy, a thread that has lost its processor keeps its
// team waiting for the milliseconds until it has one again, and that in every step: several threads
// are slower than one. So what a team's first thread works and how long it waits are added up, and
// where it waits longer than the others save it, work stays on one thread for a while. The bits do
// not depend on it.
#pragma once

#include <atomic>
#include <mutex>

namespace pynn {

// All times in seconds, `now` by any clock.
class Crowd {
public:
    // The first of `count` threads worked and waited for the others so long.
    void note(double now, int count, double worked, double waited);

    // Whether one thread is better now.
    bool keeps_alone(double now) const { return now < until_.load(std::memory_order_relaxed); }

private:
    std::mutex mutex_;
    double worked_ = 0, waited_ = 0;  // of late
    double pause_ = 0;                // the last one's length
    std::atomic<double> until_{0};    // and end
};

// Of the whole process.
bool crowd_keeps_alone();

// A team's work from beginning to end, by its first thread: one such object on its stack.
class Stint {
public:
    explicit Stint(int count);
    ~Stint();
    Stint(const Stint&) = delete;
    Stint& operator=(const Stint&) = delete;

    // Of the calling thread, which is in one: whether the team had better be left.
    static bool had_better_end();

private:
    friend class Waiting;
    void settle(double now);

    Stint* outer_;
    int count_;
    double since_, waited_ = 0;
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
