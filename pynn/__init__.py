"""pynn: neural networks on the CPU for people who think in NumPy arrays.

`MLP` is a network of dense layers, `Sequential` one of any `layers`; `SGD`, `Adam`, `AdamW` and
`RMSprop` are their optimizers; `matmul`, `relu`, `softmax` and their like are the kernels as NumPy
functions; `set_num_threads` and `show_config` are about the run time.
"""

import importlib
from typing import TYPE_CHECKING, Any

from pynn import _startup as _startup  # first: it looks before it loads the core
from pynn._version import __version__
from pynn.callbacks import Callback, EarlyStopping
from pynn.history import History
from pynn.losses import Huber, Loss, Pinball, SigmoidCrossEntropy, SoftmaxCrossEntropy
from pynn.mlp import MLP
from pynn.optimizers import SGD, Adam, AdamW, Optimizer, RMSprop

if TYPE_CHECKING:
    from pynn.checkpoint import Checkpoint
    from pynn.files.read import load
    from pynn.ops import (
        elu,
        elu_backward,
        gelu,
        gelu_backward,
        gemm,
        huber,
        leaky_relu,
        leaky_relu_backward,
        linear,
        linear_backward,
        log_softmax,
        log_softmax_backward,
        mae,
        matmul,
        mse,
        pinball,
        poisson,
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
    from pynn.runtime import get_num_threads, set_num_threads, show_config, threads
    from pynn.schedules import (
        Constant,
        CosineDecay,
        ExponentialDecay,
        InverseScaling,
        OneCycle,
        ReduceOnPlateau,
        Schedule,
        StepDecay,
        WarmUp,
    )
    from pynn.sequential import Sequential
    from pynn.stopping import StopOnSignal

__all__ = [
    "MLP",
    "SGD",
    "Adam",
    "AdamW",
    "Callback",
    "Checkpoint",
    "Constant",
    "CosineDecay",
    "EarlyStopping",
    "ExponentialDecay",
    "FitManyResult",
    "History",
    "Huber",
    "InverseScaling",
    "Loss",
    "OneCycle",
    "Optimizer",
    "Pinball",
    "RMSprop",
    "ReduceOnPlateau",
    "Schedule",
    "Sequential",
    "SigmoidCrossEntropy",
    "SoftmaxCrossEntropy",
    "StepDecay",
    "StopOnSignal",
    "WarmUp",
    "__version__",
    "convert",
    "elu",
    "elu_backward",
    "fit_many",
    "from_keras",
    "from_sklearn",
    "from_torch",
    "gelu",
    "gelu_backward",
    "gemm",
    "get_num_threads",
    "huber",
    "layers",
    "leaky_relu",
    "leaky_relu_backward",
    "linear",
    "linear_backward",
    "load",
    "log_softmax",
    "log_softmax_backward",
    "mae",
    "matmul",
    "mse",
    "pinball",
    "plot",
    "poisson",
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

# Imported at their first use, so that `import pynn` stays quick.
_LAZY = {
    "Checkpoint": "pynn.checkpoint",
    "Constant": "pynn.schedules",
    "CosineDecay": "pynn.schedules",
    "ExponentialDecay": "pynn.schedules",
    "FitManyResult": "pynn.many",
    "InverseScaling": "pynn.schedules",
    "OneCycle": "pynn.schedules",
    "ReduceOnPlateau": "pynn.schedules",
    "Schedule": "pynn.schedules",
    "Sequential": "pynn.sequential",
    "StepDecay": "pynn.schedules",
    "StopOnSignal": "pynn.stopping",
    "WarmUp": "pynn.schedules",
    "convert": "pynn.convert",
    "fit_many": "pynn.many",
    "layers": "pynn.layers",
    "from_keras": "pynn.convert",
    "from_sklearn": "pynn.convert",
    "from_torch": "pynn.convert",
    "get_num_threads": "pynn.runtime",
    "load": "pynn.files.read",
    "ops": "pynn.ops",
    "plot": "pynn.plot",
    "runtime": "pynn.runtime",
    "schedules": "pynn.schedules",
    "set_num_threads": "pynn.runtime",
    "show_config": "pynn.runtime",
    "sklearn": "pynn.sklearn",
    "threads": "pynn.runtime",
}


def __getattr__(name: str) -> Any:
    # What else is public, and not there, is a kernel.
    place = _LAZY.get(name, "pynn.ops" if name in __all__ else None)
    if place is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = importlib.import_module(place)
    value = module if place == f"pynn.{name}" else getattr(module, name)
    return globals().setdefault(name, value)


def __dir__() -> list[str]:
    # The public names only. (`sklearn` is not in __all__: a star import would need scikit-learn.)
    return sorted({*__all__, "sklearn"})
