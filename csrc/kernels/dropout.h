// Dropout: which elements of a mini-batch are dropped depends on the network's key, the step, the
// layer and the element's number alone, so the bits are the same for any number of threads.
#pragma once

#include <string.h>

#include "kernels/vec.h"

PYNN_ISA_BEGIN

// Philox4x32 with seven rounds, the fewest that pass all tests of randomness (J. Salmon et al.,
// "Parallel random numbers: as easy as 1, 2, 3", SC 2011). A word of 32 bits is the lower half of a
// lane of 64, where the multiplication that the rounds are made of needs no shuffles; what is in
// the upper half never reaches a lower one.
constexpr int philox_rounds = 7;
constexpr int philox_words = 64;  // of sixteen counters

// Two vectors of counters, so that one multiplication does not wait for another.
struct Counters {
    static constexpr int vectors = lanes / Vec<double>::width < 2 ? 1 : 2;
    Bits<double> c[4][vectors];
};

PYNN_INLINE void philox(Counters& x, uint64_t key) {
    const Bits<double> m0 = set_bits(double(), 0xD2511F53), m1 = set_bits(double(), 0xCD9E8D57);
    uint32_t k0 = static_cast<uint32_t>(key), k1 = static_cast<uint32_t>(key >> 32);
    PYNN_UNROLL
    for (int round = 0; round < philox_rounds; ++round) {
        const Bits<double> key0 = set_bits(double(), k0), key1 = set_bits(double(), k1);
        PYNN_UNROLL
        for (int v = 0; v < Counters::vectors; ++v) {
            const Bits<double> p0 = multiply_halves(m0, x.c[0][v]);
            const Bits<double> p1 = multiply_halves(m1, x.c[2][v]);
            x.c[0][v] = shift_right<32>(p1) ^ x.c[1][v] ^ key0;
            x.c[1][v] = p1;
            x.c[2][v] = shift_right<32>(p0) ^ x.c[3][v] ^ key1;
            x.c[3][v] = p0;
        }
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
}

// The words of counters (16 group + l, layer, step), l = 0 .. 15: words 0 and 1 of the first, of
// the second, ..., then words 2 and 3.
PYNN_INLINE void random_words(const RngStream& stream, uint64_t group, uint32_t* words) {
    constexpr int width = Vec<double>::width, vectors = Counters::vectors;
    static constexpr double numbers[lanes] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    // A whole number below 2**52 as the lower bits of the number that begins its binade.
    const Vec<double> unit = set1(0x1p52);
    const uint64_t first = group * lanes;
    const auto word = [](uint64_t x) {
        return set_bits(double(), static_cast<int64_t>(x & 0xffffffffu));
    };
    double out[philox_words / 2];
    for (int l = 0; l < lanes; l += width * vectors) {
        Counters x;
        PYNN_UNROLL
        for (int v = 0; v < vectors; ++v) {
            const Bits<double> lane = bits(load(numbers + l + v * width) + unit);
            x.c[0][v] = lane + word(first);  // (the lowest four bits of `first` are 0)
            x.c[1][v] = word((first >> 32) ^ (stream.step >> 32));
            x.c[2][v] = word(stream.layer);
            x.c[3][v] = word(stream.step);
        }
        philox(x, stream.key);
        const Bits<double> low = word(0xffffffffu);
        PYNN_UNROLL
        for (int v = 0; v < vectors; ++v) {
            double* const at = out + l + v * width;
            store(at, from_bits((x.c[0][v] & low) | shift_left<32>(x.c[1][v])));
            store(at + lanes, from_bits((x.c[2][v] & low) | shift_left<32>(x.c[3][v])));
        }
    }
    memcpy(words, out, sizeof out);
}

// Element e takes word e % 64 of group e / 64.
template <class T>
void dropout_kernel(const RngStream& stream, uint32_t threshold, T factor, const T* x, T* y,
                    index_t first, index_t n) {
    uint32_t words[philox_words];
    T mask_values[philox_words];
    const Vec<T> zero = set1(T(0)), f = set1(factor);
    for (index_t i = 0; i < n;) {
        const index_t group = (first + i) / philox_words, at = (first + i) % philox_words;
        const index_t left = philox_words - at, count = left < n - i ? left : n - i;
        random_words(stream, static_cast<uint64_t>(group), words);
        for (int j = 0; j < philox_words; ++j) mask_values[j] = words[j] < threshold ? T(0) : T(1);
        map(x + i, mask_values + at, y + i, count,
            [=](Vec<T> v, Vec<T> mask) { return select_less(zero, mask, f * v, zero); });
        i += count;
    }
}

PYNN_ISA_END
