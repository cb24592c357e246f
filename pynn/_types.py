"""Types that several modules name: of arrays, of numbers, and the activations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

__all__ = [
    "ACTIVATIONS",
    "FLOATS",
    "LEAKY_SLOPE",
    "NUMBERS",
    "OUTPUT_ACTIVATIONS",
    "Array",
    "ArrayLike",
    "DTypeLike",
    "NDArray",
    "Role",
    "TrainingResult",
]

if TYPE_CHECKING:
    from typing import Literal, TypedDict

    from numpy.typing import ArrayLike, DTypeLike, NDArray

    Array = NDArray[Any]
    # What an argument is for, which decides the cure that its errors name.
    Role = Literal["samples", "labels", "values", "numbers"]

    class TrainingResult(TypedDict):
        """What the core's training loop has done so far, or in all.

        ``epochs`` are whole ones; ``loss`` (a sum), ``samples`` and ``batches`` are of the last
        one begun, ``steps`` of all. ``failure``: why the next mini-batch was the last ("loss",
        "gradient", "parameters" or "rate": it was not applied; "update": it was, and the result
        is not finite). ``largest_loss`` is that of a sample, times its weight, where gradients were
        computed. ``changed_row``: of a sample that no longer fits; -1: none. ``changed_kind``:
        "label" or "token", whose value is ``changed_value``, or "indices". ``changed_applied``:
        the step on it was. ``sparse_fault``, of training only: why there was none, or "".
        """

        epochs: int
        loss: float
        samples: int
        batches: int
        steps: int
        finite: bool
        failure: str
        bad_loss: float
        largest_loss: float
        changed_row: int
        changed_kind: str
        changed_value: int
        changed_applied: bool
        sparse_fault: str
else:
    # At run time they stand in annotations only, and numpy.typing takes its time to import.
    ArrayLike = DTypeLike = Role = TrainingResult = Any
    Array = NDArray = np.ndarray


# The kinds of dtypes of real numbers.
NUMBERS = "biuf"
FLOATS = (np.dtype(np.float32), np.dtype(np.float64))
ACTIVATIONS = (
    "identity",
    "relu",
    "leaky_relu",
    "elu",
    "gelu",
    "silu",
    "softplus",
    "sigmoid",
    "tanh",
)
# Possible for the outputs only.
OUTPUT_ACTIVATIONS = ("exp", "softmax")
# The slope of "leaky_relu" below 0.
LEAKY_SLOPE = 0.01
