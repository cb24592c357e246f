// The floating-point control and status register. Kernels compute in the default environment
// (round to nearest, denormals kept, no traps), so that the bits do not depend on the caller's.
// They also raise exception flags, which the caller should not see.
#pragma once

#if defined(__x86_64__) || defined(_M_X64)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <cstdint>
#else
#include <cfenv>
#endif

namespace pynn {

// Sets the default environment on this thread; the destructor restores the control bits and the
// flags. (Writing the registers is slow, and seldom needed.)
class DefaultFpEnvironment {
public:
    DefaultFpEnvironment(const DefaultFpEnvironment&) = delete;
    DefaultFpEnvironment& operator=(const DefaultFpEnvironment&) = delete;
#if defined(__x86_64__) || defined(_M_X64)
    DefaultFpEnvironment() : before_(_mm_getcsr()) {
        constexpr unsigned flags = 0x3f, usual = 0x1f80;  // all exceptions masked, nothing else
        if ((before_ & ~flags) != usual) _mm_setcsr(usual);
    }
    ~DefaultFpEnvironment() {
        if (_mm_getcsr() != before_) _mm_setcsr(before_);
    }

private:
    unsigned before_;
#elif defined(__aarch64__) && !defined(_MSC_VER)
    DefaultFpEnvironment() {
        __asm__ __volatile__("mrs %0, fpcr" : "=r"(control_));
        __asm__ __volatile__("mrs %0, fpsr" : "=r"(flags_));
        if (control_ != 0) set_control(0);
    }
    ~DefaultFpEnvironment() {
        if (control_ != 0) set_control(control_);
        __asm__ __volatile__("msr fpsr, %0" : : "r"(flags_));
    }

private:
    static void set_control(std::uint64_t value) {
        __asm__ __volatile__("msr fpcr, %0" : : "r"(value) : "memory");
    }
    std::uint64_t control_, flags_;
#else
    DefaultFpEnvironment() {}
    ~DefaultFpEnvironment() {}
#endif
};

// The exception flags of this thread. With finite operands a result is infinite or NaN only after
// an overflow, a division by zero or an invalid operation. The processor keeps these flags at no
// cost, for vectors too. They may be raised though every result is finite, so a raised flag calls
// for a closer check, and a clear one spares it.
class OverflowFlags {
public:
    // True if a flag was raised since the last call. (The register is written only then.)
    static bool take() {
#if defined(__x86_64__) || defined(_M_X64)
        constexpr unsigned invalid = 1, by_zero = 4, overflow = 8;
        constexpr unsigned mask = invalid | by_zero | overflow;
        const unsigned state = _mm_getcsr();
        if ((state & mask) == 0) return false;
        _mm_setcsr(state & ~mask);
        return true;
#elif defined(__aarch64__) && !defined(_MSC_VER)
        constexpr std::uint64_t invalid = 1, by_zero = 2, overflow = 4;
        constexpr std::uint64_t mask = invalid | by_zero | overflow;
        std::uint64_t state;
        __asm__ __volatile__("mrs %0, fpsr" : "=r"(state) : : "memory");
        if ((state & mask) == 0) return false;
        __asm__ __volatile__("msr fpsr, %0" : : "r"(state & ~mask) : "memory");
        return true;
#else
        constexpr int mask = FE_INVALID | FE_DIVBYZERO | FE_OVERFLOW;
        if (std::fetestexcept(mask) == 0) return false;
        std::feclearexcept(mask);
        return true;
#endif
    }

    // False if the processor keeps no flags, as in some emulators (valgrind).
    static bool are_kept() {
        static const bool kept = [] {
            take();
            volatile double large = 1e300;
            large = large * large;
            return take();
        }();
        return kept;
    }
};

}  // namespace pynn
