"""The limit of the memory: a copy reads and writes as many bytes as an activation does."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np

COPY = "copy"


def copy(shape: tuple[int, ...], threads: int) -> Callable[[], None]:
    """Give ``np.copyto`` of an array of this shape, divided among `threads` threads."""
    x, out = np.ones(shape, np.float32), np.empty(shape, np.float32)
    if threads == 1:
        return lambda: np.copyto(out, x)
    pool = ThreadPoolExecutor(threads)
    parts = [np.array_split(array.reshape(-1), threads) for array in (out, x)]

    def run() -> None:
        for _ in pool.map(np.copyto, *parts):
            pass

    return run
