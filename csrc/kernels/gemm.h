// A whole matrix product on one thread: the table of strategies.
#pragma once

#include "kernels/gemm_l1_panels.h"
#include "kernels/gemm_skinny.h"
#include "kernels/gemm_streamed.h"
#include "kernels/gemm_transposed.h"
#include "kernels/gemv.h"
#include "kernels/outer.h"

PYNN_ISA_BEGIN

// Each has a name, a condition (applies), the bytes that a product or fewer of its rows may take
// (workspace), and the product itself (run). Its file gives the reason and the measured gain.
template <class... S>
struct Strategies {
    // The first one that applies.
    template <class T>
    static PYNN_INLINE void run(const Gemm<T>& g) {
        static_cast<void>(((is_in_use<S>(g) && (S::run(g), true)) || ...));
    }
    template <class T>
    static PYNN_INLINE const char* name(const Gemm<T>& g) {
        const char* name = nullptr;
        static_cast<void>(((is_in_use<S>(g) && (name = S::name)) || ...));
        return name;
    }
    template <class T>
    static PYNN_INLINE index_t workspace(const Gemm<T>& g) {
        index_t most = 0;
        ((most = at_least(most, S::workspace(g))), ...);
        return most;
    }

private:
    template <class Strategy, class T>
    static PYNN_INLINE bool is_in_use(const Gemm<T>& g) {
        return !is_left_out(Strategy::name) && Strategy::applies(g);
    }
};

// Read from the first to the last.
using GemmStrategies = Strategies<Outer, Gemv, Streamed, Transposed, Skinny, L1Panels, Blocks>;
// Those that take several pieces, tables, and sums that continue.
using PieceStrategies = Strategies<L1Panels, Blocks>;

template <class T>
PYNN_INLINE void run_strategy(const Gemm<T>& g) {
    if (is_plain(g)) return GemmStrategies::run(g);
    PieceStrategies::run(g);
}
template <class T>
PYNN_INLINE index_t strategy_workspace(const Gemm<T>& g) {
    return is_plain(g) ? GemmStrategies::workspace(g) : PieceStrategies::workspace(g);
}

// A sum in several pieces is collected in c. Where the epilogue reads c, it is collected in the
// workspace.
template <class T>
PYNN_INLINE bool needs_sums(const Gemm<T>& g) {
    const bool reads_c =
        g.epilogue == Epilogue::scale ? g.beta != T(0) : g.epilogue == Epilogue::update;
    return reads_c && g.k > KC;
}
template <class T>
PYNN_INLINE index_t sums_bytes(const Gemm<T>& g) {
    return BlockingPlan<T>::round_up(g.m * g.n * static_cast<index_t>(sizeof(T)));
}
// The product whose result is the sums.
template <class T>
PYNN_INLINE Gemm<T> product_of_sums(const Gemm<T>& g) {
    Gemm<T> s = g;
    s.c = static_cast<T*>(g.workspace);
    s.c_row = g.n;
    s.epilogue = Epilogue::store;
    if (g.workspace) s.workspace = static_cast<char*>(g.workspace) + sums_bytes(g);
    return s;
}

template <class T>
index_t gemm_workspace_kernel(const Gemm<T>& g) {
    if (!needs_sums(g)) return strategy_workspace(g);
    return sums_bytes(g) + strategy_workspace(product_of_sums(g));
}

template <class T>
const char* gemm_strategy_kernel(const Gemm<T>& g) {
    const Gemm<T> s = needs_sums(g) ? product_of_sums(g) : g;
    return is_plain(s) ? GemmStrategies::name(s) : PieceStrategies::name(s);
}

template <class T>
void gemm_kernel(const Gemm<T>& g) {
    if (g.m == 0 || g.n == 0) return;
    if (!needs_sums(g)) return run_strategy(g);
    const Gemm<T> s = product_of_sums(g);
    run_strategy(s);
    write_rows(g, s.c, 0, g.m);
}

PYNN_ISA_END
