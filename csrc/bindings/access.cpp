#include "bindings/access.h"

#include "bindings/gil.h"

#include <chrono>
#include <memory>
#include <optional>
#include <stdexcept>
#include <thread>

#include "bindings/module.h"

#if defined(__unix__) || defined(__APPLE__)
#include <pthread.h>
#endif

namespace pynn {
namespace {

namespace py = pybind11;
using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;
using std::chrono::seconds;

// Readers end by themselves, so a writer waits this long only after a fault.
constexpr seconds writer_patience{60};
// For another writer's step, or for the end of a fit's mini-batch.
constexpr seconds step_patience{10};
// The time that a fit stays open to readers that keep coming.
constexpr milliseconds open_at_most{5};

std::atomic<unsigned> forks{0};

void watch_forks() {
#if defined(__unix__) || defined(__APPLE__)
    static const int registered =
        pthread_atfork(nullptr, nullptr, [] { forks.fetch_add(1, std::memory_order_relaxed); });
    static_cast<void>(registered);
#endif
}

// A number that no other thread has, not even after a fork, unlike the system's.
std::uint64_t this_thread() {
    static std::atomic<std::uint64_t> last{0};
    thread_local const std::uint64_t number = ++last;
    return number;
}

// The guards of this thread, innermost first.
thread_local Access::Reading* reading_here = nullptr;

// Sleep until `ready()`; false after `patience` without it. Called with the GIL, signal handlers
// run meanwhile; it may also be called without.
template <class F>
bool wait_until(seconds patience, F ready) {
    const auto deadline = Clock::now() + patience;
    const bool has_gil = PyGILState_Check() != 0;
    auto pause = std::chrono::microseconds(50);
    for (;;) {
        bool done = false;
        {
            std::optional<GilRelease> release;
            if (has_gil) release.emplace();
            // (Signal handlers need the GIL, so take it every 20 ms.)
            const auto look = Clock::now() + milliseconds(20);
            while (!(done = ready()) && Clock::now() < look) {
                std::this_thread::sleep_for(pause);
                if (pause < milliseconds(1)) pause *= 2;
            }
        }
        if (done) return true;
        if (has_gil && PyErr_CheckSignals() != 0) throw py::error_already_set();
        if (Clock::now() > deadline) return false;
    }
}

constexpr char orphan_message[] =
    "another thread was training this network when this process was forked: the network is that of "
    "the middle of a mini-batch, and no thread here trains it; continue with copy.deepcopy(net), "
    "or fork between fits";

}  // namespace

// In a forked child only the thread that forked is left of those that read or trained.
void Access::notice_fork() {
    unsigned seen = forks_.load(std::memory_order_relaxed);
    const unsigned now = forks.load(std::memory_order_relaxed);
    if (seen == now || !forks_.compare_exchange_strong(seen, now)) return;
    int own = 0;
    for (const Reading* r = reading_here; r; r = r->outer_)
        own += r->counted_ && &r->access_ == this;
    readers_.store(own);
    waiting_readers_.store(0);
    waiting_writers_.store(0);
    const std::uint64_t owner = owner_.load();
    if (owner != 0 && owner != this_thread()) orphaned_.store(true);
}

bool Access::reads_here() const {
    for (const Reading* r = reading_here; r; r = r->outer_) {
        if (&r->access_ == this) return true;
    }
    return false;
}

bool Access::is_held_here() const { return owner_.load() == this_thread() && !open_.load(); }

Access::User Access::user_here() {
    notice_fork();
    const std::uint64_t owner = owner_.load();
    if (owner == this_thread() || reads_here() || orphaned_.load()) return User::none_here;
    return owner == 0 ? User::none : User::other;
}

Access::Entry Access::try_read(bool may_be_orphaned) {
    // (First count, then check the owner; a writer does the reverse.)
    readers_.fetch_add(1);
    if (owner_.load() == 0 || open_.load() || reads_here()) return Entry::entered;
    readers_.fetch_sub(1);
    if (!orphaned_.load()) return Entry::wait;
    if (!may_be_orphaned) return Entry::orphaned;
    readers_.fetch_add(1);
    return Entry::entered;
}

Access::Reading::Reading(Access& access, bool may_be_orphaned) : access_(access) {
    access.notice_fork();
    if (access.owner_.load() != this_thread()) {
        Entry entry = access.try_read(may_be_orphaned);
        if (entry == Entry::wait) {
            access.waiting_readers_.fetch_add(1);
            bool done = false;
            try {
                done = wait_until(step_patience, [&] {
                    entry = access.try_read(may_be_orphaned);
                    return entry != Entry::wait;
                });
            } catch (...) {
                access.waiting_readers_.fetch_sub(1);
                throw;
            }
            access.waiting_readers_.fetch_sub(1);
            if (!done) {
                throw std::runtime_error(
                    "this network is already being trained by another thread, which has not come "
                    "to the end of a mini-batch for 10 s: read it in a callback of that fit, or "
                    "after it");
            }
        }
        if (entry == Entry::orphaned) throw std::runtime_error(orphan_message);
        counted_ = true;
    }
    outer_ = reading_here;
    reading_here = this;
}

Access::Reading::~Reading() {
    for (Reading** r = &reading_here; *r; r = &(*r)->outer_) {
        if (*r == this) {
            *r = outer_;
            break;
        }
    }
    if (counted_) access_.readers_.fetch_sub(1);
}

void Access::close() {
    open_.store(false);
    if (readers_.load() == 0) return;
    if (!wait_until(writer_patience, [&] { return readers_.load() == 0; })) {
        throw std::runtime_error(
            "another thread has been reading this network for 60 s (save, gradients, predictions)");
    }
}

void Access::admit_readers() {
    if (waiting_readers_.load(std::memory_order_relaxed) == 0) return;
    last_admission_ = Clock::now();
    const auto deadline = last_admission_ + open_at_most;
    open_.store(true);
    while (waiting_readers_.load() != 0 && Clock::now() < deadline) {
        constexpr std::chrono::microseconds pause{100};
        std::this_thread::sleep_for(pause);
    }
    close();
}

void Access::admit_readers_if_due() {
    constexpr milliseconds interval{50};
    if (waiting_readers_.load(std::memory_order_relaxed) == 0) return;
    if (is_held_here() && Clock::now() - last_admission_ >= interval) admit_readers();
}

Access::Writing::Writing(Access& access, Writer kind) : access_(access) {
    access.notice_fork();
    const std::uint64_t thread = this_thread();
    if (access.orphaned_.load()) throw std::runtime_error(orphan_message);
    if (access.owner_.load() == thread) {
        if (!access.open_.load()) {
            throw std::runtime_error(
                "this network is already being trained, by the call that this one was made from: "
                "train it in a callback, or end that fit first (pynn.StopOnSignal)");
        }
        nested_ = true;
        fits_before_ = access.fits_.load();
        try {
            access.close();
        } catch (...) {
            access.open_.store(true);
            throw;
        }
        return;
    }
    if (access.reads_here()) {
        throw std::runtime_error(
            "this network is being read by the call that this one was made from: train it after "
            "that");
    }
    const auto take = [&] {
        std::uint64_t none = 0;
        return access.owner_.compare_exchange_strong(none, thread);
    };
    // (A thread that trains in a loop yields to waiting threads.)
    const bool yields =
        access.last_owner_.load() == thread &&
        (access.waiting_writers_.load() != 0 || access.waiting_readers_.load() != 0);
    if (yields || !take()) {
        bool fits = false;
        const auto turn = Clock::now() + milliseconds(yields ? 3 : 0);
        const auto others_wait = [&] {
            return access.waiting_writers_.load() > 1 || access.waiting_readers_.load() != 0;
        };
        access.waiting_writers_.fetch_add(1);
        bool done = false;
        try {
            done = wait_until(step_patience, [&] {
                if (Clock::now() < turn && access.last_owner_.load() == thread && others_wait()) {
                    return false;
                }
                if (take()) return true;
                fits = access.fits_.load();
                return fits;
            });
        } catch (...) {
            access.waiting_writers_.fetch_sub(1);
            throw;
        }
        access.waiting_writers_.fetch_sub(1);
        if (!done || fits) {
            throw std::runtime_error(
                "this network is already being trained by another thread: wait for that fit to "
                "end, or train a copy, copy.deepcopy(net)");
        }
    }
    try {
        access.close();
    } catch (...) {
        access.owner_.store(0);
        throw;
    }
    access.fits_.store(kind == Writer::fit);
}

Access::Writing::~Writing() {
    if (nested_) {
        access_.fits_.store(fits_before_);
        access_.open_.store(true);
        return;
    }
    access_.fits_.store(false);
    access_.open_.store(false);
    access_.last_owner_.store(this_thread());
    access_.owner_.store(0);
}

Access::Opened::Opened(Access& access) : access_(access) {
    if (access.owner_.load() == this_thread() && !access.open_.load()) {
        access.open_.store(true);
        opened_ = true;
    }
}

void Access::Opened::close() {
    if (!opened_) return;
    opened_ = false;
    access_.close();
}

Access::Opened::~Opened() {
    if (opened_) access_.open_.store(false);
}

namespace {

// A guard for `with` statements. The interpreter handles signals neither between entering and the
// block's first instruction nor before leaving, so that no exception can lose a guard.
template <class Guard>
struct Block {
    std::optional<Guard> guard;
    py::object owner;  // keeps `access` alive
    Access* access;
    bool flag;
};

using ReadingBlock = Block<Access::Reading>;
using WritingBlock = Block<Access::Writing>;
using OpenedBlock = Block<Access::Opened>;

template <class Guard, class Enter, class Leave>
void bind_block(py::module_& m, const char* name, Enter enter, Leave leave) {
    using B = Block<Guard>;
    py::class_<B>(m, name)
        .def("__enter__", [enter](B& self) { enter(self); })
        .def("__exit__", [leave](B& self, const py::args&) {
            leave(self);
            self.guard.reset();
        });
}

}  // namespace

void bind_access(py::module_& m) {
    watch_forks();
    bind_block<Access::Reading>(
        m, "Reading", [](ReadingBlock& b) { b.guard.emplace(*b.access, b.flag); },
        [](ReadingBlock&) {});
    bind_block<Access::Writing>(
        m, "Writing",
        [](WritingBlock& b) {
            b.guard.emplace(*b.access, b.flag ? Access::Writer::fit : Access::Writer::step);
        },
        [](WritingBlock&) {});
    bind_block<Access::Opened>(
        m, "Opened", [](OpenedBlock& b) { b.guard.emplace(*b.access); },
        [](OpenedBlock& b) { b.guard->close(); });
}

py::object reading_block(Access& access, py::object owner, bool copies) {
    auto made = std::make_unique<ReadingBlock>();
    made->owner = std::move(owner);
    made->access = &access;
    made->flag = copies;
    return py::cast(std::move(made));
}

py::object writing_block(Access& access, py::object owner, bool fits) {
    auto made = std::make_unique<WritingBlock>();
    made->owner = std::move(owner);
    made->access = &access;
    made->flag = fits;
    return py::cast(std::move(made));
}

py::object opened_block(Access& access, py::object owner) {
    auto made = std::make_unique<OpenedBlock>();
    made->owner = std::move(owner);
    made->access = &access;
    made->flag = false;
    return py::cast(std::move(made));
}

}  // namespace pynn
