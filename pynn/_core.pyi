# The compiled core; .ci/run holds these against the module with stubtest.
from collections.abc import Callable, Sequence
from typing import Any, Generic, Protocol, TypedDict, TypeVar, final

import numpy as np
from numpy.typing import NDArray

from pynn._types import Array, TrainingResult

_Function = TypeVar("_Function", bound=Callable[..., Any])

class _Config(TypedDict):
    compiler: str
    isa: str
    isas_built: list[str]
    isas_usable: list[str]
    fused_multiply_add: bool
    openmp: bool
    threads: int

STAGING_BYTES: int

def config() -> _Config: ...
def set_num_threads(n: int) -> None: ...
def get_num_threads() -> int: ...
def requested_num_threads() -> int: ...
def make_builtin(function: _Function, doc: str) -> _Function: ...
def gemm_into(a: Array, b: Array, out: Array, alpha: float, beta: float) -> None: ...
def product_pieces(  # for the tests of what layers use: a product of several pieces
    pieces: Sequence[tuple[Array, Array, NDArray[np.int32] | None, NDArray[np.int32] | None]],
    c: Array,
    epilogue: str = "store",
    other: Array | None = None,
    factor: float = 1.0,
    beta: float = 0.0,
    k_before: int = 0,
    acc_in: Array | None = None,
    acc_out: Array | None = None,
    b_exceeds_l2: bool = False,
) -> str: ...
def strategies(rows: int, inputs: int, outputs: int) -> list[str]: ...
def warn_of_thread_shortage() -> None: ...
def set_thread_limit(n: int) -> int: ...
def loss_into(
    loss: dict[str, Any],
    outputs: Array,
    target: Array,
    weights: NDArray[np.float64] | None,
    gradient: Array,
) -> float: ...
def gather_rows(x: Array, rows: NDArray[np.int64] | None, out: Array) -> None: ...
def predict_into(loss: dict[str, Any], outputs: Array) -> None: ...

class _Optimizer:
    def __init__(self, *args: Any, **kwargs: Any) -> None: ...

@final
class OptimizerF32(_Optimizer): ...

@final
class OptimizerF64(_Optimizer): ...

_OptimizerT = TypeVar("_OptimizerT", bound=_Optimizer)
_OptimizerT_co = TypeVar("_OptimizerT_co", bound=_Optimizer, covariant=True)

class _MakeOptimizer(Protocol[_OptimizerT_co]):
    def __call__(
        self,
        rule: str,
        parameters: Array,
        m: Array | None,
        v: Array | None,
        learning_rates: Sequence[float],
        beta1: float,
        beta2: float,
        epsilon: float,
        weight_decay: float,
        steps: NDArray[np.int64],
        clip_norm: float = 0.0,
        plain_epsilon: bool = False,
    ) -> _OptimizerT_co: ...

optimizer_F32: _MakeOptimizer[OptimizerF32]
optimizer_F64: _MakeOptimizer[OptimizerF64]

class CsrMatrix:
    def __init__(
        self, starts: NDArray[Any], columns: NDArray[Any], values: Array, width: int
    ) -> None: ...

class _Access:
    def __enter__(self) -> None: ...
    def __exit__(self, *args: object) -> None: ...

@final
class Reading(_Access): ...

@final
class Writing(_Access): ...

@final
class Opened(_Access): ...

class _Network(Generic[_OptimizerT]):
    def __init__(
        self,
        layers: list[dict[str, Any]],
        input_shape: Sequence[int],
        loss: dict[str, Any],
        target_per_position: bool,
    ) -> None: ...
    @property
    def parameter_count(self) -> int: ...
    @property
    def block_size(self) -> int: ...
    def parameters(self) -> list[tuple[int, str, tuple[int, ...], int, bool]]: ...
    def shapes(self) -> list[tuple[int, int, int, int]]: ...
    def reshaped(self, input_shape: Sequence[int]) -> Any: ...
    def set_trainable(self, layer: int, parameter: int, trainable: bool) -> None: ...
    def reading(self, copies: bool = False) -> Reading: ...
    def writing(self, fits: bool = False) -> Writing: ...
    def opened(self) -> Opened: ...
    def user_here(self) -> int: ...
    def set_parameters(self, parameters: Array) -> None: ...
    def forward(self, x: Array | CsrMatrix, layer: int, predictions: bool, out: Array) -> None: ...
    def forward_training(
        self, x: Array | CsrMatrix, rng_position: NDArray[np.uint64], out: Array
    ) -> None: ...
    def forward_call(self) -> Callable[[Any, Any], Array | None]: ...
    def gradients(
        self,
        x: Array | CsrMatrix,
        y: Array,
        labels: bool,
        weights: NDArray[np.float64] | None,
        gradient: Array,
        rng_position: NDArray[np.uint64] | None,
    ) -> TrainingResult: ...
    def backward(
        self,
        x: Array,
        dout: Array,
        dx: Array | None,
        gradient: Array | None,
        rng_position: NDArray[np.uint64] | None,
    ) -> None: ...
    def input_gradient(
        self,
        x: Array,
        y: Array,
        labels: bool,
        weights: NDArray[np.float64] | None,
        dx: Array,
        rng_position: NDArray[np.uint64] | None,
    ) -> None: ...
    def train(
        self,
        x: Array | CsrMatrix,
        y: Array,
        labels: bool,
        weights: NDArray[np.float64] | None,
        order: NDArray[np.int64] | None,
        batch_size: int,
        optimizer: _OptimizerT,
        rng_position: NDArray[np.uint64],
        penalty_by_weight: bool,
        epoch_stats: NDArray[np.float64],
        report: Callable[[TrainingResult], None] | None,
    ) -> TrainingResult: ...
    def apply_gradient(
        self, gradient: Array, optimizer: _OptimizerT, rng_position: NDArray[np.uint64]
    ) -> TrainingResult: ...

@final
class NetworkF32(_Network[OptimizerF32]): ...

@final
class NetworkF64(_Network[OptimizerF64]): ...
