// A matrix product on one thread or several.
#pragma once

#include "nn/buffer.h"
#include "threads/team.h"

namespace pynn {

// g.workspace is provided here.
template <class T>
void parallel_gemm(Gemm<T> g);

// The same on the calling thread, with the workspace that `space` holds or is given.
template <class T>
void serial_gemm(Gemm<T> g, Buffer<char>& space);
template <class T>
void serial_gemm(Gemm<T> g);  // with a workspace of the thread's own

// Part `index` of `count` of g, as the threads of product() divide it, but by columns, if each
// thread gets some tiles of them: each thread then reads a part of b only. No sum is divided, so no
// bit depends on it.
template <class T>
Gemm<T> column_part(Gemm<T> g, int index, int count);

}  // namespace pynn
