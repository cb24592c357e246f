"""The limit of the memory: a copy reads and writes as many bytes as an activation does."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from peers.base import Array

COPY = "copy"


def copy(x: Array, threads: int) -> Callable[[], None]:
    """Give ``np.copyto`` to another array, divided among so many threads."""
    out = np.empty_like(x)
    if threads == 1:
        return lambda: np.copyto(out, x)
    pool = ThreadPoolExecutor(threads)
    parts = [np.array_split(array.reshape(-1), threads) for array in (out, x)]

    def run() -> None:
        for _ in pool.map(np.copyto, *parts):
            pass

    return run
