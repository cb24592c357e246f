// The products of one instruction set in float32, with a switch for each strategy, for
// strategies.py.
#include <cstring>

#include "kernels/gemm.h"

using pynn::Epilogue;
using pynn::Gemm;
using pynn::index_t;

extern "C" {

// A product (m, k) by (k, n) as a layer has it. `copies` of b take turns, so that it comes from as
// far away as in a network.
struct Product {
    index_t m, k, n;
    int a_transposed, b_transposed, epilogue, b_exceeds_l2, copies;
    const float *a, *b, *bias, *y;
    float* c;
    void* workspace;
};

int64_t product_workspace(const Product* p);
const char* product_strategy(const Product* p);
void run_product(const Product* p, int repeats);
// The strategy of this name is left out from now on; of any other: none.
void leave_out(const char* name);
}

namespace {

Gemm<float> gemm_of(const Product& p) {
    Gemm<float> g{};
    g.m = p.m;
    g.k = p.k;
    g.n = p.n;
    g.a = p.a;
    g.a_row = p.a_transposed ? 1 : p.k;
    g.a_col = p.a_transposed ? p.m : 1;
    g.b = p.b;
    g.b_row = p.b_transposed ? 1 : p.n;
    g.b_col = p.b_transposed ? p.k : 1;
    g.b_exceeds_l2 = p.b_exceeds_l2 != 0;
    g.c = p.c;
    g.c_row = g.y_row = p.n;
    g.epilogue = static_cast<Epilogue>(p.epilogue);
    if (g.epilogue == Epilogue::bias) g.bias = p.bias;
    if (g.epilogue == Epilogue::relu_backward) g.y = p.y;
    g.alpha = -1e-6f;  // plain SGD's step
    g.beta = 1;
    g.workspace = p.workspace;
    return g;
}

}  // namespace

int64_t product_workspace(const Product* p) {
    return pynn::PYNN_ISA::gemm_workspace_kernel(gemm_of(*p));
}
const char* product_strategy(const Product* p) {
    return pynn::PYNN_ISA::gemm_strategy_kernel(gemm_of(*p));
}
void run_product(const Product* p, int repeats) {
    Gemm<float> g = gemm_of(*p);
    for (int i = 0; i < repeats; ++i) {
        g.b = p->b + i % p->copies * p->k * p->n;
        pynn::PYNN_ISA::gemm_kernel(g);
    }
}

void leave_out(const char* name) {
    namespace isa = pynn::PYNN_ISA;
    isa::left_out = nullptr;
    const char* const names[] = {
        isa::Outer::name,  isa::Gemv::name,     isa::Streamed::name,     isa::Transposed::name,
        isa::Skinny::name, isa::L1Panels::name, isa::tile_sequence_name,
    };
    for (const char* each : names) {
        if (std::strcmp(name, each) == 0) isa::left_out = each;
    }
}
