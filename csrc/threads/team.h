// Threads: how many, and a team of them running the same function. The only place that knows
// OpenMP; without it everything runs on the calling thread.
#pragma once

#include <functional>

#include "kernels/kernel_table.h"

namespace pynn {

bool has_openmp();

// 0 goes back to OpenMP's own number (OMP_NUM_THREADS, threadpoolctl, or the cores).
void set_num_threads(int n);
int get_num_threads();
int requested_num_threads();  // what was set, or 0

// At most so many in what the calling thread does from now on (0: as many as all others); returns
// what held before.
int set_thread_limit(int n);

// What a thread has to be given to be worth its while, in floating-point operations: where the
// others wait for it once at the end, and where the threads meet twice in every step of a training
// and read each other's results, whose way from core to core is the larger part of the price.
constexpr double min_flops_per_thread = 1.0e6, min_flops_per_training_thread = 2.5e6;

// The threads that so many operations deserve, at most get_num_threads() and at most `parts`.
int threads_for(double flops, index_t parts, double min_flops = min_flops_per_thread);

// The caller and threads - 1 others run work(index, count). Fewer may come than were asked for: the
// callers of several threads share get_num_threads() among them, and where other programs crowd the
// processors the caller stays alone (oversubscription.h).
// An exception is passed on when all have finished (so nothing that waits at a Barrier may throw).
void run_threads(int threads, const std::function<void(int index, int count)>& work);
template <class Work>
void run_team(int threads, Work&& work) {
    if (threads == 1) {
        work(0, 1);
    } else {
        run_threads(threads, std::ref(work));  // (by reference: nothing is allocated)
    }
}

// Whether someone who wants so many, and has been left alone by run_threads, would get more now.
bool can_get_more_threads(int wanted);

// Part `index` of `count` of 0 .. n, in multiples of `grain`.
struct Range {
    index_t begin, end;
    index_t size() const { return end - begin; }
};
Range partition(index_t n, int index, int count, index_t grain = 1);

}  // namespace pynn
