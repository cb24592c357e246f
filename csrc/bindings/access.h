// Who may use a network: readers share it, a writer has it alone.
//
// Nothing here is a mutex: a child forked while another thread held one could never take it.
// Waiting is sleeping and looking again, with the GIL released.
#pragma once

#include <pybind11/pybind11.h>

#include <atomic>
#include <chrono>
#include <cstdint>

namespace pynn {

class Access {
public:
    // How a writer holds it: a fit takes long, so that other writers are refused at once.
    enum class Writer { step, fit };

    // With or without the GIL, which they release to wait.
    class Reading;
    class Writing;
    class Opened;

    // By the thread that trains, between two mini-batches: lets in the readers that wait (if they
    // come one after another, only for a little while), and waits until they are done.
    void admit_readers();
    // The same before a call of the core, if this thread trains the network and has admitted no
    // reader in the last 0.05 s.
    void admit_readers_if_due();

    // True if this thread trains it, and is not within `Opened`.
    bool is_held_here() const;

    // Which thread could change the network now.
    enum class User { other, none_here, none };  // none_here: this one reads or trains it
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

    std::atomic<std::uint64_t> owner_{0}, last_owner_{0};  // threads' numbers; 0: none
    std::atomic<bool> open_{false};                        // readers may enter beside the owner
    std::atomic<bool> fits_{false};                        // the owner does a whole fit
    std::atomic<bool> orphaned_{false};  // its owner was a thread of the process that forked
    std::atomic<int> readers_{0}, waiting_readers_{0}, waiting_writers_{0};
    std::atomic<unsigned> forks_{0};
    std::chrono::steady_clock::time_point last_admission_{};  // by the thread that trains
};

class Access::Reading {
public:
    // `may_be_orphaned`: a copy is taken, which is the way on for a child forked during a fit.
    explicit Reading(Access& access, bool may_be_orphaned = false);
    ~Reading();
    Reading(const Reading&) = delete;
    Reading& operator=(const Reading&) = delete;

private:
    friend class Access;
    Access& access_;
    bool counted_ = false;
    Reading* outer_ = nullptr;  // the thread's next one
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

// The owner's functions of the user's (callbacks, metrics) run: readers may enter, and the owner's
// own thread may write. Does nothing where this thread is not the owner.
class Access::Opened {
public:
    explicit Opened(Access& access);
    ~Opened();
    // Waits for the readers that have entered; only the destructor may follow.
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
