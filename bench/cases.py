"""What is timed: the networks, the predictions, the matrix products and the activations."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby, pairwise

import nets as layered

# Layer sizes and mini-batch of the training steps.
NETS: tuple[tuple[tuple[int, ...], int], ...] = (
    ((4, 16, 3), 16),
    ((10, 45, 45, 10), 128),
    ((10, 64, 64, 10), 128),
    ((10, 256, 256, 10), 128),
    ((784, 128, 10), 32),
    ((784, 128, 10), 128),
    ((784, 256, 128, 10), 128),
    ((1024, 1024, 1024, 1024), 256),
)
# Others, for what a choice of eight could hide: narrow, wide, deep, ragged; many samples; many
# weights and few samples.
MORE_NETS: tuple[tuple[tuple[int, ...], int], ...] = (
    ((7, 20, 2), 8),
    ((64, 100, 10), 200),
    ((784, 30, 10), 10),
    ((300, 100, 46, 10), 64),
    ((20, *[32] * 20, 10), 64),
    ((3072, 512, 256, 10), 128),
    ((784, 100, 10), 512),
    ((1024, 1024, 1024, 1024), 32),
)
# What `threads.py` sweeps: 10-w-w-10.
SWEEP_WIDTHS = (4, 8, 16, 32, 64, 128, 256, 512)
SWEEP_BATCHES = (8, 32, 128, 512)
PREDICTION_NETS = (
    (4, 16, 3),
    (10, 64, 64, 10),
    (784, 128, 10),
    (784, 256, 128, 10),
    (1024, 1024, 1024, 1024),
)
PREDICTION_ROWS = (1, 32, 1024)
LAYERS_PREDICTION_ROWS = (1, 64)
SQUARES = (8, 16, 32, 64, 128, 256, 512, 1024, 2048)
# Tall, flat, thin and odd products, (m, k, n).
OTHERS = ((5000, 32, 32), (10, 784, 30), (1, 300, 784), (512, 1, 256), (333, 777, 555))
ELEMENTWISE = (
    "relu",
    "leaky_relu",
    "elu",
    "silu",
    "softplus",
    "sigmoid",
    "tanh",
    "gelu",
    "gelu_tanh",  # gelu with the tanh approximation
)
BY_ROWS = ("softmax", "log_softmax")
# From one that stays in the L1 cache to one that no cache of a desktop processor holds.
ELEMENTS = (1000, 10_000, 100_000, 10_000_000)
ROWS = ((128, 10), (1024, 100), (64, 1000))


def name_of(sizes: tuple[int, ...]) -> str:
    """Name of a network: its layer sizes, many equal ones as 32x20."""
    parts = []
    for size, group in groupby(sizes):
        count = len(list(group))
        parts += [f"{size}x{count}"] if count > 4 else [str(size)] * count
    return "-".join(parts)


NET_NAMES = [name_of(sizes) for sizes in dict((*NETS, *MORE_NETS))]


@dataclass(frozen=True)
class Training:
    """Whole SGD steps of a network (softmax cross-entropy, ReLU) on mini-batches of `batch`."""

    sizes: tuple[int, ...]
    batch: int
    group: str = "the design's networks"

    @property
    def name(self) -> str:
        """As the tables show it."""
        return f"{name_of(self.sizes)} b{self.batch}"

    @property
    def work(self) -> int:
        """Operations of the matrix products of one step: forward, weight and input gradients."""
        products = [m * n for m, n in pairwise(self.sizes)]
        return 2 * self.batch * (3 * sum(products) - products[0])


@dataclass(frozen=True)
class Variants(Training):
    """The same steps by pynn in other ways: shuffled, with other optimizers, in float64."""


@dataclass(frozen=True)
class Prediction:
    """The class probabilities of `rows` samples."""

    sizes: tuple[int, ...]
    rows: int
    group: str = ""

    @property
    def name(self) -> str:
        """As the tables show it."""
        return f"{name_of(self.sizes)}, {self.rows} row{'s' if self.rows > 1 else ''}"

    @property
    def work(self) -> int:
        """Operations of the matrix products."""
        return 2 * self.rows * sum(m * n for m, n in pairwise(self.sizes))


@dataclass(frozen=True)
class LayersTraining:
    """Whole steps of a network of layers."""

    net: layered.Net
    group: str = ""

    @property
    def name(self) -> str:
        """As the tables show it."""
        return f"{self.net.name} b{self.net.batch}"

    @property
    def work(self) -> int:
        """Operations of the matrix products of one step."""
        return layered.operations(self.net)


@dataclass(frozen=True)
class LayersPrediction:
    """The outputs of a network of layers for `rows` samples."""

    net: layered.Net
    rows: int

    @property
    def name(self) -> str:
        """As the tables show it."""
        return f"{self.net.name}, {self.rows} row{'s' if self.rows > 1 else ''}"

    @property
    def group(self) -> str:
        """By the number of samples."""
        return f"{self.rows} row{'s' if self.rows > 1 else ''}"

    @property
    def work(self) -> int:
        """Operations of the matrix products."""
        forward, _ = layered.multiply_adds(self.net.made(), self.net.input_shape)
        return 2 * self.rows * forward


@dataclass(frozen=True)
class Product:
    """A matrix product (m, k) by (k, n); a transposed operand is a view of a C-ordered array."""

    m: int
    k: int
    n: int
    a_transposed: bool = False
    b_transposed: bool = False
    group: str = "other"

    @property
    def name(self) -> str:
        """As the tables show it: shape, and N or T for each operand."""
        letters = "NT"[self.a_transposed] + "NT"[self.b_transposed]
        return f"{self.m}x{self.k}x{self.n} {letters}"

    @property
    def work(self) -> int:
        """Operations: two a multiply-add."""
        return 2 * self.m * self.k * self.n


@dataclass(frozen=True)
class Activation:
    """A function of every element of an array, or of every row (`BY_ROWS`)."""

    function: str
    shape: tuple[int, ...]

    @property
    def name(self) -> str:
        """As the tables show it."""
        return f"{self.function} {'x'.join(map(str, self.shape))}"

    @property
    def group(self) -> str:
        """Functions of rows are one, the others are grouped by size."""
        return "rows" if len(self.shape) > 1 else f"{self.shape[0]} elements"

    @property
    def work(self) -> int:
        """Bytes that are read and written at least."""
        return 2 * 4 * math.prod(self.shape)

    @property
    def memory_bound(self) -> bool:
        """True if the time of a copy is the limit."""
        return self.shape == ELEMENTS[-1:]


Case = Training | Prediction | LayersTraining | LayersPrediction | Product | Activation


def training_products(sizes: tuple[int, ...], batch: int) -> Iterator[Product]:
    """Give the three products of every layer of a training step."""
    for layer, (fan_in, fan_out) in enumerate(pairwise(sizes)):
        yield Product(batch, fan_in, fan_out, group="forward")
        yield Product(fan_in, batch, fan_out, a_transposed=True, group="weight gradient")
        if layer:
            yield Product(batch, fan_out, fan_in, b_transposed=True, group="input gradient")


def activations() -> Iterator[Activation]:
    """Give the activations, by size."""
    for n in ELEMENTS:
        yield from (Activation(function, (n,)) for function in ELEMENTWISE)
    for shape in ROWS:
        yield from (Activation(function, shape) for function in BY_ROWS)


def cases(section: str, nets: list[str] | None = None, quick: bool = False) -> list[Case]:
    """Give the cases of a section.

    Parameters
    ----------
    section : str
        One of `compare.SECTIONS`: what is timed.
    nets : list of str, optional
        Names of networks such as ``"4-16-3"``: only these, of the matrix products only theirs,
        and no activations.
    quick : bool
        Only every fourth, and nothing that takes long.

    Returns
    -------
    list
        In the order of the tables.
    """
    found: list[Case]
    if section == "training":
        found = [
            Training(sizes, batch, group)
            for group, its_nets in (("the design's networks", NETS), ("others", MORE_NETS))
            for sizes, batch in its_nets
            if wanted(sizes, nets)
        ]
    elif section == "variants":
        found = [
            Variants(sizes, batch) for sizes, batch in (*NETS, *MORE_NETS) if wanted(sizes, nets)
        ]
    elif section == "prediction":
        found = [
            Prediction(sizes, rows, group=f"{rows} row{'s' if rows > 1 else ''}")
            for sizes in PREDICTION_NETS
            if wanted(sizes, nets)
            for rows in PREDICTION_ROWS
        ]
    elif section == "layers":
        found = [LayersTraining(net) for net in layered.NETS if nets is None or net.name in nets]
    elif section == "layers_prediction":
        found = [
            LayersPrediction(net, rows)
            for rows in LAYERS_PREDICTION_ROWS
            for net in layered.NETS
            if net.predicts and (nets is None or net.name in nets)
        ]
    elif section == "activations":
        found = [] if nets else [*activations()]
    else:
        products = [
            p
            for sizes, batch in NETS
            if wanted(sizes, nets)
            for p in training_products(sizes, batch)
        ]
        products.sort(key=lambda p: ("forward", "weight gradient", "input gradient").index(p.group))
        if nets is None:
            products = [
                *(Product(n, n, n, group="squares") for n in SQUARES),
                *products,
                *(Product(m, k, n) for m, k, n in OTHERS),
            ]
        found = list(dict.fromkeys(products))
    return [case for case in found if case.work < 5e8][::4] if quick else found


def sweep() -> list[Case]:
    """Give training steps from a few thousand operations to a billion."""
    return [
        Training((10, w, w, 10), batch, "sweep") for w in SWEEP_WIDTHS for batch in SWEEP_BATCHES
    ]


def wanted(sizes: tuple[int, ...], nets: list[str] | None) -> bool:
    """Return True if a network was selected."""
    return nets is None or name_of(sizes) in nets
