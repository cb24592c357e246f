// Sorts keys of 64 bits by their upper halves; the lower ones, which increase already, number them.
#pragma once

#include <algorithm>
#include <cstdint>
#include <utility>

#include "kernels/kernel_table.h"

namespace pynn {

// Sort n keys whose upper halves are below `limit`, digit by digit from the last one, which keeps
// the order of equal ones. `other` has room for as many; returns the one of the two with the
// result.
inline uint64_t* sort_keys(uint64_t* keys, uint64_t* other, index_t n, index_t limit) {
    constexpr int digit = 11, few = 256;
    if (n <= few) {
        std::sort(keys, keys + n);
        return keys;
    }
    for (int shift = 0; (limit - 1) >> shift > 0; shift += digit) {
        index_t starts[1 << digit] = {};
        const auto digit_of = [=](uint64_t key) {
            return key >> (32 + shift) & ((1 << digit) - 1);
        };
        for (index_t e = 0; e < n; ++e) ++starts[digit_of(keys[e])];
        index_t next = 0;
        for (index_t& start : starts) {
            const index_t size = start;
            start = next;
            next += size;
        }
        for (index_t e = 0; e < n; ++e) other[starts[digit_of(keys[e])]++] = keys[e];
        std::swap(keys, other);
    }
    return keys;
}

}  // namespace pynn
