// The kernels of one instruction set: this file is compiled once for each row of the table in
// CMakeLists.txt. The contract stands in isa.h.
#include "kernels/dropout.h"
#include "kernels/gemm.h"
#include "kernels/losses.h"
#include "kernels/sparse.h"

PYNN_ISA_BEGIN

template <class T>
constexpr Kernels<T> kernels = {
    gemm_workspace_kernel<T>,
    gemm_kernel<T>,
    gemm_strategy_kernel<T>,
    MR,
    NR_VECTORS * Vec<T>::width,
    prefetches_rows,
    sparse_product_kernel<T>,
    sparse_outer_kernel<T>,
    copy_block<T>,
    relu_kernel<T>,
    sigmoid_kernel<T>,
    tanh_kernel<T>,
    exp_kernel<T>,
    softplus_kernel<T>,
    silu_kernel<T>,
    gelu_kernel<T>,
    gelu_tanh_kernel<T>,
    flushed_sigmoid_kernel<T>,
    flushed_exp_kernel<T>,
    flushed_softplus_kernel<T>,
    flushed_silu_kernel<T>,
    flushed_gelu_kernel<T>,
    flush_tiny_kernel<T>,
    relu_backward_kernel<T>,
    sigmoid_backward_kernel<T>,
    tanh_backward_kernel<T>,
    exp_backward_kernel<T>,
    elu_kernel<T>,
    leaky_relu_kernel<T>,
    elu_backward_kernel<T>,
    leaky_relu_backward_kernel<T>,
    softplus_backward_kernel<T>,
    silu_backward_kernel<T>,
    gelu_backward_kernel<T>,
    gelu_tanh_backward_kernel<T>,
    flushed_silu_backward_kernel<T>,
    flushed_gelu_backward_kernel<T>,
    softmax_kernel<T>,
    log_softmax_kernel<T>,
    softmax_backward_kernel<T>,
    log_softmax_backward_kernel<T>,
    column_sums_kernel<T>,
    sum_kernel<T>,
    sum_squares_kernel<T>,
    sum_abs_kernel<T>,
    all_finite_kernel<T>,
    scale_kernel<T>,
    clip_column_norms_kernel<T>,
    dropout_kernel<T>,
    softmax_cross_entropy_kernel<T>,
    sigmoid_cross_entropy_kernel<T>,
    squared_error_kernel<T>,
    absolute_error_kernel<T>,
    huber_kernel<T>,
    pinball_kernel<T>,
    poisson_kernel<T>,
    poisson_of_mean_kernel<T>,
    update_kernel<T>,
};

PYNN_ISA_END

namespace pynn {

extern const KernelTable PYNN_PASTE(kernel_table_, PYNN_ISA);
const KernelTable PYNN_PASTE(kernel_table_, PYNN_ISA) = {
    PYNN_STRING(PYNN_ISA),
    PYNN_ISA::has_fma,
    PYNN_ISA::kernels<float>,
    PYNN_ISA::kernels<double>,
};

}  // namespace pynn
