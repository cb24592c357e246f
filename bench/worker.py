"""The measuring process: it limits every library to the same number of threads."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Iterable
from typing import Any

import data
import memory
import nets
import numpy as np
import peers
import peers.pynn_peer
from cases import Activation, Case, LayersTraining, Training, Variants, cases
from machine import Neighbors, thread_pools, warn
from peak import PeakError, measured
from peers.base import Peer
from report import print_libraries, print_section
from timing import Contender, calls_of, in_turn, measure, median_ratio

CALL_SAMPLE = 0.005  # seconds
CHECKED_STEPS, LOSS_TOLERANCE = 3, 1e-4


def check(case: Case, name: str, result: Any, expected: Any, tolerance: float = 1e-3) -> None:
    """Stop where a library computes something else than pynn."""
    result, expected = np.asarray(result), np.asarray(expected)
    scale = float(np.abs(expected).max())
    if result.shape != expected.shape or not np.allclose(
        result, expected, rtol=tolerance, atol=tolerance * scale
    ):
        raise SystemExit(f"{case.name}: {name} and pynn compute different things")


def training(case: Training, libraries: list[Peer], rng: np.random.Generator) -> list[Contender]:
    """Contenders for training steps, checked against one another and calibrated."""
    start, batches = data.model(case.sizes, rng), data.mini_batches(case, rng)
    contenders, expected = [], None
    for library in libraries:
        if library.trainer is None:
            continue
        try:
            trainer = library.trainer(start, batches)
        except NotImplementedError as reason:
            print(f"{case.name}: without {library.name} ({reason})")
            continue
        trainer.train(0, 3)
        weights = [w.copy() for w in trainer.weights()]
        expected = expected or weights
        for ours, theirs in zip(expected, weights, strict=True):
            check(case, library.name, theirs, ours)
        contender = Contender(library.name, in_turn(trainer.train, len(batches)))
        contender.calibrate(data.TRAINING_SAMPLE, limit=len(batches))
        contenders.append(contender)
    return contenders


def layers(
    case: LayersTraining, libraries: list[Peer], rng: np.random.Generator
) -> list[Contender]:
    """Contenders for steps of a network of layers, checked against one another and calibrated."""
    start, batches = nets.model(case.net), data.layers_mini_batches(case, rng)
    contenders: list[Contender] = []
    expected: list[float] | None = None
    for library in libraries:
        try:
            trainer = library.layers_trainer(start, batches)
            if trainer is None:
                continue
            losses = trainer.losses(CHECKED_STEPS)
        except NotImplementedError as reason:
            print(f"{case.name}: without {library.name} ({reason})")
            continue
        expected = expected or losses
        check(case, library.name, losses, expected, LOSS_TOLERANCE)
        contender = Contender(library.name, in_turn(trainer.train, len(batches)))
        contender.calibrate(data.TRAINING_SAMPLE, limit=len(batches))
        contenders.append(contender)
    return contenders


def variants(case: Variants, rng: np.random.Generator) -> list[Contender]:
    """Contenders for pynn's ways to train, each calibrated."""
    start, batches = data.model(case.sizes, rng), data.mini_batches(case, rng)
    contenders = [
        Contender(name, run) for name, run in peers.pynn_peer.variants(start, batches).items()
    ]
    for contender in contenders:
        contender.calibrate(data.TRAINING_SAMPLE)
    return contenders


def calls(
    case: Case, libraries: list[Peer], prepare: Callable[[Peer], Callable[[], Any] | None]
) -> list[Contender]:
    """Contenders for one function call, checked against one another and calibrated.

    There are none if the first library, pynn, has no such function.
    """
    contenders: list[Contender] = []
    expected = None
    for library in libraries:
        function = prepare(library)
        if function is None:
            if expected is None:
                break
            continue
        result = np.array(function())
        expected = result if expected is None else expected
        check(case, library.name, result, expected)
        contenders.append(timed_calls(library.name, function))
    return contenders


def timed_calls(name: str, function: Callable[[], Any]) -> Contender:
    """Give a calibrated contender that calls a function."""
    contender = Contender(name, calls_of(function))
    contender.calibrate(CALL_SAMPLE)
    return contender


def contenders_for(case: Case, libraries: list[Peer], threads: int) -> list[Contender]:
    """Everything that takes part in a case; pynn is the first, a copy may be the last."""
    rng = np.random.default_rng(0)
    if isinstance(case, Variants):
        return variants(case, rng)
    if isinstance(case, Training):
        return training(case, libraries, rng)
    if isinstance(case, LayersTraining):
        return layers(case, libraries, rng)
    found = calls(case, libraries, data.programs(case, rng))
    if found and isinstance(case, Activation) and case.memory_bound:
        found.append(timed_calls(memory.COPY, memory.copy(case.shape, threads)))
    return found


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
    ours, copy = seconds[peers.PYNN], seconds.pop(memory.COPY, None)
    ratios = {
        name: median_ratio(values, ours) for name, values in seconds.items() if name != peers.PYNN
    }
    return {
        "name": case.name,
        "group": case.group,
        "work": case.work,
        "seconds": seconds,
        "median": {name: statistics.median(values) for name, values in seconds.items()},
        "ratio": ratios,
        "fastest_peer": min(ratios, key=lambda name: ratios[name]) if ratios else None,
        # pynn's time over the copy's: the other way round than the peers' ratios
        "copy": copy
        and {
            "seconds": copy,
            "median": statistics.median(copy),
            "ratio": median_ratio(ours, copy),
        },
    }


def peak_of_a_core(option: float | str | None, isa: str) -> float | None:
    """Give the peak in GFLOP/s that the options name, or measure it."""
    if isinstance(option, str):
        try:
            option = measured(isa)
        except PeakError as error:
            raise SystemExit(f"--peak measure: {error}") from error
        print(f"peak of one core with {isa}, measured: {option:.1f} GFLOP/s", flush=True)
    return option


def run(options: dict[str, Any], threads: int) -> dict[str, Any]:
    """Measure with `threads` threads, print the tables and give the figures.

    Parameters
    ----------
    options : dict
        The options of the command line.
    threads : int
        Threads of each library; the environment has been set before this process began.

    Returns
    -------
    dict
        ``threads``, ``cores_busy_with_others``, ``libraries``, ``peak``, ``thread_pools`` and
        ``sections`` (name to rows).
    """
    libraries = load(options["peers"], threads)
    facts = {library.name: library.info() for library in libraries}
    print_libraries(facts)
    peak = peak_of_a_core(options["peak"], facts[peers.PYNN]["isa"]) if threads == 1 else None
    neighbors = Neighbors()
    todo = {name: cases(name, options["nets"], options["quick"]) for name in options["only"]}
    left = sum(map(len, todo.values()))
    deadline = time.perf_counter() + options["seconds"]
    sections: dict[str, list[dict[str, Any]]] = {}
    for section, its_cases in todo.items():
        rows = sections[section] = []
        for case in progress(its_cases, f"{section}, {threads} thread{'s' * (threads > 1)}"):
            share = max(0.0, deadline - time.perf_counter()) / left
            begin = time.perf_counter()
            contenders = contenders_for(case, libraries, threads)
            share -= time.perf_counter() - begin
            if contenders:
                rows.append(row(case, measure(contenders, options["rounds"], share)))
            left -= 1
        if rows:
            print_section(section, threads, rows, peak)
    others = neighbors.cores()
    warn(others)
    return {
        "threads": threads,
        "cores_busy_with_others": others,
        "libraries": facts,
        "peak": peak,
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
