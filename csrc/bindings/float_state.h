// The kernels raise floating-point exception flags that mean nothing to the caller.
#pragma once

#if defined(__x86_64__) || defined(_M_X64)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <cstdint>
#endif

namespace pynn {

// Puts the calling thread's floating-point state back to what it was.
class KeepFloatState {
public:
    KeepFloatState(const KeepFloatState&) = delete;
    KeepFloatState& operator=(const KeepFloatState&) = delete;
#if defined(__x86_64__) || defined(_M_X64)
    KeepFloatState() : state_(_mm_getcsr()) {}
    ~KeepFloatState() {
        // Writing the register is slow, and seldom needed.
        if (_mm_getcsr() != state_) _mm_setcsr(state_);
    }

private:
    unsigned state_;
#elif defined(__aarch64__) && !defined(_MSC_VER)
    KeepFloatState() { __asm__ __volatile__("mrs %0, fpsr" : "=r"(state_)); }
    ~KeepFloatState() { __asm__ __volatile__("msr fpsr, %0" : : "r"(state_)); }

private:
    std::uint64_t state_;
#else
    KeepFloatState() {}
    ~KeepFloatState() {}
#endif
};

}  // namespace pynn
