// A matrix product on one thread or several.
#pragma once

#include "nn/buffer.h"
#include "nn/parallel.h"

namespace pynn {

// g.workspace is provided here.
template <class T>
void product(Gemm<T> g);

// Part `index` of `count` of g: some of its rows or columns, in whole tiles. No sum is divided, so
// no bit depends on it. By columns: so that each thread reads a part of b only, if everybody gets
// some tiles.
template <class T>
Gemm<T> piece(Gemm<T> g, int index, int count);
template <class T>
Gemm<T> piece_by_columns(Gemm<T> g, int index, int count);

// The same on the calling thread, with the workspace that `space` holds or is given.
template <class T>
void product_serial(Gemm<T> g, Buffer<char>& space);
template <class T>
void product_serial(Gemm<T> g);  // with a workspace of the thread's own

}  // namespace pynn
