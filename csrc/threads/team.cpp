#include "threads/team.h"

#include <algorithm>
#include <cstdlib>
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

#include "threads/barrier.h"
#include "threads/core_placement.h"
#include "threads/cpu_quota.h"
#include "threads/fp_environment.h"
#include "threads/oversubscription.h"
#include "threads/thread_supply.h"

namespace pynn {
namespace {

std::atomic<int> requested_threads{0};
thread_local int thread_limit = 0;

#ifdef _OPENMP
// libgomp's threads do not survive a fork, and its next parallel region in the child would wait
// for them forever. So a child of a process that had threads stays on one.
std::atomic<bool> had_threads{false}, forked_from_threads{false};

// Threads that are computing, in the teams of all callers.
std::atomic<int> busy_threads{0};

void register_fork_handler() {
#if defined(__unix__) || defined(__APPLE__)
    static const int registered = pthread_atfork(nullptr, nullptr, [] {
        if (had_threads.load()) forked_from_threads.store(true);
        busy_threads.store(0);
    });
    static_cast<void>(registered);
#endif
}

// The number of threads that a caller gets. Callers in different threads (Python's, joblib's,
// another library's parallel region) each have an OpenMP team, and together would have many times
// the processors. So a caller that comes while others compute gets the threads that they leave, and
// at least itself. The bits do not depend on it.
class ThreadQuota {
public:
    explicit ThreadQuota(int wanted) {
        const int all = std::max(wanted, get_num_threads());
        int others = busy_threads.load(std::memory_order_relaxed);
        do {
            count = std::max(1, std::min(wanted, all - others));
        } while (
            !busy_threads.compare_exchange_weak(others, others + count, std::memory_order_relaxed));
    }
    ~ThreadQuota() { busy_threads.fetch_sub(count, std::memory_order_relaxed); }
    ThreadQuota(const ThreadQuota&) = delete;
    ThreadQuota& operator=(const ThreadQuota&) = delete;

    int count;
};

// Threads that OpenMP's runtime keeps for this thread's next team: those of the last one.
thread_local int pool = 1;
// After the system had too few threads, no team larger than the pool is tried until then.
std::atomic<double> next_attempt{0};
std::atomic<bool> stacks_are_small{false}, stacks_checked{false};

// Return how many threads a team of `count` can have. OpenMP's runtime would end the process if it
// could not make a thread, and the kernels would overflow a small OMP_STACKSIZE.
int threads_that_come(int count) {
    const bool nested = omp_in_parallel() != 0;  // (a nested team's threads are new each time)
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

}  // namespace

bool has_openmp() {
#ifdef _OPENMP
    return true;
#else
    return false;
#endif
}

#if defined(_OPENMP) || defined(PYNN_STD_THREADS)
namespace {

// The threads of a process that has chosen no number, of those that its processors could run.
//
// A CPU quota counts rounded down. Threads beyond it use its time up before the period ends, and
// then all of them stand still, those that the others wait for included: with a quota of one
// processor two threads take 1.6 times as long as one.
int within_quota(int processors) {
    const double quota = cpu_quota();
    if (quota <= 0 || quota >= processors) return processors;
    return std::max(1, static_cast<int>(quota));
}

#ifdef _OPENMP
// OpenMP's number, unless it is only the number of processors.
int default_num_threads() {
    const int all = std::max(1, omp_get_max_threads());
    static const bool chosen = std::getenv("OMP_NUM_THREADS") != nullptr;
    if (chosen || within_quota(all) == all || all < omp_get_num_procs()) return all;
    return within_quota(all);
}
#else
int default_num_threads() {
    return within_quota(std::max(1, static_cast<int>(std::thread::hardware_concurrency())));
}
#endif

}  // namespace
#endif

void set_num_threads(int n) { requested_threads.store(n); }
int requested_num_threads() { return requested_threads.load(); }

int set_thread_limit(int n) {
    const int before = thread_limit;
    thread_limit = n;
    return before;
}

int get_num_threads() {
#ifdef _OPENMP
    if (forked_from_threads.load(std::memory_order_relaxed)) return 1;
    const int chosen = requested_threads.load(std::memory_order_relaxed);
    const int all = chosen > 0 ? chosen : default_num_threads();
    return thread_limit > 0 ? std::min(thread_limit, all) : all;
#elif defined(PYNN_STD_THREADS)
    const int chosen = requested_threads.load(std::memory_order_relaxed);
    const int all = chosen > 0 ? chosen : default_num_threads();
    return thread_limit > 0 ? std::min(thread_limit, all) : all;
#else
    return 1;
#endif
}

int threads_for(double flops, index_t parts, double min_flops) {
    if (flops < 2 * min_flops) return 1;
    const double most = std::min(flops / min_flops, static_cast<double>(parts));
    return std::max(1, static_cast<int>(std::min<double>(get_num_threads(), most)));
}

bool can_get_more_threads(int wanted) {
    if (should_run_serial()) return false;
#ifdef _OPENMP
    return busy_threads.load(std::memory_order_relaxed) < std::max(wanted, get_num_threads());
#else
    return wanted > 1;
#endif
}

void run_threads(int threads, const std::function<void(int, int)>& work) {
#ifdef _OPENMP
    if (threads > 1) {
        register_fork_handler();
        const ThreadQuota quota(should_run_serial() ? 1 : threads);
        const int team = quota.count > 1 ? threads_that_come(quota.count) : 1;
        if (team == 1) {
            work(0, 1);
            return;
        }
        had_threads.store(true);
        std::exception_ptr failure;
        std::mutex failure_mutex;
        CorePlacement placement;
        Barrier end;  // (threads would spin for milliseconds at OpenMP's)
        const TeamTimer team_timer(team);
        std::optional<WaitTimer> wait_timer(
            std::in_place);  // for OpenMP's barriers before and after the work
#pragma omp parallel num_threads(team)
        {
            const DefaultFpEnvironment usual;
            const int index = omp_get_thread_num(), count = omp_get_num_threads();
            placement.place_thread(index, count);
            if (index == 0) wait_timer.reset();
            try {
                work(index, count);
            } catch (...) {  // an exception must not leave the parallel region
                const std::lock_guard<std::mutex> lock(failure_mutex);
                failure = std::current_exception();
            }
            end.wait(count);
            if (index == 0) wait_timer.emplace();
        }
        wait_timer.reset();
        if (failure) std::rethrow_exception(failure);
        return;
    }
#elif defined(PYNN_STD_THREADS)
    if (threads > 1 && !should_run_serial()) {
        const TeamTimer team_timer(threads);
        // For the thread sanitizer, which sees the order that starting and joining threads imposes.
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

Range partition(index_t n, int index, int count, index_t grain) {
    const index_t grains = (n + grain - 1) / grain;
    const auto cut = [&](int i) { return std::min(n, grains * i / count * grain); };
    return {cut(index), cut(index + 1)};
}

}  // namespace pynn
