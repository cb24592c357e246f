"""Metrics: how well outputs fit targets, fed a few rows at a time."""

from __future__ import annotations

import inspect
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from pynn import _checks
from pynn._types import Array
from pynn.losses import LOSSES

Function = Callable[..., float]

# What else stands in a history, or goes to `record_epoch` by its own name.
RESERVED = ("epoch", "loss", "learning_rate", "seconds")


class Metric(ABC):
    """A metric over many rows.

    `start` comes first, then `update` with the rows in pieces, in order, and then `result`. So
    nothing as large as all samples is made, unless the metric needs all outputs at once.
    """

    is_user_defined = False  # whether it calls a function of the user's

    @abstractmethod
    def start(self) -> None:
        """Forget all rows."""

    @abstractmethod
    def update(self, outputs: Array, target: Array, labels: bool, weight: Array | None) -> None:
        """Take some rows.

        Parameters
        ----------
        outputs : ndarray of shape (rows, outputs)
            The network's final outputs: probabilities for the cross-entropies.
        target : ndarray of shape (rows,) or (rows, outputs)
            Class labels or values.
        labels : bool
            `target` holds class labels.
        weight : ndarray of shape (rows,), optional
            Of each row, at least 0.
        """

    @abstractmethod
    def result(self) -> float:
        """Compute the metric over the rows since `start`; NaN without any, or without weight.

        Returns
        -------
        float
        """


class _Mean(Metric):
    """The weighted mean over the rows of some numbers for each."""

    def start(self) -> None:
        self._total: Any = 0.0
        self._weight = 0.0

    @abstractmethod
    def _of_rows(self, outputs: Array, target: Array, labels: bool) -> Array:
        """A number, or a row of them, for each row."""

    def update(self, outputs: Array, target: Array, labels: bool, weight: Array | None) -> None:
        with np.errstate(all="ignore"):
            row_values = self._of_rows(outputs, target, labels)
            self._total += _weighted_sum(row_values, weight)
            self._weight += total_weight(row_values, weight)

    def _means(self) -> Any:
        """The mean of each of the numbers."""
        return self._total / self._weight if self._weight > 0 else np.nan

    def result(self) -> float:
        with np.errstate(all="ignore"):
            return float(np.mean(self._means()))


class _Accuracy(_Mean):
    """The fraction of rows that are classified as their targets say."""

    def __init__(self, exclusive: bool) -> None:
        self._exclusive = exclusive

    def _of_rows(self, outputs: Array, target: Array, labels: bool) -> Array:
        if not (self._exclusive or labels):
            right: Array = np.all((outputs > 0.5) == (target > 0.5), axis=1)
        else:
            right = np.asarray(np.argmax(outputs, axis=1) == _labels(target, labels))
        return right & _are_numbers(outputs)


class _TopK(_Mean):
    """The fraction of rows whose class is among the k most probable."""

    def __init__(self, k: int) -> None:
        self._k = k

    def _of_rows(self, outputs: Array, target: Array, labels: bool) -> Array:
        wanted = _labels(target, labels)[:, np.newaxis]
        own = np.take_along_axis(outputs, wanted, axis=1)
        # Among equals the last comes first, as in scikit-learn.
        before = outputs > own
        before |= (outputs == own) & (np.arange(outputs.shape[1]) > wanted)
        return np.asarray(before.sum(axis=1) < self._k) & _are_numbers(outputs)


class _SquaredError(_Mean):
    """The mean squared error, over all outputs."""

    def _of_rows(self, outputs: Array, target: Array, labels: bool) -> Array:
        return _differences(outputs, target) ** 2


class _RootSquaredError(_SquaredError):
    """Each output's root mean squared error, and the mean of them."""

    def _means(self) -> Any:
        return np.sqrt(super()._means())


class _AbsoluteError(_Mean):
    """The mean absolute error, over all outputs."""

    def _of_rows(self, outputs: Array, target: Array, labels: bool) -> Array:
        return np.abs(_differences(outputs, target))


class _R2(Metric):
    """Each output's coefficient of determination, and the mean of them.

    The targets' sum of squares about their mean is put together from that of each piece about its
    own (T. F. Chan, G. H. Golub, R. J. LeVeque, "Algorithms for computing the sample variance",
    The American Statistician 37, 1983). All is relative to the first row, so that constant targets
    have no variance at all.
    """

    def start(self) -> None:
        self._rows = 0
        self._origin: Any = None
        self._weight = 0.0
        self._mean: Any = 0.0
        self._variation: Any = 0.0
        self._residue: Any = 0.0

    def update(self, outputs: Array, target: Array, labels: bool, weight: Array | None) -> None:
        self._rows += len(target)
        here = total_weight(target, weight)
        if here == 0:
            return
        values = target.astype(np.float64)
        if self._origin is None:
            self._origin = values[0 if weight is None else np.argmax(weight > 0)].copy()
        with np.errstate(all="ignore"):
            self._residue += _weighted_sum(_differences(outputs, target) ** 2, weight)
            values -= self._origin
            mean = _weighted_sum(values, weight) / here
            variation = _weighted_sum((values - mean) ** 2, weight)
            apart, both = mean - self._mean, self._weight + here
            self._variation += variation + apart**2 * (self._weight * here / both)
            self._mean += apart * (here / both)
        self._weight = both

    def result(self) -> float:
        if self._rows < 2 or self._weight == 0:
            return float("nan")
        # As in scikit-learn, constant targets give 1 if they are met exactly, and else 0.
        with np.errstate(all="ignore"):
            unexplained = self._residue / self._variation
            constant = self._variation == 0
            # (A NaN stays one.)
            missed = np.where(self._residue > 0, 1.0, self._residue)
            return float(np.mean(1 - np.where(constant, missed, unexplained)))


class _TwoClasses(Metric):
    """Precision, recall or F1 of class 1 of two."""

    def __init__(self, name: str) -> None:
        self._name = name

    def start(self) -> None:
        self._hits = self._predicted = self._positive = 0.0

    def update(self, outputs: Array, target: Array, labels: bool, weight: Array | None) -> None:
        if outputs.shape[1] == 1:
            predicted, positive = outputs[:, 0] > 0.5, target[:, 0] > 0.5
        else:
            predicted, positive = np.argmax(outputs, axis=1) == 1, _labels(target, labels) == 1
        numbers = _are_numbers(outputs)
        # A row without a number counts as predicted wrongly, whatever its target.
        predicted = np.where(numbers, predicted, ~positive)
        with np.errstate(all="ignore"):
            self._hits += _weighted_sum(predicted & positive, weight)
            self._predicted += _weighted_sum(predicted, weight)
            self._positive += _weighted_sum(positive, weight)

    def result(self) -> float:
        with np.errstate(all="ignore"):
            whole = {
                "precision": self._predicted,
                "recall": self._positive,
                "f1": (self._predicted + self._positive) / 2,
            }[self._name]
            return float(self._hits / whole) if whole > 0 else 0.0


class _Called(Metric):
    """What a function gives, which gets all targets and outputs at once."""

    is_user_defined = True

    def __init__(self, name: str, function: Function) -> None:
        self._name, self._function = name, function
        self._weighted = _takes_weights(function)
        self.start()

    def start(self) -> None:
        self._outputs: list[Array] = []
        self._targets: list[Array] = []
        self._weights: list[Array | None] = []

    def update(self, outputs: Array, target: Array, labels: bool, weight: Array | None) -> None:
        # (Copies: what is passed may be a buffer for the next rows.)
        self._outputs.append(outputs.copy())
        self._targets.append(target.copy())
        self._weights.append(None if weight is None else weight.copy())

    def result(self) -> float:
        if not self._outputs:
            return float("nan")
        arguments = [np.concatenate(pieces) for pieces in (self._targets, self._outputs)]
        arguments = [a[:, 0] if a.ndim == 2 and a.shape[1] == 1 else a for a in arguments]
        weights = [w for w in self._weights if w is not None]
        self.start()
        if weights and self._weighted:
            value = self._function(*arguments, sample_weight=np.concatenate(weights))
        else:
            value = self._function(*arguments)
        return _checks.real(value, f"what the metric {self._name} returned")


ERRORS: dict[str, Callable[[], Metric]] = {
    "mse": _SquaredError,
    "rmse": _RootSquaredError,
    "mae": _AbsoluteError,
    "r2": _R2,
}
# What Keras, scikit-learn and torchmetrics call them, in lower case.
_ELSEWHERE = {
    "acc": "accuracy",
    "accuracy_score": "accuracy",
    "binary_accuracy": "accuracy",
    "categorical_accuracy": "accuracy",
    "sparse_categorical_accuracy": "accuracy",
    "mean_squared_error": "mse",
    "neg_mean_squared_error": "mse",
    "root_mean_squared_error": "rmse",
    "neg_root_mean_squared_error": "rmse",
    "mean_absolute_error": "mae",
    "neg_mean_absolute_error": "mae",
    "r2_score": "r2",
    "r_2": "r2",
    "precision_score": "precision",
    "recall_score": "recall",
    "f1_score": "f1",
    "top_k": "top_5",
    "top_k_accuracy": "top_5",
    "top_k_categorical_accuracy": "top_5",
    "sparse_top_k_categorical_accuracy": "top_5",
}
NAMES = ("accuracy", "top_<k>", "precision", "recall", "f1", *ERRORS)


def resolve(
    metrics: str | Function | Iterable[str | Function] | Mapping[str, str | Function] | None,
    loss_name: str,
    n_out: int,
) -> dict[str, Metric]:
    """Make the metrics, by the names under which a history records them.

    Parameters
    ----------
    metrics : str, callable, iterable of them, mapping from names to them, or None
        With the cross-entropies: "accuracy", the fraction of rows classified as their targets say
        (several sigmoid outputs: all of them right); with softmax "top_2" and so on, the fraction
        whose class is among the k most probable (among equals the last comes first, as in
        scikit-learn); with two classes "precision", "recall" and "f1" of class 1 (0 where nothing
        is predicted or there is nothing to find). With the other losses: "mse", "rmse", "mae" and
        "r2", over several outputs their mean as in scikit-learn.

        A callable ``(y_true, y_pred)`` gives a number; it has a name (``__name__``)
        unless it comes in a mapping. `y_true` is what the network is trained on, labels of shape
        (n,) or values of shape (n, outputs); `y_pred` the outputs, of shape (n, outputs),
        probabilities for the cross-entropies. With one output both have shape (n,). One with a
        parameter `sample_weight` is given weights where there are any.

        None: accuracy with the cross-entropies, and nothing else.
    loss_name : str
    n_out : int

    Returns
    -------
    dict of str to Metric

    Raises
    ------
    ValueError, TypeError
        If a metric is unknown or does not fit the loss or the outputs, or a name is taken twice.

    Examples
    --------
    >>> from pynn.metrics import resolve
    >>> list(resolve(["accuracy", "top_3"], "softmax_cross_entropy", 10))
    ['accuracy', 'top_3']
    """
    if metrics is None:
        metrics = ("accuracy",) if LOSSES[loss_name].classes else ()
    if isinstance(metrics, str) or callable(metrics):
        metrics = (metrics,)
    if isinstance(metrics, Mapping):
        pairs = [(name, each, f"metrics[{name!r}]") for name, each in metrics.items()]
    else:
        try:
            given = list(metrics)
        except TypeError:
            raise TypeError(f"metrics must be names and callables, got {metrics!r}") from None
        pairs = [
            (_name(each, f"metrics[{i}]"), each, f"metrics[{i}]") for i, each in enumerate(given)
        ]
    resolved: dict[str, Metric] = {}
    for name, each, place in pairs:
        if not isinstance(name, str):
            raise TypeError(f"metrics must be a mapping from names, got {name!r}")
        if name in RESERVED or name.startswith("val_"):
            raise ValueError(f"{place} cannot be called {name!r}, which the history uses")
        if name in resolved:
            raise ValueError(f"{place}: there is a metric called {name!r} already")
        metric = resolved[name] = _make(name, each, place, loss_name, n_out)
        metric.start()
    return resolved


def _name(metric: Any, place: str) -> Any:
    if isinstance(metric, str):
        return metric
    _check_metric(metric, place)
    name = getattr(metric, "__name__", "<lambda>")
    if name == "<lambda>":
        raise ValueError(f"{place} has no name: pass metrics={{'name': function}}, got {metric!r}")
    return name


def _check_metric(metric: Any, place: str) -> None:
    if isinstance(metric, str) or (callable(metric) and not isinstance(metric, type)):
        return
    raise TypeError(f"{place} must be the name of a metric or a callable, got {metric!r}")


def _make(name: str, metric: Any, place: str, loss: str, outputs: int) -> Metric:
    _check_metric(metric, place)
    if not isinstance(metric, str):
        return _Called(name, metric)
    info = LOSSES[loss]
    if metric == "accuracy":
        _fits(
            metric,
            place,
            info.classes,
            f"needs a cross-entropy, not loss={loss!r}; for values: {', '.join(ERRORS)}",
        )
        return _Accuracy(info.exclusive)
    if top := re.fullmatch(r"top_([1-9][0-9]*)", metric):
        k = int(top[1])
        _fits(
            metric, place, info.exclusive, f"needs loss='softmax_cross_entropy', not loss={loss!r}"
        )
        _fits(metric, place, k < outputs, f"needs more than {k} classes, there are {outputs}")
        return _TopK(k)
    if metric in ("precision", "recall", "f1"):
        two = info.classes and outputs == (2 if info.exclusive else 1)
        _fits(
            metric,
            place,
            two,
            f"needs two classes, not loss={loss!r} with {outputs} outputs; for an average over "
            "several pass a function",
        )
        return _TwoClasses(metric)
    if metric not in ERRORS:
        plain = re.sub("[^a-z0-9]+", "_", metric.lower())
        own = plain if plain in NAMES else _ELSEWHERE.get(plain)
        meant = f"; here that is {own!r}" if own else ""
        raise ValueError(
            f"{place} must be one of {', '.join(NAMES)} or a callable; got {metric!r}{meant}"
        )
    _fits(
        metric,
        place,
        not info.classes,
        f"needs a loss of values such as 'mse', not loss={loss!r}; for classes: 'accuracy'",
    )
    return ERRORS[metric]()


def _fits(metric: str, place: str, condition: bool, otherwise: str) -> None:
    if not condition:
        raise ValueError(f"{place}: {metric!r} {otherwise}")


def _takes_weights(function: Function) -> bool:
    try:
        return "sample_weight" in inspect.signature(function).parameters
    except (TypeError, ValueError):  # some builtins have none
        return False


def _labels(target: Array, labels: bool) -> Array:
    return target if labels else np.argmax(target, axis=1)


def _are_numbers(outputs: Array) -> Array:
    """Which rows hold no NaN: the others are never right."""
    return np.asarray(~np.isnan(outputs).any(axis=1))


def _differences(outputs: Array, target: Array) -> Array:
    return np.subtract(outputs, target, dtype=np.float64)


def _weighted_sum(row_values: Array, weight: Array | None) -> Any:
    """The sum over the rows, in float64."""
    if weight is None:
        return row_values.sum(axis=0, dtype=np.float64)
    # (Not as a product, whose last bits may depend on the number of BLAS threads.)
    rows = np.asarray(weight, dtype=np.float64).reshape(-1, *[1] * (row_values.ndim - 1))
    return (rows * row_values).sum(axis=0)


def total_weight(rows: Array, weight: Array | None) -> float:
    """Add the weights up; without any each row has weight 1."""
    with np.errstate(all="ignore"):
        return float(len(rows)) if weight is None else float(weight.sum(dtype=np.float64))
