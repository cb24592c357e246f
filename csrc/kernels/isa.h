// The one-definition contract of this folder.
//
// kernels.cpp is compiled once per instruction set, with that set's flags. An inline function or
// a template instance with external linkage would be emitted in every one of these objects as a
// weak symbol, the linker would keep one of them for all, and a program on an older CPU
// would die with SIGILL in the AVX-512 copy. So everything here lives in an anonymous namespace
// inside a namespace named after the instruction set, includes no standard library templates,
// allocates nothing, throws nothing, and has no dynamic initializers. The single symbol that
// leaves is pynn::kernel_table_<isa>. tests/codebase/test_one_definition.py reads the objects.
#pragma once

#include <stddef.h>
#include <stdint.h>

#ifndef PYNN_ISA
#error "compile with -DPYNN_ISA=<name of the instruction set>"
#endif

#define PYNN_PASTE_(a, b) a##b
#define PYNN_PASTE(a, b) PYNN_PASTE_(a, b)
#define PYNN_STRING_(x) #x
#define PYNN_STRING(x) PYNN_STRING_(x)

#define PYNN_ISA_BEGIN   \
    namespace pynn {     \
    namespace PYNN_ISA { \
    namespace {
#define PYNN_ISA_END \
    }                \
    }                \
    }

#if defined(_MSC_VER) && !defined(__clang__)
#define PYNN_INLINE __forceinline
#define PYNN_INLINE_LAMBDA
#define PYNN_UNROLL
#define PYNN_PREFETCH(p) static_cast<void>(p)
#define PYNN_PREFETCH_L2(p) static_cast<void>(p)
#elif defined(__clang__)
#define PYNN_INLINE inline __attribute__((always_inline))
#define PYNN_INLINE_LAMBDA __attribute__((always_inline))
#define PYNN_UNROLL _Pragma("unroll")
#else
#define PYNN_INLINE inline __attribute__((always_inline))
#define PYNN_INLINE_LAMBDA __attribute__((always_inline))
// GCC 12 leaves an array of accumulators in memory unless every loop over it is fully unrolled.
#define PYNN_UNROLL _Pragma("GCC unroll 32")
#endif
// What memory holds is read again after it: for what a loop that needs every register would
// otherwise keep, and spill.
#if defined(__GNUC__)
#define PYNN_COMPILER_BARRIER asm volatile("" : : : "memory")
#else
#define PYNN_COMPILER_BARRIER static_cast<void>(0)
#endif
#ifndef PYNN_PREFETCH  // a hint, at any address: into the L1 cache, into the L2 cache
#define PYNN_PREFETCH(p) __builtin_prefetch(p)
#define PYNN_PREFETCH_L2(p) __builtin_prefetch(p, 0, 2)
#endif
