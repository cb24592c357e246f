"""Types that several modules name."""

from __future__ import annotations

from typing import Any, TypedDict

from numpy.typing import NDArray

Array = NDArray[Any]


class EpochResult(TypedDict):
    """What the core's training loop has done so far, or in all."""

    loss: float
    samples: int
    batches: int
    finite: bool
    bad_loss: float
