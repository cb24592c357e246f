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
class ThreadCountTuner {
public:
    // Training begins, or goes on: steps of so many operations on so many threads.
    void begin(double flops, int threads);

    // Whether the next steps are for one thread.
    bool is_serial() const { return serial_; }

    // Steps begin anew: the first one does not count, nor what came between.
    void restart() { warmed_up_ = false; }

    // A step has been done, on one thread or on all. True: the next one is for the others.
    bool record_step(double now, bool alone);

private:
    void decide(bool change);

    double flops_ = 0;
    int threads_ = 0;
    bool serial_ = false, in_trial_ = false, warmed_up_ = false;
    int interval_steps_ = 0;
    double interval_start_ = 0;   // of the steps that are being counted
    double step_times_[2] = {};   // a step's, on all threads and on one, when it was decided
    double trained_seconds_ = 0;  // in all
    double trial_interval_ = 0;   // from one decision to the next trial
    double decided_at_ = 0, next_trial_ = 0;  // trained_ then
};

}  // namespace pynn
