// Where the threads of a team meet.
#pragma once

#include <atomic>

#include "threads/watch.h"

namespace pynn {

// The processor's hint that a loop waits for another thread.
void cpu_relax();

// All `count` threads of a team wait here for each other. Spins first: between the phases of a
// training step the others are at most microseconds away. Then sleeps: where there are more busy
// threads than processors, the one waited for needs this processor, and who has slept is given one
// soon, while who only yields waits for the end of others' time slices.
class Barrier {
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
    Watch* watch = nullptr;  // of a long call

    void wait() const { barrier.wait(count); }

    // False once the call is to end early; to be asked between pieces of work.
    bool goes_on() const {
        if (!watch) return true;
        if (index == 0) watch->look();
        return !watch->stopped();
    }
};

}  // namespace pynn
