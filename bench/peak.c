/* Fused multiply-adds in float32 and nothing else, with each instruction set that this processor
 * has: more independent chains than the units' number times their latency, so that none waits.
 * Prints a line for every trial, the name of the set and GFLOP/s; the sets take turns. */

#define _POSIX_C_SOURCE 199309L
#include <stdio.h>
#include <time.h>

#define TRIALS 20
#define OPERATIONS 2e9 /* of a trial: some 20 ms */

static double seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static volatile float sink;

/* The chains start differently, or the compiler might see that they are one; each runs toward 1,
 * so that its numbers stay normal. They have to be registers: the loops over them are unrolled. */
#define DEFINE_TRIAL(name, target, vector, lanes, chains, set, fma, store)             \
    target static void name(void) {                                                    \
        const long steps = (long)(OPERATIONS / (2.0 * (lanes) * (chains)));            \
        const vector factor = set(0.999f), summand = set(0.001f);                      \
        vector chain[chains];                                                          \
        float kept[lanes];                                                             \
        _Pragma("GCC unroll 24") for (int i = 0; i < (chains); ++i) chain[i] =         \
            set(1.0f + 0.001f * (float)i);                                             \
        const double start = seconds();                                                \
        for (long step = 0; step < steps; ++step) {                                    \
            _Pragma("GCC unroll 24") for (int i = 0; i < (chains); ++i) chain[i] =     \
                fma(chain[i], factor, summand);                                        \
        }                                                                              \
        const double taken = seconds() - start;                                        \
        _Pragma("GCC unroll 24") for (int i = 0; i < (chains); ++i) {                  \
            store(kept, chain[i]);                                                     \
            sink = kept[0];                                                            \
        }                                                                              \
        printf("%s %.2f\n", #name, 2e-9 * (lanes) * (chains) * (double)steps / taken); \
    }

#if defined(__x86_64__)

#include <immintrin.h>

/* 12 and 24 chains, a factor and a summand fit in 16 and 32 registers. */
DEFINE_TRIAL(avx2, __attribute__((target("avx2,fma"))), __m256, 8, 12, _mm256_set1_ps,
             _mm256_fmadd_ps, _mm256_storeu_ps)
DEFINE_TRIAL(avx512, __attribute__((target("avx512f"))), __m512, 16, 24, _mm512_set1_ps,
             _mm512_fmadd_ps, _mm512_storeu_ps)

static void trial(void) {
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) avx2();
    if (__builtin_cpu_supports("avx512f")) avx512();
}

#elif defined(__aarch64__)

#include <arm_neon.h>

#define MULTIPLY_ADD(x, factor, summand) vfmaq_f32(summand, x, factor)
DEFINE_TRIAL(neon, , float32x4_t, 4, 24, vdupq_n_f32, MULTIPLY_ADD, vst1q_f32)

static void trial(void) { neon(); }

#else

static void trial(void) {}

#endif

int main(void) {
    for (int i = 0; i < TRIALS; ++i) trial();
    return 0;
}
