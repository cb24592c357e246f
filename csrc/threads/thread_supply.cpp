#include "threads/thread_supply.h"

#include <atomic>

#if defined(__unix__) || defined(__APPLE__)
#define PYNN_PTHREADS
#include <pthread.h>

#include <cerrno>
#include <cstdlib>
#include <mutex>
#include <new>
#include <vector>
#endif

namespace pynn {
namespace {

std::atomic<ThreadShortage> untold{ThreadShortage::none};
std::atomic<bool> told{false};

#ifdef PYNN_PTHREADS
// OMP_STACKSIZE in bytes, read as OpenMP does: a number of KiB, or of the unit that a letter names.
// 0 if it is not set.
std::size_t chosen_stack_size() {
    const char* text = std::getenv("OMP_STACKSIZE");
    if (!text) text = std::getenv("GOMP_STACKSIZE");
    if (!text) return 0;
    char* end = nullptr;
    errno = 0;
    const unsigned long long number = std::strtoull(text, &end, 10);
    if (errno != 0 || end == text) return 0;
    while (*end == ' ' || *end == '\t') ++end;
    int shift = 10;
    switch (*end) {
        case 'b':
        case 'B':
            shift = 0;
            break;
        case 'm':
        case 'M':
            shift = 20;
            break;
        case 'g':
        case 'G':
            shift = 30;
            break;
        default:
            break;
    }
    const std::size_t size = static_cast<std::size_t>(number) << shift;
    return size >> shift == number ? size : 0;
}

void* pass_through(void* gate) {
    const std::lock_guard<std::mutex> lock(*static_cast<std::mutex*>(gate));
    return nullptr;
}
#endif

}  // namespace

ThreadShortage take_thread_shortage() {
    if (untold.load(std::memory_order_relaxed) == ThreadShortage::none) return ThreadShortage::none;
    return untold.exchange(ThreadShortage::none);
}

void note_thread_shortage(ThreadShortage shortage) {
    if (!told.exchange(true)) untold.store(shortage);
}

#ifdef PYNN_PTHREADS
int threads_to_be_had(int wanted) {
    pthread_attr_t attributes;
    if (pthread_attr_init(&attributes) != 0) return 0;
    // (OpenMP's runtime ignores a size that pthread refuses, too.)
    if (const std::size_t size = chosen_stack_size()) pthread_attr_setstacksize(&attributes, size);
    int made = 0;
    try {
        std::mutex gate;  // closed until all are made, so that they exist at the same time
        std::vector<pthread_t> threads(static_cast<std::size_t>(wanted));
        {
            const std::lock_guard<std::mutex> closed(gate);
            while (made < wanted && pthread_create(&threads[static_cast<std::size_t>(made)],
                                                   &attributes, pass_through, &gate) == 0) {
                ++made;
            }
        }
        for (int i = 0; i < made; ++i) {
            pthread_join(threads[static_cast<std::size_t>(i)], nullptr);
        }
    } catch (const std::bad_alloc&) {  // (for `threads`, before any was made)
    }
    pthread_attr_destroy(&attributes);
    return made;
}
#else
int threads_to_be_had(int wanted) { return wanted; }
#endif

std::size_t stack_left() {
    std::size_t size = stack_needed;
#if defined(__APPLE__)
    size = pthread_get_stacksize_np(pthread_self());
#elif defined(__linux__)
    pthread_attr_t attributes;
    if (pthread_getattr_np(pthread_self(), &attributes) != 0) return size;
    void* low = nullptr;
    pthread_attr_getstack(&attributes, &low, &size);
    pthread_attr_destroy(&attributes);
    // (The stack's end is at its low address.)
    const char here = 0;
    size = static_cast<std::size_t>(&here - static_cast<char*>(low));
#endif
    return size;
}

}  // namespace pynn
