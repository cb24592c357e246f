// Whether a training's steps are faster on all its threads or on one.
//
// Threads that train read in every step what the others have written. How long that takes is the
// machine's affair, and changes while a fit runs: on a virtual machine whose processors move about
// on the host's cores, a step of 200 us on one thread takes 140 on two, or 300. No count of
// operations tells, nor does waiting, for all of them work all the time. So both are tried, for
// about a millisecond now and then. The bits do not depend on it.
#pragma once

namespace pynn {

// All times in seconds, `now` by any clock. Between the steps of a training, by one thread.
class Pace {
public:
    // Training begins, or goes on: steps of so many operations on so many threads.
    void begin(double operations, int threads);

    // Whether the next steps are for one thread.
    bool is_alone() const { return alone_; }

    // Steps begin anew: the first one does not count, nor what came between.
    void restart() { warm_ = false; }

    // A step has been done, on one thread or on all. True: the next one is for the others.
    bool did_step(double now, bool alone);

private:
    void decide(bool change);

    double operations_ = 0;
    int threads_ = 0;
    bool alone_ = false, trying_ = false, warm_ = false;
    int steps_ = 0;
    double start_ = 0;               // of the steps that are being counted
    double times_[2] = {};           // a step's, on all threads and on one, when it was decided
    double trained_ = 0;             // in all
    double hold_ = 0;                // from one decision to the next trial
    double decided_ = 0, next_ = 0;  // trained_ then
};

}  // namespace pynn
