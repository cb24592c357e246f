#include "threads/barrier.h"

#include <chrono>

#if defined(__linux__)
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <climits>
#else
#include <thread>
#endif
#if defined(__x86_64__) || defined(_M_X64)
#include <immintrin.h>
#endif

#include "threads/oversubscription.h"

namespace pynn {
namespace {

using Clock = std::chrono::steady_clock;

// Spin until the word differs from `value`; false if it still has it after a while. On a busy
// machine that while is what sleeping and waking take. Elsewhere it is longer: a virtual machine's
// idle processor may count as taken, and a thread that wakes is then scheduled behind the one that
// woke it, until the end of a time slice.
bool spin_until_changed(const std::atomic<unsigned>& word, unsigned value) {
    constexpr int spins_per_clock_read = 64;
    const std::chrono::microseconds spin_time{recently_oversubscribed() ? 100 : 2000};
    const Clock::time_point start = Clock::now();
    do {
        for (int i = 0; i < spins_per_clock_read; ++i) {
            if (word.load(std::memory_order_acquire) != value) return true;
            cpu_relax();
        }
    } while (Clock::now() - start < spin_time);
    return false;
}

// Sleep while the word is `value`. (Without a futex this yields, and may return too early.)
void futex_wait(std::atomic<unsigned>& word, unsigned value) {
#if defined(__linux__)
    syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, value, nullptr, nullptr, 0);
#else
    static_cast<void>(word);
    static_cast<void>(value);
    std::this_thread::yield();
#endif
}

void futex_wake_all(std::atomic<unsigned>& word) {
#if defined(__linux__)
    syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, INT_MAX, nullptr, nullptr, 0);
#else
    static_cast<void>(word);
#endif
}

}  // namespace

void cpu_relax() {
#if defined(__x86_64__) || defined(_M_X64)
    _mm_pause();
#elif defined(__aarch64__)
    __asm__ __volatile__("yield");
#endif
}

void Barrier::wait(int count) {
    if (count == 1) return;
    const unsigned round = round_.load(std::memory_order_relaxed);
    if (arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == count) {
        arrived_.store(0, std::memory_order_relaxed);
        // Sequentially consistent with the sleeper's operations: either the sleeper sees the new
        // round, or this thread sees the sleeper.
        round_.store(round + 1, std::memory_order_seq_cst);
        if (asleep_.load(std::memory_order_seq_cst) > 0) futex_wake_all(round_);
        return;
    }
    if (spin_until_changed(round_, round)) return;
    const WaitTimer wait_timer;
    asleep_.fetch_add(1, std::memory_order_seq_cst);
    while (round_.load(std::memory_order_seq_cst) == round) futex_wait(round_, round);
    asleep_.fetch_sub(1, std::memory_order_relaxed);
}

}  // namespace pynn
