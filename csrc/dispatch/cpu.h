// What this machine can execute: the CPU has it, and the operating system saves its registers.
#pragma once

namespace pynn::cpu {

// One function for each row of the table of instruction sets in CMakeLists.txt.
bool supports_baseline();
bool supports_avx2();
bool supports_avx512();
bool supports_neon();

}  // namespace pynn::cpu
