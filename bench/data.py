"""Random input for the cases, and what a library does with it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import Any

import nets
import numpy as np
from cases import Activation, LayersPrediction, LayersTraining, Prediction, Product, Training
from peers.base import Array, Data, Model, Peer

TRAINING_SAMPLE = 0.03  # seconds of training in one timed sample
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


def mini_batch_count(work: int, size: int) -> int:
    """Give a number of mini-batches of `size` bytes that lasts for one sample."""
    fastest = max(work / 200e9, 3e-7)
    return max(4, min(MAX_DATA // size, int(TRAINING_SAMPLE / fastest)))


def layers_mini_batches(case: LayersTraining, rng: np.random.Generator) -> Data:
    """Random mini-batches of a network of layers."""
    net = case.net
    # Each value that is read takes time, too, where there are few products.
    values = math.prod(net.input_shape)
    work = case.work + 100 * net.batch * values
    return nets.mini_batches(net, mini_batch_count(work, 8 * net.batch * values), rng)


def mini_batches(case: Training, rng: np.random.Generator) -> Data:
    """Random samples and labels: at least what the fastest can do in one sample."""
    n = case.batch * mini_batch_count(case.work, 4 * case.batch * case.sizes[0])
    x = rng.standard_normal((n, case.sizes[0]), dtype=np.float32)
    return Data(x, rng.integers(case.sizes[-1], size=n), case.batch)


def rows(case: Prediction, rng: np.random.Generator) -> Array:
    """Samples whose classes are predicted."""
    return rng.standard_normal((case.rows, case.sizes[0]), dtype=np.float32)


def operands(case: Product, rng: np.random.Generator) -> tuple[Array, Array]:
    """Random matrices, transposed views where the case says so."""
    a = rng.standard_normal((case.m, case.k), dtype=np.float32)
    b = rng.standard_normal((case.k, case.n), dtype=np.float32)
    return (
        np.ascontiguousarray(a.T).T if case.a_transposed else a,
        np.ascontiguousarray(b.T).T if case.b_transposed else b,
    )


def values(case: Activation, rng: np.random.Generator) -> Array:
    """What the function is applied to: of both signs, in no order that a branch could learn."""
    return 3 * rng.standard_normal(case.shape, dtype=np.float32)


def programs(
    case: Prediction | LayersPrediction | Product | Activation, rng: np.random.Generator
) -> Callable[[Peer], Callable[[], Any] | None]:
    """Make a case's input and give what a library makes of it: its program, None if it has none."""
    if isinstance(case, Prediction):
        net, samples = model(case.sizes, rng), rows(case, rng)
        return lambda library: library.predictor(net, samples)
    if isinstance(case, LayersPrediction):
        layered, x = nets.model(case.net), nets.inputs(case.net, case.rows, rng)
        return lambda library: library.layers_predictor(layered, x)
    if isinstance(case, Activation):
        x = values(case, rng)
        return lambda library: library.activation(case.function, x)
    a, b = operands(case, rng)
    return lambda library: library.product(a, b)
