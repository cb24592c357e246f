"""Interleaved timing: every round times every contender once, so that all see the same machine."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

MIN_ROUNDS = 5
# Seconds. (What runs on another core is counted when its clock ticks, every 4 to 10 ms on Linux.)
QUIET_POLL, QUIET_LIMIT = 0.025, 0.5


@dataclass
class Contender:
    """One library at one case.

    Attributes
    ----------
    name : str
        Of the library.
    run : callable
        ``run(n)`` does the work n times.
    repeats, warm_repeats : int
        How often a timed sample does it, and the untimed run before; see `calibrate`.
    """

    name: str
    run: Callable[[int], None]
    repeats: int = 1
    warm_repeats: int = 1

    def sample(self, repeats: int) -> float:
        """Seconds of `repeats` times the work."""
        start = time.perf_counter()
        self.run(repeats)
        return time.perf_counter() - start

    def calibrate(self, seconds: float, limit: int = 10**9) -> None:
        """Choose the repeats so that a sample takes about `seconds`.

        Every count tried runs untimed first: a just-in-time compiler may compile for each.
        """
        repeats = warm = 1
        for _ in range(8):
            self.sample(repeats)
            taken = max(self.sample(repeats), 1e-7)
            if taken >= 0.7 * seconds or repeats >= limit:
                break
            warm = repeats
            repeats = min(limit, max(repeats + 1, int(repeats * min(seconds / taken, 1000.0))))
        self.repeats, self.warm_repeats = repeats, warm


def calls_of(function: Callable[[], Any]) -> Callable[[int], None]:
    """Give the loop over a function."""

    def run(n: int) -> None:
        for _ in range(n):
            function()

    return run


def in_turn(train: Callable[[int, int], None], available: int) -> Callable[[int], None]:
    """Train on the next mini-batches at each call, from the first again at the end."""
    position = 0

    def run(steps: int) -> None:
        nonlocal position
        if position + steps > available:
            position = 0
        train(position, steps)
        position += steps

    return run


def wait_until_quiet() -> None:
    """Wait until no thread of this process runs but this one.

    The worker threads of most libraries spin for a while after their work (those of OpenBLAS
    for 2**28 ticks of the clock, a tenth of a second) and would take the next one's cores.
    """
    deadline = time.perf_counter() + QUIET_LIMIT
    while time.perf_counter() < deadline:
        start, used = time.perf_counter(), time.process_time()
        time.sleep(QUIET_POLL)
        if time.process_time() - used < 0.1 * (time.perf_counter() - start):
            break


def measure(contenders: list[Contender], rounds: int, budget: float) -> dict[str, list[float]]:
    """Time the contenders in turn, beginning with another one each round.

    Parameters
    ----------
    contenders : list of Contender
        Calibrated.
    rounds : int
        Most rounds.
    budget : float
        Seconds after which no further round begins (except the first `MIN_ROUNDS`).

    Returns
    -------
    dict
        Seconds of one unit of work, per library and round.
    """
    seconds: dict[str, list[float]] = {contender.name: [] for contender in contenders}
    deadline = time.perf_counter() + budget
    gc.collect()
    gc.disable()
    try:
        for round_ in range(rounds):
            if round_ >= MIN_ROUNDS and time.perf_counter() > deadline:
                break
            first = round_ % len(contenders)
            for contender in contenders[first:] + contenders[:first]:
                wait_until_quiet()
                contender.sample(contender.warm_repeats)
                taken = contender.sample(contender.repeats)
                seconds[contender.name].append(taken / contender.repeats)
    finally:
        gc.enable()
    return seconds


def median_ratio(theirs: list[float], ours: list[float]) -> float:
    """Median of the ratios taken round by round."""
    return statistics.median(a / b for a, b in zip(theirs, ours, strict=True))
