// A barrier for the threads of a team.
#pragma once

#include <atomic>

#include "threads/watch.h"

namespace pynn {

// The processor's hint that a loop waits for another thread.
void cpu_relax();

// All `count` threads of a team wait here for each other. A thread spins first: between the phases
// of a training step the others are at most microseconds away. Then it sleeps: with more busy
// threads than processors the others need this processor. The system soon gives a processor to a
// thread that has slept; one that yields waits for the end of the others' time slices.
//
// It fills a cache line, so that writes to a neighbor do not take it away from threads that spin.
// Its words stay together: with a line for each, a barrier of two threads takes 275 ns instead of
// 142.
class alignas(64) Barrier {
public:
    void wait(int count);

private:
    std::atomic<int> arrived_{0}, asleep_{0};
    std::atomic<unsigned> round_{0};
};

// A thread of a team.
struct TeamThread {
    int index, count;
    Barrier& barrier;
    Watch* watch = nullptr;  // null in short calls

    void wait() const { barrier.wait(count); }

    // False once the call should end early. Call it between pieces of work.
    bool goes_on() const {
        if (!watch) return true;
        if (index == 0) watch->look();
        return !watch->stopped();
    }
};

}  // namespace pynn
