"""Grids of hyperparameters, and the networks of their points."""

from __future__ import annotations

import copy
import inspect
import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np

from pynn import fitting
from pynn._types import Array
from pynn.losses import LOSSES, check_loss
from pynn.mlp import MLP
from pynn.optimizers import SGD, Optimizer

Point = dict[str, Any]

MODEL = (*(name for name in inspect.signature(MLP).parameters), "hidden")
# What a point may say of its fit. The others are shared by all: they belong to the samples.
FIT = (
    "epochs",
    "batch_size",
    "optimizer",
    "learning_rate",
    "validation_split",
    "class_weight",
    "shuffle",
    "sampling",
    "callbacks",
)


def points_of(grid: Any) -> list[Point]:
    """List the points of a grid, or check a list of points.

    Parameters
    ----------
    grid : dict of str to sequence, or list of dict

    Returns
    -------
    list of dict
        Of a grid, in the order of nested loops, the last key's the innermost.

    Raises
    ------
    ValueError, TypeError
        If a key is unknown, or a value no sequence.

    Examples
    --------
    >>> from pynn.many.grid import points_of
    >>> points_of({"hidden": [8, 16], "l2": [0.0]})
    [{'hidden': 8, 'l2': 0.0}, {'hidden': 16, 'l2': 0.0}]
    """
    if not isinstance(grid, Mapping):
        for i, point in enumerate(grid):
            _check_keys(point, f"models[{i}]")
        return [dict(point) for point in grid]
    _check_keys(grid, "models")
    columns = []
    for name, values in grid.items():
        if not isinstance(values, list | tuple | range | np.ndarray):
            raise TypeError(f"models[{name!r}] must be a list of values, got {values!r}")
        # (An array's numbers as Python's own, which print as numbers.)
        columns.append(values.tolist() if isinstance(values, np.ndarray) else list(values))
        if not columns[-1]:
            raise ValueError(f"models[{name!r}] is empty")
    return [dict(zip(grid, values, strict=True)) for values in itertools.product(*columns)]


def _check_keys(point: Mapping[Any, Any], place: str) -> None:
    for name in point:
        if name not in MODEL and name not in FIT:
            raise ValueError(
                f"{place} has the key {name!r}, expected one of {', '.join((*MODEL, *FIT))}"
            )
    if ("hidden" in point) == ("layer_sizes" in point):
        raise ValueError(f"{place} must have either the key 'hidden' or 'layer_sizes'")


def network_of(point: Point, X: Array, y: Array, seed: np.random.SeedSequence) -> MLP:
    """Make the network of a point, with its own seed or with `seed`.

    Parameters
    ----------
    point : dict
    X, y : ndarray
        Inputs and outputs follow from them where only the hidden layers are given.
    seed : numpy.random.SeedSequence

    Returns
    -------
    MLP

    Raises
    ------
    ValueError, TypeError
        As `MLP`.
    """
    arguments = {name: value for name, value in point.items() if name in MODEL}
    if "hidden" in arguments:
        loss = check_loss(arguments.get("loss", "softmax_cross_entropy")).name
        hidden = arguments.pop("hidden")
        try:
            hidden = tuple(hidden) if not isinstance(hidden, str) else (hidden,)
        except TypeError:
            hidden = (hidden,)
        if X.ndim != 2:
            raise ValueError(f"X has shape {X.shape}, expected (n, inputs)")
        arguments["layer_sizes"] = (X.shape[1], *hidden, _outputs(y, loss))
    return MLP(**{"seed": seed, **arguments})


def _outputs(y: Array, loss: str) -> int:
    if y.ndim == 2:
        return int(y.shape[1])
    if y.ndim != 1 or not LOSSES[loss].classes or y.dtype.kind not in "biu" or not y.size:
        return 1
    largest = int(y.max())
    if loss == "softmax_cross_entropy":
        return max(largest + 1, 2)
    return 1 if largest <= 1 else largest + 1


def optimizer_of(point: Point, given: Optimizer | None) -> Optimizer | None:
    """The optimiser that a point asks for, if it asks for one or one is given.

    Parameters
    ----------
    point : dict
    given : Optimizer or None
        Used where the point has none; it stays as it is.

    Returns
    -------
    Optimizer or None
    """
    optimizer: Optimizer | None = point.get("optimizer", given)
    if optimizer is not None:
        fitting.check_optimizer(optimizer)
    if "learning_rate" not in point:
        return optimizer
    if optimizer is None:
        return SGD(point["learning_rate"])
    changed = copy.copy(optimizer)
    changed.learning_rate = point["learning_rate"]
    changed._checked()
    return changed
