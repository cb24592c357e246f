// The number of threads, and teams of threads that run the same function. The only file that uses
// OpenMP; without it everything runs on the calling thread.
#pragma once

#include <functional>

#include "kernels/kernel_table.h"

namespace pynn {

bool has_openmp();

// 0 restores OpenMP's own number (OMP_NUM_THREADS, threadpoolctl), or as many as the processors and
// a CPU quota allow.
void set_num_threads(int n);
int get_num_threads();
int requested_num_threads();  // what was set, or 0

// Cap the threads of calls made by this thread; 0: no cap. Returns the old cap.
int set_thread_limit(int n);

// The least work that pays for a thread, in floating-point operations. In training it is more,
// since the threads wait for each other twice per step and read each other's results, and most of
// the cost is communication between cores.
constexpr double min_flops_per_thread = 1.0e6, min_flops_per_training_thread = 2.5e6;

// The number of threads that pays for `flops`, at most get_num_threads() and at most `parts`.
int threads_for(double flops, index_t parts, double min_flops = min_flops_per_thread);

// Run work(index, count) on the caller and threads - 1 others. The team may be smaller than
// `threads`: several callers share get_num_threads(), and on an oversubscribed machine the caller
// stays alone (oversubscription.h). An exception is rethrown when all have finished, so work that
// waits at a Barrier must not throw.
void run_threads(int threads, const std::function<void(int index, int count)>& work);
template <class Work>
void run_team(int threads, Work&& work) {
    if (threads == 1) {
        work(0, 1);
    } else {
        run_threads(threads, std::ref(work));  // (by reference: nothing is allocated)
    }
}

// True if a caller that wants `wanted` threads, and got one from run_threads, would get more now.
bool can_get_more_threads(int wanted);

// Part `index` of `count` of 0 .. n, in multiples of `grain`.
struct Range {
    index_t begin, end;
    index_t size() const { return end - begin; }
};
Range partition(index_t n, int index, int count, index_t grain = 1);

}  // namespace pynn
