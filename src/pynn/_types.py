"""Types that several modules name."""

from __future__ import annotations

from typing import Any, TypedDict

from numpy.typing import NDArray

Array = NDArray[Any]


class TrainingResult(TypedDict):
    """What the core's training loop has done so far, or in all.

    ``epochs`` are whole ones; ``loss`` (a sum), ``samples`` and ``batches`` are of the last one
    begun. ``largest_loss`` is that of a sample, times its weight, where gradients were computed.
    """

    epochs: int
    loss: float
    samples: int
    batches: int
    finite: bool
    bad_loss: float
    largest_loss: float
