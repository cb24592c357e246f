// Choice between all threads and one for the steps of a training.
//
// In every step each thread reads what the others have written. How long that takes depends on the
// machine, and changes while a fit runs: on a virtual machine whose processors move between the
// host's cores, a step of 200 us on one thread takes 140 us on two, or 300 us. Neither the number
// of operations nor waiting times predict it, since all threads compute all the time. So the tuner
// tries both, for about a millisecond now and then. The bits do not depend on it.
#pragma once

namespace pynn {

// All times in seconds, `now` by any clock. One thread calls this between the steps of a training.
class ThreadCountTuner {
public:
    // Training begins or continues, with steps of `flops` operations on `threads` threads.
    void begin(double flops, int threads);

    // True if the next steps are for one thread.
    bool is_serial() const { return serial_; }

    // Begin a new interval: the next step does not count, nor the time before it.
    void restart() { warmed_up_ = false; }

    // A step has ended, on one thread (`alone`) or on all. True if the next one should change
    // that.
    bool record_step(double now, bool alone);

private:
    void decide(bool change);

    double flops_ = 0;
    int threads_ = 0;
    bool serial_ = false, in_trial_ = false, warmed_up_ = false;
    int interval_steps_ = 0;
    double interval_start_ = 0;   // of the interval being measured
    double step_times_[2] = {};   // per step on all threads and on one, at the last decision
    double trained_seconds_ = 0;  // in total
    double trial_interval_ = 0;   // from one decision to the next trial
    double decided_at_ = 0, next_trial_ = 0;  // values of trained_seconds_
};

}  // namespace pynn
