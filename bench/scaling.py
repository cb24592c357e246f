"""How much more several cores of this machine do than one: processes that share nothing.

    python bench/scaling.py --threads 2

Each process trains a small network again and again on one thread and one core, first while the
others rest, then all at once. On a dedicated machine N cores do N times the work of one. A
virtual machine, or one whose clock falls under load, does less. Threads in one process cannot do
more than that.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import statistics
import time
from multiprocessing.connection import Connection

import machine

LAYERS, SAMPLES, BATCH = (64, 30, 10), 1800, 32  # stays in the caches of a core
SECONDS = 0.05


def _train(pipe: Connection, core: int | None) -> None:
    """Train as many epochs as each message says, and answer with the seconds."""
    if core is not None:
        os.sched_setaffinity(0, {core})
    import numpy as np

    import pynn

    pynn.set_num_threads(1)
    rng = np.random.default_rng(0)
    X = rng.random((SAMPLES, LAYERS[0]), dtype=np.float32)
    y = rng.integers(LAYERS[-1], size=SAMPLES)
    net, optimizer = pynn.MLP(LAYERS, seed=0), pynn.SGD(1e-3)
    while epochs := pipe.recv():
        start = time.perf_counter()
        net.fit(X, y, epochs=epochs, batch_size=BATCH, optimizer=optimizer, progress=False)
        pipe.send(time.perf_counter() - start)


def _seconds(pipes: list[Connection], epochs: int) -> list[float]:
    for pipe in pipes:
        pipe.send(epochs)
    return [pipe.recv() for pipe in pipes]


def measure(threads: int, rounds: int) -> list[float]:
    """Return the work of `threads` processes relative to one, round by round."""
    context = multiprocessing.get_context("spawn")
    cores = machine.cores()
    pipes, processes = [], []
    for i in range(threads):
        ours, theirs = context.Pipe()
        core = cores[i] if cores and len(cores) >= threads else None
        process = context.Process(target=_train, args=(theirs, core), daemon=True)
        process.start()
        pipes.append(ours)
        processes.append(process)
    _seconds(pipes, 1)
    epochs = max(1, round(SECONDS / statistics.mean(_seconds(pipes, 10)) * 10))
    ratios = []
    for _ in range(rounds):
        alone = [_seconds([pipe], epochs)[0] for pipe in pipes]
        together = _seconds(pipes, epochs)
        ratios.append(sum(alone) / max(together))
    for pipe, process in zip(pipes, processes, strict=True):
        pipe.send(0)
        process.join()
    return ratios


def describe(threads: int, rounds: int = 15) -> str:
    """Say it in a line."""
    ratios = sorted(measure(threads, rounds))
    low, high = ratios[len(ratios) // 4], ratios[-1 - len(ratios) // 4]
    return (
        f"machine: {threads} processes that share nothing do {statistics.median(ratios):.2f} times "
        f"the work of one (median of {rounds} rounds; quartiles {low:.2f}, {high:.2f})"
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    print(describe(options.threads, options.rounds))


if __name__ == "__main__":
    main()
