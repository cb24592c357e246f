"""The process that measures: it holds every library to so many threads, in one run."""

from __future__ import annotations

import math
import statistics
import sys
import time
from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import Any

import numpy as np
import peers
from cases import Case, Prediction, Product, Training, cases
from machine import Neighbours, thread_pools
from peers.base import Array, Data, Model, Peer
from report import print_section
from timing import Contender, measure, median_ratio

TRAINING_SAMPLE, CALL_SAMPLE = 0.03, 0.005  # seconds
MAX_OTHERS = 0.05  # cores: above, a thread that waits for another may wait for a time slice
MAX_DATA = 2**27  # bytes of mini-batches


def model(sizes: Iterable[int], rng: np.random.Generator) -> Model:
    """A network with He's initial weights."""
    shapes = list(pairwise(sizes))
    scales = [math.sqrt(2 / fan_in) for fan_in, _ in shapes]
    weights = [
        (scale * rng.standard_normal(shape)).astype(np.float32)
        for scale, shape in zip(scales, shapes, strict=True)
    ]
    return Model(weights, [np.zeros(fan_out, np.float32) for _, fan_out in shapes])


def mini_batches(case: Training, rng: np.random.Generator) -> Data:
    """Random samples and labels: at least what the fastest can do in one sample."""
    fastest = max(case.flops / 200e9, 3e-7)
    most = MAX_DATA // (4 * case.batch * case.sizes[0])
    n = case.batch * max(4, min(most, int(TRAINING_SAMPLE / fastest)))
    x = rng.standard_normal((n, case.sizes[0]), dtype=np.float32)
    return Data(x, rng.integers(case.sizes[-1], size=n), case.batch)


def check(case: Case, name: str, result: Any, expected: Any, tolerance: float = 1e-3) -> None:
    """Stop where a library computes something else than pynn."""
    result, expected = np.asarray(result), np.asarray(expected)
    scale = float(np.abs(expected).max())
    if result.shape != expected.shape or not np.allclose(
        result, expected, rtol=tolerance, atol=tolerance * scale
    ):
        raise SystemExit(f"{case.name}: {name} and pynn compute different things")


def repeated(function: Callable[[], Any]) -> Callable[[int], None]:
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


def training(case: Training, libraries: list[Peer], rng: np.random.Generator) -> list[Contender]:
    """Contenders for training steps, checked against one another and calibrated."""
    start, data = model(case.sizes, rng), mini_batches(case, rng)
    contenders, expected = [], None
    for library in libraries:
        if library.trainer is None:
            continue
        trainer = library.trainer(start, data)
        trainer.train(0, 3)
        weights = [w.copy() for w in trainer.weights()]
        expected = expected or weights
        for ours, theirs in zip(expected, weights, strict=True):
            check(case, library.name, theirs, ours)
        contender = Contender(library.name, in_turn(trainer.train, len(data)))
        contender.calibrate(TRAINING_SAMPLE, limit=len(data))
        contenders.append(contender)
    return contenders


def calls(
    case: Case, libraries: list[Peer], prepare: Callable[[Peer], Callable[[], Any] | None]
) -> list[Contender]:
    """Contenders for one function call, checked against one another and calibrated."""
    contenders, expected = [], None
    for library in libraries:
        function = prepare(library)
        if function is None:
            continue
        result = np.array(function())
        expected = result if expected is None else expected
        check(case, library.name, result, expected)
        contender = Contender(library.name, repeated(function))
        contender.calibrate(CALL_SAMPLE)
        contenders.append(contender)
    return contenders


def operands(case: Product, rng: np.random.Generator) -> tuple[Array, Array]:
    """Random matrices, transposed views where the case says so."""
    a = rng.standard_normal((case.m, case.k), dtype=np.float32)
    b = rng.standard_normal((case.k, case.n), dtype=np.float32)
    return (
        np.ascontiguousarray(a.T).T if case.a_transposed else a,
        np.ascontiguousarray(b.T).T if case.b_transposed else b,
    )


def contenders_for(case: Case, libraries: list[Peer]) -> list[Contender]:
    """Everything that takes part in a case; pynn is the first."""
    rng = np.random.default_rng(0)
    if isinstance(case, Training):
        return training(case, libraries, rng)
    if isinstance(case, Prediction):
        net = model(case.sizes, rng)
        x = rng.standard_normal((case.rows, case.sizes[0]), dtype=np.float32)
        return calls(case, libraries, lambda library: library.predictor(net, x))
    a, b = operands(case, rng)
    return calls(case, libraries, lambda library: library.product(a, b))


def load(names: list[str], threads: int) -> list[Peer]:
    """Load pynn and the libraries of these names that are installed."""
    try:
        libraries = [peers.load(peers.PYNN, threads)]
    except ImportError as error:
        raise SystemExit(f"pynn cannot be imported ({error}): install it first") from error
    for name in names:
        try:
            libraries.append(peers.load(name, threads))
        except ImportError as error:
            print(f"{name}: left out ({error})")
    return libraries


def row(case: Case, seconds: dict[str, list[float]]) -> dict[str, Any]:
    """What the report says of a case; times in seconds, ratios of a peer's time to pynn's."""
    ratios = {
        name: median_ratio(values, seconds[peers.PYNN])
        for name, values in seconds.items()
        if name != peers.PYNN
    }
    return {
        "name": case.name,
        "group": case.group,
        "flops": case.flops,
        "seconds": seconds,
        "median": {name: statistics.median(values) for name, values in seconds.items()},
        "ratio": ratios,
        "fastest_peer": min(ratios, key=lambda name: ratios[name]) if ratios else None,
    }


def run(options: dict[str, Any], threads: int) -> dict[str, Any]:
    """Measure with so many threads, print the tables and give the figures.

    Parameters
    ----------
    options : dict
        The options of the command line.
    threads : int
        Threads of each library; the environment has been set before this process began.

    Returns
    -------
    dict
        ``threads``, ``cores_busy_with_others``, ``libraries``, ``thread_pools`` and
        ``sections`` (name to rows).
    """
    libraries = load(options["peers"], threads)
    neighbours = Neighbours()
    todo = {name: cases(name, options["nets"], options["quick"]) for name in options["only"]}
    left = sum(map(len, todo.values()))
    deadline = time.perf_counter() + options["seconds"]
    sections: dict[str, list[dict[str, Any]]] = {}
    for section, its_cases in todo.items():
        rows = sections[section] = []
        for case in progress(its_cases, f"{section}, {threads} thread{'s' * (threads > 1)}"):
            share = max(0.0, deadline - time.perf_counter()) / left
            begin = time.perf_counter()
            contenders = contenders_for(case, libraries)
            share -= time.perf_counter() - begin
            rows.append(row(case, measure(contenders, options["rounds"], share)))
            left -= 1
        if rows:
            print_section(section, threads, rows, options["peak"] if threads == 1 else None)
    others = neighbours.cores()
    if others is not None and others > MAX_OTHERS:
        print(f"WARNING: other processes kept {others:.2f} cores busy meanwhile: measure again")
    return {
        "threads": threads,
        "cores_busy_with_others": others,
        "libraries": {library.name: library.info() for library in libraries},
        "thread_pools": thread_pools(),
        "sections": sections,
    }


def progress(items: list[Case], title: str) -> Iterable[Case]:
    """Show a bar where there is a terminal and tqdm is installed."""
    try:
        from tqdm import tqdm
    except ImportError:
        return items
    bar: Iterable[Case] = tqdm(
        items, desc=title, unit="case", leave=False, disable=not sys.stderr.isatty()
    )
    return bar
