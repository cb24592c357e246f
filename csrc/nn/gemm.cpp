#include "nn/gemm.h"

#include "dispatch/dispatch.h"

namespace pynn {
namespace {

// The rows or the columns, whichever leaves larger pieces, in whole tiles. No sum is ever divided.
template <class T>
Gemm<T> gemm_part(Gemm<T> g, int index, int count) {
    const Kernels<T>& k = kernels<T>();
    if (g.m / k.mr >= g.n / k.nr) {
        const index_t grain = g.m >= k.mr * count ? k.mr : 1;
        const Range rows = partition(g.m, index, count, grain);
        return row_range(g, rows.begin, rows.size());
    }
    const Range columns = partition(g.n, index, count, k.nr);
    return column_range(g, columns.begin, columns.size());
}

Buffer<char>& thread_workspace() {
    thread_local Buffer<char> space;
    return space;
}

}  // namespace

template <class T>
Gemm<T> column_part(Gemm<T> g, int index, int count) {
    constexpr index_t few = 4;
    const index_t grain = kernels<T>().nr;
    if (g.n < few * grain * count) return gemm_part(g, index, count);
    const Range columns = partition(g.n, index, count, grain);
    return column_range(g, columns.begin, columns.size());
}

template <class T>
void serial_gemm(Gemm<T> g, Buffer<char>& space) {
    const Kernels<T>& k = kernels<T>();
    g.workspace = space.reserve(k.gemm_workspace(g));
    k.gemm(g);
}

template <class T>
void serial_gemm(Gemm<T> g) {
    // (A long sum that is added to c is collected in a workspace as large as c: not to be kept.)
    constexpr index_t most_kept = 8 * 1024 * 1024;
    if (kernels<T>().gemm_workspace(g) > most_kept) {
        Buffer<char> own;
        serial_gemm(g, own);
    } else {
        serial_gemm(g, thread_workspace());
    }
}

template <class T>
void parallel_gemm(Gemm<T> g) {
    const double flops =
        2.0 * static_cast<double>(g.m) * static_cast<double>(g.n) * static_cast<double>(g.k);
    const int threads = threads_for(flops, g.m * g.n);
    if (threads == 1) {
        serial_gemm(g);
        return;
    }
    run_team(threads, [&](int index, int count) { serial_gemm(gemm_part(g, index, count)); });
}

template Gemm<float> column_part(Gemm<float>, int, int);
template Gemm<double> column_part(Gemm<double>, int, int);
template void parallel_gemm<float>(Gemm<float>);
template void parallel_gemm<double>(Gemm<double>);
template void serial_gemm<float>(Gemm<float>);
template void serial_gemm<double>(Gemm<double>);
template void serial_gemm<float>(Gemm<float>, Buffer<char>&);
template void serial_gemm<double>(Gemm<double>, Buffer<char>&);

}  // namespace pynn
