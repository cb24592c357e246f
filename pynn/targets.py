"""Samples, targets and weights: checked, and in a form that the core reads."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Sequence
from typing import Any
from weakref import ref

import numpy as np

from pynn import _array_input, _checks
from pynn._sparse import CsrRows, csr_rows, is_sparse
from pynn._types import Array
from pynn.losses import LOSSES

# By how much the sum of a row of probabilities may differ from 1: rounding to float16 gives half.
ROUNDING = 1e-3


class Targets:
    """Targets as the core takes them: a vector of int64 labels, or a matrix of values."""

    def __init__(self, values: Array, labels: bool, flat: bool = False) -> None:
        self.values, self.labels = values, labels
        self.flat = flat  # values that came as a vector; predictions have the same shape

    def rows(self, index: Any, classes: int, name: str) -> Array:
        """Return those of some samples, contiguous.

        Parameters
        ----------
        index : slice or ndarray of int64
        classes : int
            Labels are below it.
        name : str
            The argument's name, for the message.

        Returns
        -------
        ndarray
            Labels as a copy: the caller may write into the array meanwhile.

        Raises
        ------
        ValueError
            If a label has changed since it was checked, and is no class.
        """
        if not self.labels:
            return np.ascontiguousarray(self.values[index])
        labels = np.array(self.values[index], np.int64)
        # (A negative one is a large one there.)
        if labels.size and labels.view(np.uint64).max() >= classes:
            at = int(np.flatnonzero((labels < 0) | (labels >= classes))[0])
            row = np.arange(len(self.values))[index][at]
            raise ValueError(
                f"{name} holds the label {labels[at]} in row {row}, which is not a class: expected "
                f"0 to {classes - 1}; {name} was changed during the call"
            )
        return labels


class Data:
    """Samples with their targets and, if there are any, their weights (float64)."""

    def __init__(
        self,
        samples: Array | CsrRows,
        targets: Targets,
        weights: Array | None = None,
        names: tuple[str, str] = ("X", "y"),
        columns: Sequence[Any] | None = None,
    ) -> None:
        self.samples, self.targets, self.weights = samples, targets, weights
        self.names = names  # of samples and targets, for messages
        self.columns = columns  # the labels of a table's columns, for messages
        self.row_major: Array | None = None  # a copy of the samples that is read faster (staging)

    def __len__(self) -> int:
        return len(self.samples)

    def pinned(self) -> list[ref[Array]]:
        """Weak references to the arrays whose memory is read.

        NumPy refuses to resize an array in place while one exists. (The core makes its own, which
        do not outlast a call.)
        """
        return [*map(ref, _owners(self.samples, self.targets.values, self.weights))]


def _owners(*arrays: Array | CsrRows | None) -> Iterator[Array]:
    """The arrays whose memory these are read from."""
    for array in arrays:
        if isinstance(array, np.ndarray):  # (A sparse matrix has its own.)
            owner = array
            while isinstance(owner.base, np.ndarray):
                owner = owner.base
            yield owner


def check_targets(
    y: Any, loss: str, rows: int, outputs: int, name: str, samples: str = "X"
) -> Targets:
    """Check `y` against the loss, the number of rows and the number of outputs.

    Parameters
    ----------
    y : array_like, DataFrame or Series
    loss : str
    rows, outputs : int
    name, samples : str
        The names of this argument and of the samples, for the message.

    Returns
    -------
    Targets

    Raises
    ------
    ValueError, TypeError
        If `y` does not fit, naming its shape and dtype, what was expected, and the cure.
    """
    classes = LOSSES[loss].classes
    array = _array_input.array(y, name, "labels" if classes else "values")
    if array.ndim not in (1, 2):
        raise ValueError(f"{name} must have 1 or 2 dimensions, got shape {array.shape}")
    if len(array) != rows:
        hint = ""
        if array.ndim == 2 and array.shape[1] == rows:
            turned = ".ravel()" if len(array) == 1 else ".T"
            hint = f"; for a target a row: {_array_input.expression(y, name)}{turned}"
        raise ValueError(
            f"{name} has {len(array)} rows (shape {array.shape}), expected {rows}, as {samples} "
            f"has{hint}"
        )
    flat = False
    if array.ndim == 1:
        one_column = outputs == 1 and loss != "softmax_cross_entropy"
        if not one_column:
            return Targets(_labels(array, y, loss, outputs, name), labels=True)
        array, flat = array[:, np.newaxis], True
    if array.shape[1] != outputs:
        raise ValueError(
            f"{name} has shape {array.shape}, expected ({rows},{outputs}) or, for "
            f"{'class labels' if classes else 'one output'}, ({rows},)"
            f"{_column_cure(array, y, loss, outputs, name)}"
        )
    # (NaN fails every comparison.)
    if classes and array.size and not (array.min() >= 0 and array.max() <= 1):
        raise ValueError(
            f"{name} holds values from {array.min()} to {array.max()}, expected probabilities "
            f"between 0 and 1 for loss={loss!r}{_range_cure(array, y, loss, outputs, name)}"
        )
    if loss == "softmax_cross_entropy":
        check_sums(array, y, name)
    if loss == "poisson" and array.size and array.min() < 0:
        raise ValueError(
            f"{name} holds values down to {array.min()}, expected counts of at least 0 for "
            "loss='poisson'; for other targets make the network with loss='mse'"
        )
    return Targets(_readable(array), labels=False, flat=flat)


@functools.lru_cache(8)
def _ones(count: int, single: bool) -> Array:
    return np.ones(count, np.float32 if single else np.float64)


def check_sums(rows: Array, y: Any, name: str) -> None:
    """Check that rows of probabilities sum to 1, up to rounding; NaN is let pass.

    Parameters
    ----------
    rows : ndarray of shape (n, classes)
    y : array_like
        What `rows` was made of, for the message.
    name : str
        The argument's name.

    Raises
    ------
    ValueError
        If a row does not, naming the first one and the cure.
    """
    if not rows.size:
        return
    # Mostly the sum of the squares of all errors is small already: two products tell that, in a
    # fifth of the time that sums along short rows would take.
    errors = rows.dot(_ones(rows.shape[1], rows.dtype == np.float32)) - 1
    if errors.dot(errors) <= ROUNDING**2:
        return
    with np.errstate(all="ignore"):
        sums = rows.sum(axis=1, dtype=np.float64)
        far = np.abs(sums - 1) > ROUNDING
    if not far.any():  # (NaN)
        return
    row = int(far.argmax())
    own, given = _array_input.expression(y, name), rows[row]
    cure = f"divide by the sums: {own} / {own}.sum(axis=1, keepdims=True)"
    if not given.any():
        cure = "leave rows without a class out"
    elif sums[row] > 1 and ((given == 0) | (given == 1)).all():
        cure = "for several classes a row use the loss sigmoid_cross_entropy"
    raise ValueError(
        f"{name} must hold probabilities with a sum of 1 in each row, but row {row} sums to "
        f"{sums[row]:g}; {cure}"
    )


def _labels(array: Array, y: Any, loss: str, outputs: int, name: str) -> Array:
    """Class labels as int64."""
    own = _array_input.expression(y, name)
    if not LOSSES[loss].classes:
        raise ValueError(
            f"{name} has shape {array.shape}, expected ({len(array)},{outputs}) for a network "
            f"with {outputs} outputs{_vector_cure(array, loss, outputs, own)}"
        )
    if array.dtype.kind not in "biu":
        whole = _are_whole(array)
        cure = f"{own}.astype(int)"
        if not whole:
            cure = "is it a regression? Then make the network with one output and loss='mse'"
            if np.isnan(array).any():
                cure = f"{name} is NaN in row {int(np.isnan(array).argmax())}: leave it out"
        raise TypeError(
            f"{name} is a vector of dtype {array.dtype}; for loss={loss!r} it must hold integer "
            f"class labels, or be a matrix of shape ({len(array)},{outputs}) of probabilities; "
            f"{cure}"
        )
    if array.size and (array.min() < 0 or array.max() >= outputs):
        raise ValueError(
            f"{name} holds labels from {array.min()} to {array.max()}, expected 0 to "
            f"{outputs - 1} for a network with {outputs} outputs; "
            f"{_label_cure(array, outputs, own)}"
        )
    return np.ascontiguousarray(array, dtype=np.int64)


# ----------------------------------------------------------------------- cures


def _are_whole(array: Array) -> bool:
    """Whether all values are integers that int64 holds."""
    with np.errstate(invalid="ignore"):
        return bool((np.isfinite(array) & (np.abs(array) < 2.0**62)).all()) and bool(
            (np.floor(array) == array).all()
        )


def _as_vector(y: Any, name: str) -> str:
    """How a `y` of one column becomes a vector."""
    own = _array_input.variable(name)
    if hasattr(y, "columns"):
        return f"{own}.to_numpy().ravel() or {own}[{next(iter(y.columns))!r}]"
    return f"{_array_input.expression(y, name)}.ravel()"


def _column_cure(array: Array, y: Any, loss: str, outputs: int, name: str) -> str:
    """What to do about a number of columns that is not the network's number of outputs."""
    columns = array.shape[1]
    classes = LOSSES[loss].classes
    own = _array_input.expression(y, name)
    if columns == 1 and classes:
        if array.dtype.kind in "biu":
            return f"; for class labels pass a vector, {_as_vector(y, name)}"
        if _are_whole(array):
            return f"; for class labels pass a vector of integers, {own}.ravel().astype(int)"
        return "; is it a regression? Then make the network with one output and loss='mse'"
    if columns == 1:
        return f"; for the same target at each output: np.repeat({own}, {outputs}, axis=1)"
    if outputs == 1 and _is_one_hot(array):
        return f"; is {name} one-hot? Make the network with {columns} outputs"
    return f"; make the network with {columns} outputs, or choose {outputs} of {name}'s columns"


def _is_one_hot(array: Array) -> bool:
    return bool(((array == 0) | (array == 1)).all() and (array.sum(axis=1) == 1).all())


def _vector_cure(array: Array, loss: str, outputs: int, own: str) -> str:
    """What to do about a vector of values where there are several outputs."""
    repeat = f"np.repeat({own}.reshape(-1, 1), {outputs}, axis=1)"
    if loss == "pinball":
        return f"; each quantile has an output, with the same target: {repeat}"
    labels = array.dtype.kind in "biu" and array.size and array.min() >= 0
    if labels and array.max() < outputs:
        return (
            "; are they class labels? Then make the network with loss='softmax_cross_entropy'; for "
            f"one target, with one output; for the same target at each: {repeat}"
        )
    return f"; for one target make it with one output; for the same target at each: {repeat}"


def _label_cure(array: Array, outputs: int, own: str) -> str:
    """What to do about labels that are not 0 to outputs - 1."""
    low, high = int(array.min()), int(array.max())
    distinct = np.unique(array)
    if low == -1 and high == 1 and len(distinct) == 2:
        return f"for labels -1 and +1: ({own} > 0).astype(int)"
    if low > 0 and high - low < outputs:
        return f"for labels that start at {low}: {own} - {low}"
    number = f"classes, labels = np.unique({own}, return_inverse=True)"
    if low < 0 or len(distinct) <= outputs:
        return f"for other labels: {number}"
    return f"make the network with {len(distinct)} outputs, and labels from 0: {number}"


def _range_cure(array: Array, y: Any, loss: str, outputs: int, name: str) -> str:
    """What to do about values that are no probabilities."""
    own = _array_input.expression(y, name)
    is_nan = np.isnan(array) if array.dtype.kind == "f" else np.zeros(array.shape, bool)
    if is_nan.any():
        row, column = np.argwhere(is_nan)[0]
        return f"; NaN in row {row}, column {column}"
    distinct = np.unique(array)
    if distinct.tolist() == [-1, 1]:
        return f"; for labels -1 and +1: ({own} > 0).astype(int)"
    if len(distinct) == 2 and outputs == 1:
        return f"; for labels {distinct[0]} and {distinct[1]}: {own} == {distinct[1]}"
    if outputs == 1 and _are_whole(distinct) and len(distinct) < 20 and distinct[0] >= 0:
        return (
            f"; for {len(distinct)} classes make the network with {int(distinct[-1]) + 1} outputs "
            "and loss='softmax_cross_entropy'; for a regression, with loss='mse'"
        )
    return "; is it a regression? Then make the network with loss='mse'"


def _readable(array: Array) -> Array:
    """`array` in a type and layout that the core reads mini-batch by mini-batch."""
    if array.dtype.kind == "f" and array.dtype.itemsize > 8:
        array = array.astype(np.float64)
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    return array if array.flags.aligned else array.copy()


def check_samples(
    x: Any, columns: int, name: str, *, vector: bool = False, targets: Any = None
) -> Array | CsrRows:
    """Check that `x` is a matrix of numbers with `columns` columns.

    Parameters
    ----------
    x : array_like, DataFrame or sparse matrix
    columns : int
    name : str
        The argument's name, for the message.
    vector : bool, default False
        Take a single sample of shape (columns,), too, and leave it so.
    targets : array_like, optional
        The targets that came with the samples: they may be the samples.

    Returns
    -------
    ndarray or CsrRows
        `x` itself, or its arrays, wherever the core can read it.

    Raises
    ------
    ValueError, TypeError
        If `x` does not fit, naming its shape and dtype, what was expected, and the cure.
    """
    if is_sparse(x):
        if len(x.shape) != 2 or x.shape[1] != columns:
            raise ValueError(f"{name} has shape {x.shape}, expected (n, {columns})")
        return csr_rows(x, name)
    array = _array_input.array(x, name, "samples")
    if array.ndim not in ((1, 2) if vector else (2,)) or array.shape[-1] != columns:
        expected = f"(n, {columns})" + (f" or ({columns},)" if vector else "")
        raise ValueError(
            f"{name} has shape {array.shape}, expected {expected}"
            f"{_samples_cure(array, x, columns, name, targets)}"
        )
    return _readable(array)


def _samples_cure(array: Array, x: Any, columns: int, name: str, targets: Any) -> str:
    """What to do about samples of another shape."""
    own = _array_input.expression(x, name)
    are_targets = array.ndim == 1 or (array.ndim == 2 and _is_one_hot(array))
    if are_targets and _shape(targets) == (len(array), columns):
        return "; are the samples and the targets swapped?"
    if array.size == 0:
        return "; there are no samples"
    if array.ndim == 1 and columns == 1:
        return f"; for samples of one input: {own}.reshape(-1, 1)"
    if array.size == columns and array.ndim != 0:
        return f"; for one sample: {own}.reshape(1, -1)"
    if array.ndim > 2 and array[0].size == columns:
        return f"; for a sample a row: {own}.reshape(len({_array_input.variable(name)}), -1)"
    if array.ndim == 2:
        if array.shape[0] == columns:
            return f"; for a sample a row: {own}.T"
        if array.shape[1] == columns + 1:
            return "; is the target, or a number of the row, among the columns?"
    return ""


def _shape(x: Any) -> tuple[int, ...]:
    try:
        return np.shape(x)
    except (ValueError, TypeError, RuntimeError):  # rows of different lengths, a tensor elsewhere
        return ()


def check_weights(weights: Any, rows: int, name: str) -> Array | None:
    """Check weights of samples: not negative, finite, and not all 0.

    Parameters
    ----------
    weights : array_like of shape (rows,) or None
    rows : int
    name : str
        The argument's name, for the message.

    Returns
    -------
    ndarray of float64 or None

    Raises
    ------
    ValueError, TypeError
        If they do not fit.
    """
    if weights is None:
        return None
    if isinstance(weights, dict | str):
        raise TypeError(
            f"{name} must hold a number for each sample, got {weights!r}; for weights of classes: "
            "class_weight"
        )
    array = _array_input.array(weights, name)
    if array.shape != (rows,):
        hint = ""
        if array.ndim == 0:
            hint = f"; for equal weights leave {name} out"
        elif array.ndim == 2 and array.size == rows:
            hint = f"; for a vector: {_as_vector(weights, name)}"
        raise ValueError(f"{name} has shape {array.shape}, expected ({rows},){hint}")
    result = _array_input.cast(array, np.float64)
    bad = ~np.isfinite(result) | (result < 0)
    if bad.any():
        row = int(bad.argmax())
        raise ValueError(
            f"{name} must hold finite values of at least 0, got {result[row]} in row {row}"
        )
    if not result.any():
        raise ValueError(f"{name} is 0 everywhere")
    return result


def combined_weights(weights: Array, factors: Array) -> Array:
    """Weights of samples times those of their classes.

    Parameters
    ----------
    weights, factors : ndarray of float64
        As `check_weights` and `class_weights` return them.

    Returns
    -------
    ndarray of float64
    """
    with np.errstate(over="ignore", under="ignore"):
        product = weights * factors
        counted = product[(weights > 0) & (factors > 0)]
        if not counted.size or (
            counted.max() < np.inf and counted.min() >= np.finfo(np.float64).tiny
        ):
            return product
        return near_one(weights) * near_one(factors)


def near_one(weights: Array) -> Array:
    """Scale weights into the range of float32, by a power of two.

    Only the ratios count in a mean, and those far below the largest do not show.

    Parameters
    ----------
    weights : ndarray of float64

    Returns
    -------
    ndarray of float64
        `weights` itself where the largest is near 1.
    """
    largest = float(weights.max(initial=0.0))
    if largest == 0 or 2.0**-60 <= largest <= 2.0**60:
        return weights
    with np.errstate(under="ignore"):
        return np.asarray(np.ldexp(weights, 1 - math.frexp(largest)[1]))


def check_parts(data: Any, name: str) -> None:
    """Check that `data` is a tuple of samples, targets and perhaps weights.

    Raises
    ------
    TypeError
        If it is none, naming what came.
    """
    if isinstance(data, tuple | list) and len(data) in (2, 3):
        return
    what = f"an object of type {type(data).__name__}"
    if isinstance(data, tuple | list):
        what = f"a {type(data).__name__} of length {len(data)}"
    elif isinstance(data, dict):
        what = f"a dict with the keys {', '.join(map(repr, data))}"
    raise TypeError(f"{name} must be a tuple (X, y) or (X, y, sample_weight), got {what}")


def class_weights(
    spec: Any, targets: Targets, loss: str, outputs: int, rows: Array | None = None
) -> Array:
    """Weights of samples by their classes.

    Parameters
    ----------
    spec : "balanced" or dict of int to float
        "balanced": n / (classes * samples of the class), over the classes that occur. Classes that
        a dict leaves out have weight 1.
    targets : Targets
        Rows of probabilities count as their most probable class, a single output as 0 or 1.
    loss : str
    outputs : int
        Of the network: a dict's keys are below it, or 0 and 1 for a single output.
    rows : ndarray of int64, optional
        The samples that "balanced" counts, by their indices; all of them by default.

    Returns
    -------
    ndarray of float64
        One for each sample, counted or not.

    Raises
    ------
    ValueError, TypeError
        If the targets are not classes, `spec` is neither, or a key is no class.
    """
    if not LOSSES[loss].classes:
        raise ValueError(
            f"class_weight needs classes, but loss={loss!r} has values as targets; use "
            "sample_weight"
        )
    if targets.labels:
        labels = targets.values
    elif targets.values.shape[1] == 1:
        labels = (targets.values[:, 0] > 0.5).astype(np.int64)
    elif loss == "softmax_cross_entropy":
        labels = targets.values.argmax(axis=1)
    else:
        raise ValueError(
            "class_weight needs one class a sample, but each row of y holds several yes-or-no "
            "targets; use sample_weight"
        )
    if isinstance(spec, str):
        _checks.choice(spec, "class_weight", ("balanced",))
        counted = labels if rows is None else labels[rows]
        counts = np.bincount(counted, minlength=int(labels.max(initial=0)) + 1)
        present = np.count_nonzero(counts)
        by_class = len(counted) / (present * np.maximum(counts, 1))
        return np.asarray(by_class[labels], np.float64)
    if not isinstance(spec, dict):
        cure = ": dict(enumerate(class_weight))" if np.ndim(spec) == 1 else ""
        raise TypeError(f"class_weight must be 'balanced' or a dict, got {spec!r}{cure}")
    count = max(outputs, 2)
    weights = np.ones(count)
    for label, value in spec.items():
        key = _checks.integer(label, "class_weight's key", 0)
        if key >= count:
            raise ValueError(
                f"class_weight has the key {key}, expected classes from 0 to {count - 1}"
            )
        weights[key] = _checks.number(value, f"class_weight[{key}]", low=0.0, open_low=False)
    return weights[labels]


def held_out_count(fraction: float, rows: int) -> int:
    """How many of `rows` samples a part of them is, rounded up.

    Raises
    ------
    ValueError
        If nothing would be left to train on.
    """
    count = math.ceil(fraction * rows)
    if count >= rows:
        raise ValueError(f"validation_split={fraction:g} of {rows} samples leaves none to train on")
    return count


def last_rows(fraction: float, rows: int) -> tuple[Array, Array]:
    """Indices of samples to train on, and of the last ones, which are held out.

    Parameters
    ----------
    fraction : float
        The part that is held out, rounded up.
    rows : int

    Returns
    -------
    training, held_out : ndarray of int64
    """
    kept = rows - held_out_count(fraction, rows)
    indices = np.arange(rows)
    return indices[:kept], indices[kept:]


def stratified_split(
    rng: np.random.Generator, fraction: float, rows: int, labels: Array | None
) -> tuple[Array, Array]:
    """Indices of samples to train on and of those held out, each in order.

    Parameters
    ----------
    rng : numpy.random.Generator
        ``rng.permutation(rows)`` is drawn from it.
    fraction : float
        The part that is held out, rounded up.
    rows : int
    labels : ndarray of int or None
        With labels, every class has its share in both parts, as nearly as whole samples allow.

    Returns
    -------
    training, held_out : ndarray of int64
    """
    order = rng.permutation(rows)
    count = held_out_count(fraction, rows)
    if labels is None:
        held_out = order[:count]
    else:
        # Every class's samples are spread evenly over [0, 1); the first `count` are taken.
        shuffled = labels[order]
        by_class = np.argsort(shuffled, kind="stable")
        counts = np.bincount(shuffled)
        starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
        within = np.arange(rows) - starts[shuffled[by_class]]
        place = np.empty(rows)
        place[by_class] = (within + 0.5) / counts[shuffled[by_class]]
        held_out = order[np.argsort(place, kind="stable")[:count]]
    mask = np.zeros(rows, bool)
    mask[held_out] = True
    return np.flatnonzero(~mask), np.flatnonzero(mask)


def predictions(loss: str, outputs: Array, flat: bool = False) -> Array:
    """Labels for the cross-entropies, otherwise the outputs: as a vector if `flat`."""
    if loss == "softmax_cross_entropy":
        best: Array = np.argmax(outputs, axis=-1)
        return best
    if loss == "sigmoid_cross_entropy":
        positive = (outputs > 0.5).astype(np.int64)
        first: Array = positive[..., 0]
        return first if outputs.shape[-1] == 1 else positive
    return outputs[..., 0] if flat and outputs.shape[-1] == 1 else outputs
