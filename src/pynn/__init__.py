"""pynn: neural networks on the CPU for people who think in NumPy arrays.

`MLP` is the network, `SGD` its optimiser; `matmul`, `relu`, `softmax` and their like are the
kernels as NumPy functions; `set_num_threads` and `show_config` are about the run time.
"""

from pynn._version import __version__
from pynn.history import History
from pynn.mlp import MLP
from pynn.ops import (
    elu,
    elu_backward,
    gelu,
    gelu_backward,
    gemm,
    leaky_relu,
    leaky_relu_backward,
    linear,
    linear_backward,
    log_softmax,
    log_softmax_backward,
    matmul,
    mse,
    relu,
    relu_backward,
    sigmoid,
    sigmoid_backward,
    sigmoid_cross_entropy,
    silu,
    silu_backward,
    softmax,
    softmax_backward,
    softmax_cross_entropy,
    softplus,
    softplus_backward,
    squared_error,
    tanh,
    tanh_backward,
)
from pynn.optimizers import SGD, Optimizer
from pynn.runtime import get_num_threads, set_num_threads, show_config, threads

__all__ = [
    "MLP",
    "SGD",
    "History",
    "Optimizer",
    "__version__",
    "elu",
    "elu_backward",
    "gelu",
    "gelu_backward",
    "gemm",
    "get_num_threads",
    "leaky_relu",
    "leaky_relu_backward",
    "linear",
    "linear_backward",
    "log_softmax",
    "log_softmax_backward",
    "matmul",
    "mse",
    "relu",
    "relu_backward",
    "set_num_threads",
    "show_config",
    "sigmoid",
    "sigmoid_backward",
    "sigmoid_cross_entropy",
    "silu",
    "silu_backward",
    "softmax",
    "softmax_backward",
    "softmax_cross_entropy",
    "softplus",
    "softplus_backward",
    "squared_error",
    "tanh",
    "tanh_backward",
    "threads",
]
