// Checks that parameters and moments are finite, by all threads of a team.
//
// The processor's overflow flags say when to look: they cost a register read a step. What the
// threads find is for all of them behind the next barrier.
#pragma once

#include <atomic>

#include "nn/network.h"
#include "nn/optimizer.h"
#include "threads/fp_environment.h"

namespace pynn {

template <class T>
class ParameterChecks {
public:
    ParameterChecks(const Network<T>& network, const Optimizer<T>& optimizer)
        : network_(network), optimizer_(optimizer) {}

    // Before the first step: biases of the outputs may be infinite, by the user's choice.
    void count_at_start(const TeamThread& thread);
    bool bad_at_start() const { return bad_at_start_; }

    // After the passes, and after the update, of step `number`. A barrier follows.
    void note_passes(index_t number) {
        if (may_have_overflowed()) suspect_passes_ = number;
    }
    void note_update(index_t number) {
        if (may_have_overflowed()) suspect_update_ = number;
    }
    bool suspects_passes(index_t number) const { return suspect_passes_ == number; }
    // For all threads alike: meets three times if it looks.
    bool update_is_bad(index_t number, const TeamThread& thread);
    // The same of a gradient that was stored: meets once if it looks.
    bool gradient_is_bad(index_t number, const TeamThread& thread);

private:
    bool may_have_overflowed() const { return OverflowFlags::take() || !flags_are_kept_; }
    // How many outputs' biases are infinite in the thread's part; -1 if another parameter is not
    // finite, or one is NaN.
    index_t count_infinite_biases(const TeamThread& thread) const;
    bool moments_are_finite(const TeamThread& thread) const;

    const Network<T>& network_;
    const Optimizer<T>& optimizer_;
    const bool flags_are_kept_ = OverflowFlags::are_kept();
    // The last step whose gradient or whose update may not be finite (-1: none).
    std::atomic<index_t> suspect_passes_{-1}, suspect_update_{-1};
    std::atomic<bool> bad_at_start_{false}, bad_update_{false};
    std::atomic<index_t> infinite_at_start_{0}, infinite_now_{0};  // biases
};

}  // namespace pynn
