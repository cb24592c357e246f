// A readers-writer lock for a network: any number of readers, or one writer.
//
// It uses no mutex, because a child forked while another thread held one could never take it.
// A waiting thread sleeps and polls, with the GIL released.
#pragma once

#include <pybind11/pybind11.h>

#include <atomic>
#include <chrono>
#include <cstdint>

namespace pynn {

class Access {
public:
    // What a writer does. A fit takes long, so other writers are refused at once.
    enum class Writer { step, fit };

    // Guards, with or without the GIL, which they release to wait.
    class Reading;
    class Writing;
    class Opened;

    // The thread that trains calls this between two mini-batches. It admits the waiting readers and
    // waits until they are done; if more keep coming, it admits them for a few milliseconds only.
    void admit_readers();
    // Do the same before a call of the core, if this thread trains the network and has admitted no
    // reader in the last 0.05 s.
    void admit_readers_if_due();

    // True if this thread trains the network and is not within `Opened`.
    bool is_held_here() const;

    // The threads that could change the network now: others; only this one, which reads or trains
    // it; or none.
    enum class User { other, none_here, none };
    User user_here();

private:
    friend class Reading;
    friend class Writing;
    friend class Opened;

    enum class Entry { entered, wait, orphaned };
    Entry try_read(bool may_be_orphaned);
    bool reads_here() const;
    void close();
    void notice_fork();

    std::atomic<std::uint64_t> owner_{0}, last_owner_{0};  // numbers of threads; 0: none
    std::atomic<bool> open_{false};                        // readers may enter beside the owner
    std::atomic<bool> fits_{false};                        // the owner does a whole fit
    std::atomic<bool> orphaned_{false};  // the owner was a thread of the parent process
    std::atomic<int> readers_{0}, waiting_readers_{0}, waiting_writers_{0};
    std::atomic<unsigned> forks_{0};
    std::chrono::steady_clock::time_point last_admission_{};  // used by the thread that trains
};

class Access::Reading {
public:
    // `may_be_orphaned`: for copies, the only use of a network whose process was forked during a
    // fit.
    explicit Reading(Access& access, bool may_be_orphaned = false);
    ~Reading();
    Reading(const Reading&) = delete;
    Reading& operator=(const Reading&) = delete;

private:
    friend class Access;
    Access& access_;
    bool counted_ = false;
    Reading* outer_ = nullptr;  // the thread's enclosing one
};

class Access::Writing {
public:
    Writing(Access& access, Writer kind);
    ~Writing();
    Writing(const Writing&) = delete;
    Writing& operator=(const Writing&) = delete;

private:
    Access& access_;
    bool nested_ = false, fits_before_ = false;
};

// For the time that the owner runs the user's functions (callbacks, metrics): readers may enter,
// and the owner's thread may write. Does nothing if this thread is not the owner.
class Access::Opened {
public:
    explicit Opened(Access& access);
    ~Opened();
    // Wait for the readers that have entered. Only the destructor may follow.
    void close();
    Opened(const Opened&) = delete;
    Opened& operator=(const Opened&) = delete;

private:
    Access& access_;
    bool opened_ = false;
};

// For `with` statements; `owner` is the object that `access` is part of.
pybind11::object reading_block(Access& access, pybind11::object owner, bool copies);
pybind11::object writing_block(Access& access, pybind11::object owner, bool fits);
pybind11::object opened_block(Access& access, pybind11::object owner);

}  // namespace pynn
