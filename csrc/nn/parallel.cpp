#include "nn/parallel.h"

#include <algorithm>
#include <exception>
#include <mutex>
#include <optional>
#include <thread>
#ifdef PYNN_STD_THREADS
#include <vector>
#endif

#ifdef _OPENMP
#include <omp.h>
#endif
#if defined(__unix__) || defined(__APPLE__)
#include <pthread.h>
#endif
#if defined(__linux__)
#include <sched.h>
#endif

#include "nn/barrier.h"
#include "nn/crowd.h"
#include "nn/float_state.h"
#include "nn/thread_supply.h"

namespace pynn {
namespace {

std::atomic<int> chosen_threads{0};
thread_local int limit_here = 0;

#ifdef _OPENMP
// libgomp's threads do not survive a fork, and its next parallel region in the child would wait
// for them for ever: a child of a process that had threads stays on one.
std::atomic<bool> had_threads{false}, child_of_threads{false};

// Threads that are at work in teams, of all callers.
std::atomic<int> at_work{0};

void watch_forks() {
#if defined(__unix__) || defined(__APPLE__)
    static const int registered = pthread_atfork(nullptr, nullptr, [] {
        if (had_threads.load()) child_of_threads.store(true);
        at_work.store(0);
    });
    static_cast<void>(registered);
#endif
}

// The threads that a caller gets of those it wants. Callers in threads of their own (Python's,
// joblib's, another library's parallel region) each have an OpenMP team of their own, so that
// together they would have many times the processors: who comes while others are at work gets what
// they leave, and itself at least. The bits do not depend on it.
class Share {
public:
    explicit Share(int wanted) {
        const int all = std::max(wanted, get_num_threads());
        int others = at_work.load(std::memory_order_relaxed);
        do {
            count = std::max(1, std::min(wanted, all - others));
        } while (!at_work.compare_exchange_weak(others, others + count, std::memory_order_relaxed));
    }
    ~Share() { at_work.fetch_sub(count, std::memory_order_relaxed); }
    Share(const Share&) = delete;
    Share& operator=(const Share&) = delete;

    int count;
};

// How many threads of its own OpenMP's runtime keeps for this thread's next team: as many as the
// last one had.
thread_local int pool = 1;
// After a team could not be had, none is asked for until then.
std::atomic<double> next_attempt{0};
std::atomic<bool> stacks_are_small{false}, stacks_checked{false};

// How many threads a team of `count` can have. OpenMP's runtime would end the process for want of a
// thread, and the kernels overflow a small OMP_STACKSIZE.
int threads_that_come(int count) {
    const bool nested = omp_in_parallel() != 0;  // (whose threads are new each time)
#if _OPENMP >= 200805
    if (nested && omp_get_max_active_levels() <= omp_get_active_level()) return count;
#endif
    const int kept = nested ? 1 : pool;
    if (count > kept) {
        constexpr double pause = 1;  // seconds
        const double now = seconds_now();
        if (now < next_attempt.load(std::memory_order_relaxed)) return kept;
        const int further = threads_to_be_had(count - kept);
        if (kept + further < count) {
            next_attempt.store(now + pause, std::memory_order_relaxed);
            note_thread_shortage(ThreadShortage::no_threads);
            count = kept + further;
        }
    }
    if (!nested) pool = count;
    if (count > 1 && !stacks_checked.load(std::memory_order_acquire)) {
#pragma omp parallel num_threads(count)
        if (omp_get_thread_num() > 0 && stack_left() < stack_needed) stacks_are_small.store(true);
        if (stacks_are_small.load()) note_thread_shortage(ThreadShortage::small_stacks);
        stacks_checked.store(true, std::memory_order_release);
    }
    return stacks_are_small.load(std::memory_order_relaxed) ? 1 : count;
}
#endif

#if defined(_OPENMP) && defined(__linux__)
// The threads of a team on processors of their own. A thread that slept may be woken on the
// processor of the one that wakes it, and would then wait there for the end of a time slice, 4 to
// 8 ms, while another processor is idle: several threads would be slower than one. Who finds
// itself on a processor that is taken goes to another one (its set of allowed processors is put
// back at once).
class Places {
public:
    Places() { take(); }

    // By every thread of the team when it begins. The first one lets those go past that wait behind
    // it, for about ten microseconds spinning and as long yielding.
    void arrive(int index, int count) {
        if (index > 0) {
            if (!take()) leave();
            arrived_.fetch_add(1, std::memory_order_release);
            return;
        }
        constexpr int spins = 200, yields = 50;
        for (int i = 0; i < spins + yields; ++i) {
            if (arrived_.load(std::memory_order_acquire) + 1 >= count) return;
            if (i < spins) {
                pause_spinning();
            } else {
                sched_yield();
            }
        }
    }

private:
    static constexpr int most = CPU_SETSIZE;

    bool take() {
        const int here = sched_getcpu();
        return here < 0 || here >= most || !taken_[here].exchange(true);
    }
    void leave() {
        cpu_set_t allowed;
        if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) return;
        cpu_set_t free = allowed;
        for (int i = 0; i < most; ++i) {
            if (taken_[i].load(std::memory_order_relaxed)) CPU_CLR(i, &free);
        }
        if (CPU_COUNT(&free) == 0 || sched_setaffinity(0, sizeof free, &free) != 0) return;
        sched_setaffinity(0, sizeof allowed, &allowed);
        take();
    }

    std::atomic<int> arrived_{0};
    std::atomic<bool> taken_[most] = {};
};
#else
class Places {
public:
    void arrive(int, int) {}
};
#endif

}  // namespace

bool has_openmp() {
#ifdef _OPENMP
    return true;
#else
    return false;
#endif
}

void set_num_threads(int n) { chosen_threads.store(n); }
int chosen_num_threads() { return chosen_threads.load(); }

int limit_threads_here(int n) {
    const int before = limit_here;
    limit_here = n;
    return before;
}

int get_num_threads() {
#ifdef _OPENMP
    if (child_of_threads.load(std::memory_order_relaxed)) return 1;
    const int chosen = chosen_threads.load(std::memory_order_relaxed);
    const int all = chosen > 0 ? chosen : std::max(1, omp_get_max_threads());
    return limit_here > 0 ? std::min(limit_here, all) : all;
#elif defined(PYNN_STD_THREADS)
    const int chosen = chosen_threads.load(std::memory_order_relaxed);
    const int all =
        chosen > 0 ? chosen : std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
    return limit_here > 0 ? std::min(limit_here, all) : all;
#else
    return 1;
#endif
}

int threads_for(double operations, index_t parts, double worth) {
    if (operations < 2 * worth) return 1;
    const double most = std::min(operations / worth, static_cast<double>(parts));
    return std::max(1, static_cast<int>(std::min<double>(get_num_threads(), most)));
}

bool more_threads_are_free(int wanted) {
    if (crowd_keeps_alone()) return false;
#ifdef _OPENMP
    return at_work.load(std::memory_order_relaxed) < std::max(wanted, get_num_threads());
#else
    return wanted > 1;
#endif
}

void run_threads(int threads, const std::function<void(int, int)>& work) {
#ifdef _OPENMP
    if (threads > 1) {
        watch_forks();
        const Share share(crowd_keeps_alone() ? 1 : threads);
        const int team = share.count > 1 ? threads_that_come(share.count) : 1;
        if (team == 1) {
            work(0, 1);
            return;
        }
        had_threads.store(true);
        std::exception_ptr failure;
        std::mutex failure_mutex;
        Places places;
        Barrier end;  // (OpenMP's own would be spun at for milliseconds)
        const Stint stint(team);
        std::optional<Waiting> meeting(std::in_place);  // OpenMP's threads meet before and after
#pragma omp parallel num_threads(team)
        {
            const UsualFloatState usual;
            const int index = omp_get_thread_num(), count = omp_get_num_threads();
            places.arrive(index, count);
            if (index == 0) meeting.reset();
            try {
                work(index, count);
            } catch (...) {  // an exception must not leave the parallel region
                const std::lock_guard<std::mutex> lock(failure_mutex);
                failure = std::current_exception();
            }
            end.wait(count);
            if (index == 0) meeting.emplace();
        }
        meeting.reset();
        if (failure) std::rethrow_exception(failure);
        return;
    }
#elif defined(PYNN_STD_THREADS)
    if (threads > 1 && !crowd_keeps_alone()) {
        const Stint stint(threads);
        // For the thread sanitizer. New threads each time: it sees what starting and joining order.
        std::exception_ptr failure;
        std::mutex failure_mutex;
        const auto run = [&](int index) {
            try {
                work(index, threads);
            } catch (...) {
                const std::lock_guard<std::mutex> lock(failure_mutex);
                failure = std::current_exception();
            }
        };
        std::vector<std::thread> others;
        for (int i = 1; i < threads; ++i) others.emplace_back(run, i);
        run(0);
        for (std::thread& other : others) other.join();
        if (failure) std::rethrow_exception(failure);
        return;
    }
#else
    static_cast<void>(threads);
#endif
    work(0, 1);
}

Range part(index_t n, int index, int count, index_t grain) {
    const index_t grains = (n + grain - 1) / grain;
    const auto cut = [&](int i) { return std::min(n, grains * i / count * grain); };
    return {cut(index), cut(index + 1)};
}

}  // namespace pynn
