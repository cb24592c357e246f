#include "dispatch/cpu.h"

#include <cstdint>

#if defined(__x86_64__) || defined(_M_X64)
#define PYNN_X86_64
#if defined(_MSC_VER)
#include <intrin.h>
#else
#include <cpuid.h>
#endif
#endif

namespace pynn::cpu {

bool supports_baseline() { return true; }

#ifdef PYNN_X86_64
namespace {

struct Registers {
    std::uint32_t eax, ebx, ecx, edx;
};

Registers cpuid(std::uint32_t leaf, std::uint32_t subleaf) {
    Registers r{};
#if defined(_MSC_VER)
    int out[4];
    __cpuid(out, 0);
    if (static_cast<std::uint32_t>(out[0]) < leaf) return r;
    __cpuidex(out, static_cast<int>(leaf), static_cast<int>(subleaf));
    r = {static_cast<std::uint32_t>(out[0]), static_cast<std::uint32_t>(out[1]),
         static_cast<std::uint32_t>(out[2]), static_cast<std::uint32_t>(out[3])};
#else
    if (!__get_cpuid_count(leaf, subleaf, &r.eax, &r.ebx, &r.ecx, &r.edx)) return {};
#endif
    return r;
}

// The register sets that the operating system saves on a context switch (XCR0).
std::uint64_t saved_registers() {
    constexpr std::uint32_t osxsave = 1u << 27;
    if (!(cpuid(1, 0).ecx & osxsave)) return 0;
#if defined(_MSC_VER)
    return _xgetbv(0);
#else
    std::uint32_t low, high;
    __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (static_cast<std::uint64_t>(high) << 32) | low;
#endif
}

bool has(std::uint32_t word, std::uint32_t bits) { return (word & bits) == bits; }

}  // namespace

bool supports_avx2() {
    constexpr std::uint32_t fma = 1u << 12, avx = 1u << 28;  // leaf 1, ecx
    constexpr std::uint32_t avx2 = 1u << 5;                  // leaf 7, ebx
    constexpr std::uint64_t xmm_ymm = 0x6;
    return has(cpuid(1, 0).ecx, fma | avx) && has(cpuid(7, 0).ebx, avx2) &&
           (saved_registers() & xmm_ymm) == xmm_ymm;
}

bool supports_avx512() {
    constexpr std::uint32_t f = 1u << 16, dq = 1u << 17, bw = 1u << 30, vl = 1u << 31;
    constexpr std::uint64_t all = 0xe6;  // xmm, ymm, masks, and both halves of zmm
    return supports_avx2() && has(cpuid(7, 0).ebx, f | dq | bw | vl) &&
           (saved_registers() & all) == all;
}
#else
bool supports_avx2() { return false; }
bool supports_avx512() { return false; }
#endif

bool supports_neon() {
#if defined(__aarch64__) || defined(_M_ARM64)
    return true;
#else
    return false;
#endif
}

}  // namespace pynn::cpu
