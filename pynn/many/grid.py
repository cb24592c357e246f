"""Grids of hyperparameters, and what their points mean as arguments of networks and of `fit`."""

from __future__ import annotations

import copy
import inspect
import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np

from pynn._keywords import place
from pynn._types import Array
from pynn.losses import Loss, check_loss
from pynn.mlp import MLP
from pynn.network import Network
from pynn.optimizers import Optimizer, choose_optimizer
from pynn.plan import FIT_DEFAULTS
from pynn.sequential import Sequential

Point = dict[str, Any]


# They belong to the samples, or to the whole call: every model has the same.
SHARED = ("validation_data", "sample_weight", "metrics", "steps_per_epoch", "progress")
# The keys that a point may have: arguments of a constructor, and of the fit.
OF_MLP = (*inspect.signature(MLP).parameters, "hidden")
OF_SEQUENTIAL = tuple(inspect.signature(Sequential).parameters)
MODEL = tuple(dict.fromkeys([*OF_MLP, *OF_SEQUENTIAL]))
FIT = tuple(dict.fromkeys([*(n for n in FIT_DEFAULTS if n not in SHARED), "learning_rate"]))
# A value of these may be a sequence itself.
PER_LAYER = (
    *("hidden", "layer_sizes", "activation", "dropout", "l1", "l2", "max_norm"),
    *("layers", "input_shape"),
)


def points_of(grid: Any) -> list[Point]:
    """List the points of a grid, or check a list of points.

    Parameters
    ----------
    grid : dict of str to list, or list of dict

    Returns
    -------
    list of dict
        For a grid, in the order of nested loops, the last key's the innermost.

    Raises
    ------
    ValueError, TypeError
        If a key is unknown, or a grid's values are no list.

    Examples
    --------
    >>> from pynn.many.grid import points_of
    >>> points_of({"hidden": [8, 16], "l2": [0.0]})
    [{'hidden': 8, 'l2': 0.0}, {'hidden': 16, 'l2': 0.0}]
    """
    if not isinstance(grid, Mapping):
        for i, point in enumerate(grid):
            _check_keys(point, f"models[{i}]")
            _check_values(point, f"models[{i}]")
        return [dict(point) for point in grid]
    _check_keys(grid, "models")
    columns = [_values(name, values) for name, values in grid.items()]
    return [dict(zip(grid, values, strict=True)) for values in itertools.product(*columns)]


def _check_keys(point: Mapping[Any, Any], where: str) -> None:
    known = (*(OF_SEQUENTIAL if "layers" in point else OF_MLP), *FIT)
    for name in point:
        if name in known:
            continue
        if name in SHARED:
            raise ValueError(
                f"{where} has the key {name!r}, which is the same for all models: "
                f"pass {name}=... to fit_many"
            )
        raise ValueError(f"{where} has the key {name!r}{_cure(name, known)}")
    if sum(name in point for name in ("hidden", "layer_sizes", "layers")) != 1:
        raise ValueError(f"{where} must have either the key 'hidden', 'layer_sizes' or 'layers'")


def _check_values(point: Mapping[str, Any], where: str) -> None:
    """Refuse a grid in a list, which scikit-learn's searches take."""
    for name, value in point.items():
        if name not in (*PER_LAYER, "callbacks", "seed") and isinstance(value, list | tuple):
            raise TypeError(
                f"{where}[{name!r}] is {value!r}, expected one value: in a list of dicts each dict "
                "is one model; for a grid pass the dict itself"
            )


def _cure(name: Any, known: tuple[str, ...]) -> str:
    """What is to be said of an unknown key."""
    cure = ""
    if isinstance(name, str):
        bare = name.rpartition("__")[2]  # of a step in a pipeline of scikit-learn's
        cure = place(bare.casefold(), [*known])
    return cure or f", expected one of {', '.join(known)}"


def _values(name: str, values: Any) -> list[Any]:
    """The values of a grid's key."""
    must = f"models[{name!r}] must be a list of values to try, got {values!r}"
    if isinstance(values, tuple) and name in PER_LAYER:
        raise TypeError(
            f"{must}, which can be one value or {len(values)}: write [{values!r}] or "
            f"{list(values)!r}"
        )
    if isinstance(values, np.ndarray) and values.ndim:
        # (An array's numbers as Python's own, which print as numbers.)
        values = values.tolist()
    if not isinstance(values, list | tuple | range):
        if hasattr(values, "rvs"):  # a distribution of scipy.stats
            cure = "; for a random search draw the points: a list of dicts"
        elif hasattr(values, "__iter__") and not isinstance(values, str | bytes | Mapping):
            cure = "; pass list(...)"
        else:
            cure = f"; for one value write [{values!r}]"
        raise TypeError(must + cure)
    if not values:
        raise ValueError(f"models[{name!r}] is empty")
    return list(values)


def model_arguments(point: Point, X: Any, y: Array, seed: np.random.SeedSequence) -> dict[str, Any]:
    """Give the arguments of `MLP` or `Sequential` that make the network of a point.

    Parameters
    ----------
    point : dict
    X, y : array_like
        Inputs and outputs follow from them where only the hidden layers are given, and the inputs
        where `layers` are.
    seed : numpy.random.SeedSequence
        For a point without a seed.

    Returns
    -------
    dict of str to Any

    Raises
    ------
    ValueError, TypeError
        If the inputs or outputs do not follow.
    """
    arguments = {name: value for name, value in point.items() if name in MODEL}
    if "layers" in arguments:
        arguments.setdefault("input_shape", X.shape[1:])
    if "hidden" in arguments:
        loss = check_loss(arguments.get("loss", "softmax_cross_entropy"))
        hidden = arguments.pop("hidden")
        try:
            hidden = tuple(hidden) if not isinstance(hidden, str) else (hidden,)
        except TypeError:
            hidden = (hidden,)
        if X.ndim != 2:
            raise ValueError(f"X has shape {X.shape}, expected (n, inputs)")
        sizes = (int(X.shape[1]), *hidden, _outputs(y, loss))
        arguments = {"layer_sizes": sizes, **arguments}
    return {**arguments, "seed": arguments.get("seed", seed)}


def _outputs(y: Array, loss: Loss) -> int:
    """How many outputs a network for `y` has."""
    info = loss.info
    if info.exclusive and (y.ndim == 1 or (y.ndim == 2 and y.shape[1] == 1)):
        _check_labels(y)
    if y.ndim == 2:
        return int(y.shape[1])
    if y.ndim != 1 or not info.classes or y.dtype.kind not in "biu" or not y.size:
        return 1
    largest = int(y.max())
    if largest > 1 and largest >= len(y):
        raise ValueError(
            f"y holds labels up to {largest}, but there are only {len(y)} samples: for a "
            "regression give the models 'loss': 'mse'; for classes that are not numbered from 0 "
            "pass np.unique(y, return_inverse=True)[1], or give 'layer_sizes'"
        )
    if info.exclusive:
        return max(largest + 1, 2)
    return 1 if largest <= 1 else largest + 1


def _check_labels(y: Array) -> None:
    """Refuse what would be a softmax over one output, which is always 1."""
    integers = y.dtype.kind in "biu"
    came = f"y has shape {y.shape} and dtype {y.dtype}, but loss='softmax_cross_entropy' takes"
    if y.ndim == 1 and not integers:
        whole = bool(np.isfinite(y).all() and (y == np.rint(y)).all() and (y >= 0).all())
        cure = "for class labels pass y.astype(int); " if whole else ""
        raise ValueError(
            f"{came} integer class labels: {cure}for a regression give the models 'loss': 'mse'"
        )
    if y.ndim == 2:
        cure = (
            "pass np.ravel(y), or give the models 'loss': 'sigmoid_cross_entropy' for a column of "
            "0 and 1"
            if integers
            else "for a regression give the models 'loss': 'mse'; for a column of 0 and 1 "
            "'sigmoid_cross_entropy'"
        )
        raise ValueError(f"{came} class labels as a vector, or one column for each class: {cure}")


def network_of(arguments: dict[str, Any]) -> tuple[Network, dict[str, Any]]:
    """Make a network, and keep its arguments so that they make it again.

    Parameters
    ----------
    arguments : dict of str to Any
        Those of `MLP`, or of `Sequential` if `layers` is among them.

    Returns
    -------
    net : Network
    arguments : dict of str to Any
        With a copy of a generator, as it was before the network drew from it.
    """
    seed = arguments["seed"]
    if isinstance(seed, np.random.Generator | np.random.BitGenerator | np.random.RandomState):
        seed = copy.deepcopy(seed)
    make: type[Network] = Sequential if "layers" in arguments else MLP
    return make(**arguments), {**arguments, "seed": seed}


def optimizer_of(
    optimizer: Any, learning_rate: Any, net: Network | None = None
) -> Optimizer | None:
    """Return the optimizer that arguments stand for, or None where they leave it to the fit.

    Parameters
    ----------
    optimizer : Optimizer, str or None
        It stays as it is.
    learning_rate : float, Schedule, callable or None
    net : Network, optional
        A network that may have been trained: it continues with its optimizer as in its `fit`.

    Returns
    -------
    Optimizer or None
    """
    last = None if net is None else net.optimizer
    if optimizer is None and learning_rate is None:
        return last
    return choose_optimizer(optimizer, learning_rate, last)
