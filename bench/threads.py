"""Time pynn on one thread and on several, interleaved in one process: where do they pay?

    python bench/threads.py --threads 2 [--busy 2]

Lists the cases that gain little from the threads although there is work for all, and those that
lose. Runs on an idle machine, or beside `--busy` programs that compute without pause.
"""

from __future__ import annotations

import argparse
import math
import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import data
import machine
import numpy as np
import peers
import scaling
from cases import Activation, Prediction, Product, Training, cases, sweep
from peers.base import Peer
from report import print_machine
from timing import Contender, calls_of, in_turn, measure, median_ratio

SAMPLE = 0.01  # seconds
ENOUGH = 20e6  # operations: a product beyond has work for several threads
GAINS, LOSES = 0.95, 0.9  # of the threads' number; of the speed of one thread
ONE, SEVERAL = "one", "several"
Work = Product | Activation | Prediction | Training
Result = tuple[Work, float]  # and how many times as fast it is on several threads


@contextmanager
def busy(programs: int) -> Iterator[None]:
    """Run programs that compute without pause, a core each, until the end of the block."""
    endless = [sys.executable, "-c", "while True: pass"]
    running = [subprocess.Popen(endless) for _ in range(programs)]
    try:
        yield
    finally:
        for program in running:
            program.kill()
            program.wait()


def works(quick: bool) -> list[Work]:
    """Give the trainings, the products, the predictions, and the activations beyond the caches."""
    sections = ("training", "matmul", "activations", "prediction")
    listed = [case for section in sections for case in cases(section, quick=quick)]
    found = [case for case in listed if isinstance(case, Work)]
    found += [case for case in sweep()[:: 8 if quick else 1] if isinstance(case, Work)]
    return [case for case in found if not isinstance(case, Activation) or case.memory_bound]


def repeated(case: Work, pynn: Peer) -> Callable[[int], Any] | None:
    """Return a function that repeats a case's work, None if there is none."""
    rng = np.random.default_rng(0)
    if isinstance(case, Training):
        start, batches = data.model(case.sizes, rng), data.mini_batches(case, rng)
        assert pynn.trainer is not None
        return in_turn(pynn.trainer(start, batches).train, len(batches))
    function = data.programs(case, rng)(pynn)
    return None if function is None else calls_of(function)


def on_threads(work: Callable[[int], Any], threads: int) -> Callable[[int], None]:
    """Do the work on `threads` of pynn's threads."""
    import pynn

    def run(n: int) -> None:
        with pynn.threads(threads):
            work(n)

    return run


def timed(work: Callable[[int], Any], threads: int, rounds: int) -> dict[str, list[float]]:
    """Seconds of a piece of work on one thread and on several, by round."""
    contenders = [
        Contender(name, on_threads(work, n)) for name, n in ((ONE, 1), (SEVERAL, threads))
    ]
    for contender in contenders:
        contender.calibrate(SAMPLE)
    return measure(contenders, rounds, math.inf)


def compare(todo: list[Work], pynn: Peer, threads: int, rounds: int) -> list[Result]:
    """Measure, and print a line for each."""
    columns = ("µs on 1 thread", f"on {threads}", "ratio")
    print("\n" + f"{'':34}" + "".join(f"{column:>16}" for column in columns))
    results = []
    for case in todo:
        work = repeated(case, pynn)
        if work is None:
            continue
        seconds = timed(work, threads, rounds)
        ratio = median_ratio(seconds[ONE], seconds[SEVERAL])
        times = (f"{statistics.median(seconds[name]) * 1e6:.2f}" for name in (ONE, SEVERAL))
        cells = "".join(f"{cell:>16}" for cell in (*times, f"{ratio:.2f}"))
        print(f"{case.name:34}{cells}", flush=True)
        results.append((case, ratio))
    return results


def print_verdict(results: list[Result], threads: int) -> None:
    """Name what stays below what it should reach, the worst first."""
    enough = [r for r in results if isinstance(r[0], Activation) or r[0].work > ENOUGH]
    gain = GAINS * threads
    lists = {
        f"below {gain:g} times as fast on {threads} threads, though above {ENOUGH / 1e6:g} MFLOP "
        "(or an activation)": [r for r in enough if r[1] < gain],
        f"slower on {threads} threads (ratio below {LOSES})": [r for r in results if r[1] < LOSES],
    }
    for title, found in lists.items():
        print(f"\n{title}: {len(found) or 'none'}")
        for case, ratio in sorted(found, key=lambda result: result[1]):
            print(f"  {ratio:5.2f}  {case.name}")


def main() -> int:
    """Measure the cases that the options select."""
    options = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    options.add_argument("--threads", type=int, default=2, help="several (%(default)s)")
    options.add_argument("--rounds", type=int, default=15, help="(%(default)s)")
    options.add_argument("--busy", type=int, default=0, help="other programs (none)")
    options.add_argument("--quick", action="store_true", help="a few cases: does it run?")
    arguments = options.parse_args()
    cores = machine.cores()
    if arguments.threads < 2:
        options.error("--threads must be at least 2")
    if cores and arguments.threads > len(cores):
        options.error(f"this process may use {len(cores)} cores only")
    if cores:  # before OpenMP is loaded
        os.sched_setaffinity(0, cores[: arguments.threads])

    pynn = peers.load(peers.PYNN, arguments.threads)
    print_machine(machine.describe())
    print(scaling.describe(arguments.threads, 3 if arguments.quick else 15))
    neighbors = machine.Neighbors()
    rounds = 3 if arguments.quick else arguments.rounds
    with busy(arguments.busy):
        results = compare(works(arguments.quick), pynn, arguments.threads, rounds)
    print_verdict(results, arguments.threads)
    machine.warn(neighbors.cores())
    return 0


if __name__ == "__main__":
    sys.exit(main())
