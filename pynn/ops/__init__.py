"""The kernels as functions of NumPy arrays."""

from pynn._types import ACTIVATIONS as ACTIVATIONS
from pynn._types import FLOATS as FLOATS
from pynn.ops.activations import elu, gelu, leaky_relu, relu, sigmoid, silu, softplus, tanh
from pynn.ops.gradients import (
    elu_backward,
    gelu_backward,
    leaky_relu_backward,
    relu_backward,
    sigmoid_backward,
    silu_backward,
    softplus_backward,
    tanh_backward,
)
from pynn.ops.layers import linear, linear_backward
from pynn.ops.losses import (
    huber,
    mae,
    mse,
    pinball,
    poisson,
    sigmoid_cross_entropy,
    softmax_cross_entropy,
    squared_error,
)
from pynn.ops.products import gemm, matmul
from pynn.ops.softmaxes import log_softmax, log_softmax_backward, softmax, softmax_backward

__all__ = [
    "elu",
    "elu_backward",
    "gelu",
    "gelu_backward",
    "gemm",
    "huber",
    "leaky_relu",
    "leaky_relu_backward",
    "linear",
    "linear_backward",
    "log_softmax",
    "log_softmax_backward",
    "mae",
    "matmul",
    "mse",
    "pinball",
    "poisson",
    "relu",
    "relu_backward",
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
]


def __dir__() -> list[str]:
    return __all__
