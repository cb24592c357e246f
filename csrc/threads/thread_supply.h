// Threads that the system can still make. OpenMP's runtime ends the process if it cannot make a
// thread, so a team is formed only after a check here.
#pragma once

#include <cstddef>

namespace pynn {

// The stack that a team's thread must have left. (GCC's -fstack-usage says 31 KiB for the deepest
// chain of kernels, a narrow product's with AVX-512.)
constexpr std::size_t stack_needed = 48 * 1024;

// Return how many of `wanted` threads the system gives at the same time, with the stack size that
// OMP_STACKSIZE sets. Makes them and ends them again, which takes about 30 microseconds each.
int threads_to_be_had(int wanted);

// The stack that the calling thread has left, in bytes; `stack_needed` if the system does not say.
std::size_t stack_left();

// Why teams are smaller than intended.
enum class ThreadShortage { none, no_threads, small_stacks };

// Return the first shortage not yet reported, and `none` from then on.
ThreadShortage take_thread_shortage();
void note_thread_shortage(ThreadShortage shortage);

}  // namespace pynn
