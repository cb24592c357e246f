// Placement of a team's threads on different processors.
#pragma once

#if defined(_OPENMP) && defined(__linux__)
#include <sched.h>

#include <atomic>

#include "threads/barrier.h"
#endif

namespace pynn {

#if defined(_OPENMP) && defined(__linux__)
// Puts each thread of a team on a different processor. The system may wake a thread on the
// processor of the one that wakes it. There it would wait for the end of a time slice, 4 to 8 ms,
// while another processor is idle. So a thread whose processor is taken moves to another one, and
// restores its set of allowed processors at once.
class CorePlacement {
public:
    CorePlacement() { claim_current_core(); }

    // Every thread of the team calls this first. Thread 0 waits for the others, which may be queued
    // behind it: it spins for about ten microseconds, then yields for as long.
    void place_thread(int index, int count) {
        if (index > 0) {
            if (!claim_current_core()) migrate();
            arrived_.fetch_add(1, std::memory_order_release);
            return;
        }
        constexpr int spins = 200, yields = 50;
        for (int i = 0; i < spins + yields; ++i) {
            if (arrived_.load(std::memory_order_acquire) + 1 >= count) return;
            if (i < spins) {
                cpu_relax();
            } else {
                sched_yield();
            }
        }
    }

private:
    static constexpr int most = CPU_SETSIZE;

    bool claim_current_core() {
        const int here = sched_getcpu();
        return here < 0 || here >= most || !claimed_[here].exchange(true);
    }
    void migrate() {
        cpu_set_t allowed;
        if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) return;
        cpu_set_t free = allowed;
        for (int i = 0; i < most; ++i) {
            if (claimed_[i].load(std::memory_order_relaxed)) CPU_CLR(i, &free);
        }
        if (CPU_COUNT(&free) == 0 || sched_setaffinity(0, sizeof free, &free) != 0) return;
        sched_setaffinity(0, sizeof allowed, &allowed);
        claim_current_core();
    }

    std::atomic<int> arrived_{0};
    std::atomic<bool> claimed_[most] = {};
};
#else
class CorePlacement {
public:
    void place_thread(int, int) {}
};
#endif

}  // namespace pynn
