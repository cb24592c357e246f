// The floating-point control and status register. Kernels compute with the usual arithmetic (round
// to nearest, denormals kept, no traps), whatever the caller has chosen for itself, so that the
// bits do not depend on it; and they raise exception flags that mean nothing to the caller.
#pragma once

#if defined(__x86_64__) || defined(_M_X64)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <cstdint>
#endif

namespace pynn {

// The usual arithmetic on this thread, until the end of the scope: then the control bits and the
// flags are again what they were. (Writing the registers is slow, and seldom needed.)
class UsualFloatState {
public:
    UsualFloatState(const UsualFloatState&) = delete;
    UsualFloatState& operator=(const UsualFloatState&) = delete;
#if defined(__x86_64__) || defined(_M_X64)
    UsualFloatState() : before_(_mm_getcsr()) {
        constexpr unsigned flags = 0x3f, usual = 0x1f80;  // all exceptions masked, nothing else
        if ((before_ & ~flags) != usual) _mm_setcsr(usual);
    }
    ~UsualFloatState() {
        if (_mm_getcsr() != before_) _mm_setcsr(before_);
    }

private:
    unsigned before_;
#elif defined(__aarch64__) && !defined(_MSC_VER)
    UsualFloatState() {
        __asm__ __volatile__("mrs %0, fpcr" : "=r"(control_));
        __asm__ __volatile__("mrs %0, fpsr" : "=r"(flags_));
        if (control_ != 0) set_control(0);
    }
    ~UsualFloatState() {
        if (control_ != 0) set_control(control_);
        __asm__ __volatile__("msr fpsr, %0" : : "r"(flags_));
    }

private:
    static void set_control(std::uint64_t value) {
        __asm__ __volatile__("msr fpcr, %0" : : "r"(value) : "memory");
    }
    std::uint64_t control_, flags_;
#else
    UsualFloatState() {}
    ~UsualFloatState() {}
#endif
};

}  // namespace pynn
