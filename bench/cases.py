"""What is timed: the networks, the predictions and the matrix products."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

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
PREDICTION_NETS = ((4, 16, 3), (10, 64, 64, 10), (784, 128, 10), (784, 256, 128, 10))
PREDICTION_ROWS = (1, 32, 1024)
SQUARES = (8, 16, 32, 64, 128, 256, 512, 1024, 2048)
# Tall, flat, thin and odd products, (m, k, n).
OTHERS = ((5000, 32, 32), (10, 784, 30), (1, 300, 784), (512, 1, 256), (333, 777, 555))


def name_of(sizes: tuple[int, ...]) -> str:
    """Name of a network: its layer sizes."""
    return "-".join(map(str, sizes))


NET_NAMES = [name_of(sizes) for sizes in dict(NETS)]


@dataclass(frozen=True)
class Training:
    """Whole SGD steps of a network (softmax cross-entropy, ReLU) on mini-batches of `batch`."""

    sizes: tuple[int, ...]
    batch: int
    group: str = "nets"

    @property
    def name(self) -> str:
        """As the tables show it."""
        return f"{name_of(self.sizes)} b{self.batch}"

    @property
    def flops(self) -> int:
        """Of the matrix products of one step: forward, weight and input gradients."""
        products = [m * n for m, n in pairwise(self.sizes)]
        return 2 * self.batch * (3 * sum(products) - products[0])


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
    def flops(self) -> int:
        """Of the matrix products."""
        return 2 * self.rows * sum(m * n for m, n in pairwise(self.sizes))


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
    def flops(self) -> int:
        """Two a multiply-add."""
        return 2 * self.m * self.k * self.n


Case = Training | Prediction | Product


def training_products(sizes: tuple[int, ...], batch: int) -> Iterator[Product]:
    """Give the three products of every layer of a training step."""
    for layer, (fan_in, fan_out) in enumerate(pairwise(sizes)):
        yield Product(batch, fan_in, fan_out, group="forward")
        yield Product(fan_in, batch, fan_out, a_transposed=True, group="weight gradient")
        if layer:
            yield Product(batch, fan_out, fan_in, b_transposed=True, group="input gradient")


def cases(section: str, nets: list[str] | None = None, quick: bool = False) -> list[Case]:
    """Give the cases of a section.

    Parameters
    ----------
    section : {"training", "prediction", "matmul"}
        What is timed.
    nets : list of str, optional
        Names of networks such as ``"4-16-3"``: only these, and of the matrix products only theirs.
    quick : bool
        Only every fourth, and nothing that takes long.

    Returns
    -------
    list
        In the order of the tables.
    """
    found: list[Case]
    if section == "training":
        found = [Training(sizes, batch) for sizes, batch in NETS if wanted(sizes, nets)]
    elif section == "prediction":
        found = [
            Prediction(sizes, rows, group=f"{rows} row{'s' if rows > 1 else ''}")
            for sizes in PREDICTION_NETS
            if wanted(sizes, nets)
            for rows in PREDICTION_ROWS
        ]
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
    return [case for case in found if case.flops < 5e8][::4] if quick else found


def wanted(sizes: tuple[int, ...], nets: list[str] | None) -> bool:
    """Tell whether a network was asked for."""
    return nets is None or name_of(sizes) in nets
