#include "nn/product.h"

#include "dispatch/dispatch.h"

namespace pynn {
namespace {

template <class T>
Gemm<T> rows_of(Gemm<T> g, Range rows) {
    g.a += rows.begin * g.a_row;
    g.c += rows.begin * g.c_row;
    if (g.y) g.y += rows.begin * g.y_row;
    g.m = rows.size();
    return g;
}
template <class T>
Gemm<T> columns_of(Gemm<T> g, Range columns) {
    g.b += columns.begin * g.b_col;
    g.c += columns.begin;
    if (g.bias) g.bias += columns.begin;
    if (g.y) g.y += columns.begin;
    g.n = columns.size();
    return g;
}

// The rows or the columns, whichever leaves larger pieces, in whole tiles. No sum is ever divided.
template <class T>
Gemm<T> piece(Gemm<T> g, int index, int count) {
    const Kernels<T>& k = kernels<T>();
    if (g.m / k.tile_rows >= g.n / k.tile_columns) {
        const index_t grain = g.m >= k.tile_rows * count ? k.tile_rows : 1;
        return rows_of(g, part(g.m, index, count, grain));
    }
    return columns_of(g, part(g.n, index, count, k.tile_columns));
}

Buffer<char>& thread_workspace() {
    thread_local Buffer<char> space;
    return space;
}

}  // namespace

template <class T>
Gemm<T> piece_by_columns(Gemm<T> g, int index, int count) {
    constexpr index_t few = 4;
    const index_t columns = kernels<T>().tile_columns;
    if (g.n < few * columns * count) return piece(g, index, count);
    return columns_of(g, part(g.n, index, count, columns));
}

template <class T>
void product_serial(Gemm<T> g, Buffer<char>& space) {
    const Kernels<T>& k = kernels<T>();
    g.workspace = space.reserve(k.gemm_workspace(g));
    k.gemm(g);
}

template <class T>
void product_serial(Gemm<T> g) {
    // (A long sum that is added to c is collected in a workspace as large as c: not to be kept.)
    constexpr index_t most_kept = 8 * 1024 * 1024;
    if (kernels<T>().gemm_workspace(g) > most_kept) {
        Buffer<char> own;
        product_serial(g, own);
    } else {
        product_serial(g, thread_workspace());
    }
}

template <class T>
void product(Gemm<T> g) {
    const double operations =
        2.0 * static_cast<double>(g.m) * static_cast<double>(g.n) * static_cast<double>(g.k);
    const int threads = threads_for(operations, g.m * g.n);
    if (threads == 1) {
        product_serial(g);
        return;
    }
    run_team(threads, [&](int index, int count) { product_serial(piece(g, index, count)); });
}

template Gemm<float> piece_by_columns(Gemm<float>, int, int);
template Gemm<double> piece_by_columns(Gemm<double>, int, int);
template void product<float>(Gemm<float>);
template void product<double>(Gemm<double>);
template void product_serial<float>(Gemm<float>);
template void product_serial<double>(Gemm<double>);
template void product_serial<float>(Gemm<float>, Buffer<char>&);
template void product_serial<double>(Gemm<double>, Buffer<char>&);

}  // namespace pynn
