"""Samples, targets and weights as they come, checked and in a form that the core reads."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any
from weakref import ref

import numpy as np

from pynn import _array_input, _checks
from pynn._changes import label_error
from pynn._sparse import CsrRows, csr_rows, is_sparse
from pynn._types import Array
from pynn.losses import Loss


class Targets:
    """Targets as the core takes them: a vector of int64 labels, or a matrix of values."""

    __slots__ = ("flat", "labels", "values")

    def __init__(self, values: Array, labels: bool, flat: bool = False) -> None:
        self.values, self.labels = values, labels
        self.flat = flat  # values that came as a vector; predictions have the same shape

    def rows(self, index: Any, classes: int, name: str, place: str = "") -> Array:
        """Return those of some samples, contiguous.

        Parameters
        ----------
        index : slice or ndarray of int64
        classes : int
            Labels are below it.
        name, place : str
            The argument's name and " in epoch 2", for the message.

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
            error = label_error(name, labels[at], row, classes)
            raise ValueError(f"{error}; {name} was changed during the call{place}")
        return labels


class Data:
    """Samples with their targets and, if there are any, their weights (float64)."""

    __slots__ = ("columns", "names", "row_major", "samples", "targets", "weights")

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


class DataSpec:
    """The samples and targets that a network takes: it checks them.

    Parameters
    ----------
    input_shape, output_shape : tuple of int
        Without the axis of samples; the first size may be None, any length. Each position of an
        output with several axes has a target.
    loss : Loss
    tokens : bool, default False
        The samples hold integers, which the network looks up.
    takes_sparse : bool, default True
        The first layer reads sparse matrices.

    Attributes
    ----------
    inputs : int
        The number of a sample's values; of any length, of a step.
    outputs : int
        The number of outputs for a target.
    is_fixed : bool
        All samples have the same shape.
    """

    __slots__ = (
        "input_shape", "inputs", "is_fixed", "loss", "output_shape", "outputs", "takes_sparse",
        "tokens",
    )  # fmt: skip

    def __init__(
        self,
        input_shape: tuple[Any, ...],
        output_shape: tuple[Any, ...],
        loss: Loss,
        *,
        tokens: bool = False,
        takes_sparse: bool = True,
    ) -> None:
        self.input_shape, self.output_shape = input_shape, output_shape
        self.is_fixed = None not in input_shape
        self.inputs = math.prod(input_shape if self.is_fixed else input_shape[1:])
        self.outputs = output_shape[-1]
        self.loss, self.tokens, self.takes_sparse = loss, tokens, takes_sparse

    def samples(self, X: Any, *, vector: bool = False) -> Array | CsrRows:
        """Check samples without targets.

        Parameters
        ----------
        X : array_like, DataFrame or sparse matrix of shape (n, inputs)
        vector : bool, default False
            Take a single dense sample of shape (inputs,) too, and leave it so.

        Returns
        -------
        ndarray or CsrRows
            As `check_samples` returns them.
        """
        return self._samples(X, "X", vector=vector)

    def _samples(
        self, X: Any, name: str, *, vector: bool = False, targets: Any = None
    ) -> Array | CsrRows:
        """Check samples of the network's shape; rows of values are returned."""
        if not self.takes_sparse and is_sparse(X):
            raise TypeError(
                f"{name} is a sparse matrix, which only a Dense layer reads, at the beginning of "
                f"the network or after one Dropout; pass {_checks.variable(name)}.toarray()"
            )
        if len(self.input_shape) == 1 and self.is_fixed:
            samples = check_samples(X, self.inputs, name, vector=vector, targets=targets)
        else:
            array = _array_input.array(X, name, "samples")
            ndim = len(self.input_shape)
            fits = array.ndim == ndim + 1 or (vector and array.ndim == ndim)
            given = array.shape[array.ndim - ndim :]
            fits = fits and all(
                m == n or (n is None and m > 0)
                for m, n in zip(given, self.input_shape, strict=True)
            )
            if not fits:
                inner = ", ".join("time" if n is None else str(n) for n in self.input_shape)
                expected = f"(n, {inner})" + (f" or ({inner})" if vector else "")
                cure = ""
                is_whole = self.is_fixed and array.size and array.size % self.inputs == 0
                if is_whole and array.ndim != ndim:
                    cure = f"; {_checks.variable(name)}.reshape(-1, {inner}) would fit"
                raise ValueError(f"{name} has shape {array.shape}, expected {expected}{cure}")
            # (Rows that do not lie end to end are copied.)
            before = array.shape[: array.ndim - ndim]
            shape = (*before, math.prod(given))
            # Axes that do not lie at one stride stay: the core gathers a mini-batch at a time.
            one = array[:1] if before else array
            is_view = not before or np.may_share_memory(one.reshape(-1), one)
            samples = _readable(array.reshape(shape) if is_view else array)
        if self.tokens and (not isinstance(samples, np.ndarray) or samples.dtype.kind not in "iu"):
            raise TypeError(
                f"{name} must hold integers, which the network looks up, got dtype "
                f"{getattr(samples, 'dtype', 'of a sparse matrix')}"
            )
        return samples

    def shape_of(self, samples: Any, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Give a shape of the network for some samples, with their length.

        Parameters
        ----------
        samples : ndarray or CsrRows of shape (n, values)
        shape : tuple of int
            None stands for the length.

        Returns
        -------
        tuple of int
        """
        if None not in shape:
            return shape
        return (math.prod(samples.shape[1:]) // self.inputs, *shape[1:])

    def rows(self, X: Any) -> tuple[Array | CsrRows, bool]:
        """Check samples, or a single one, for a prediction.

        Parameters
        ----------
        X : array_like, DataFrame or sparse matrix of shape (n, inputs) or (inputs,)

        Returns
        -------
        samples : ndarray or CsrRows of shape (n, inputs)
        single : bool
            `X` is a single sample.
        """
        if self.takes_sparse and is_sparse(X) and X.shape == (self.inputs,):
            return csr_rows(X, "X"), True
        samples = self.samples(X, vector=True)
        if samples.ndim == 1:
            return samples[np.newaxis], True
        return samples, False

    def data(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        class_weight: Any = None,
        names: tuple[str, str, str] = ("X", "y", "sample_weight"),
        rows: Array | None = None,
    ) -> Data:
        """Check samples with their targets and weights.

        Parameters
        ----------
        X, y, sample_weight, class_weight
            As for `MLP.fit`.
        names : tuple of str
            The arguments' names, for messages.
        rows : ndarray of int64, optional
            The samples whose classes are counted for `class_weight`; all of them by default.

        Returns
        -------
        Data
            In a form that the core reads.
        """
        samples = self._samples(X, names[0], targets=y)
        if len(samples) == 0:
            raise ValueError(f"{names[0]} has shape {samples.shape}: there are no samples")
        loss, outputs = self.loss, self.outputs
        if len(self.output_shape) > 1:
            return self._positioned(samples, y, sample_weight, class_weight, names)
        targets = check_targets(y, loss, len(samples), outputs, names[1], names[0])
        weights = check_weights(sample_weight, len(samples), names[2])
        if class_weight is not None:
            by_class = class_weights(class_weight, targets, loss, outputs, rows)
            weights = by_class if weights is None else combined_weights(weights, by_class)
            if not (weights if rows is None else weights[rows]).any():
                raise ValueError("class_weight leaves every sample a weight of 0")
        return Data(samples, targets, weights, names[:2], _array_input.labels(X))

    def _positioned(
        self,
        samples: Array | CsrRows,
        y: Any,
        sample_weight: Any,
        class_weight: Any,
        names: tuple[str, str, str],
    ) -> Data:
        """Check targets and weights of a network that has a target at each position."""
        n, shape = len(samples), self.shape_of(samples, self.output_shape)
        places = shape[:-1]
        if class_weight is not None:
            raise ValueError("class_weight needs a target a sample; pass sample_weight by position")
        array = _array_input.array(y, names[1], "labels" if self.loss.info.classes else "values")
        takes_labels = self.loss.takes_labels(self.outputs)
        flat = array.shape == (n, *places) and (takes_labels or self.outputs == 1)
        if not flat and array.shape != (n, *shape):
            expected = f"{(n, *shape)}"
            if takes_labels or self.outputs == 1:
                expected = f"{(n, *places)}, a target for each position, or {expected}"
            raise ValueError(f"{names[1]} has shape {array.shape}, expected {expected}")
        rows = array.reshape(-1) if flat else array.reshape(-1, self.outputs)
        targets = check_targets(
            rows, self.loss, n * math.prod(places), self.outputs, names[1], names[0]
        )
        weights = check_weights(sample_weight, n, names[2], places)
        if math.prod(places) > 1:
            targets.values = targets.values.reshape(n, -1)
        elif weights is not None:
            weights = weights.reshape(n)
        return Data(samples, targets, weights, names[:2])

    def parts(self, data: Any, name: str, names: tuple[str, str, str]) -> Data:
        """Check a tuple (X, y) or (X, y, sample_weight).

        Parameters
        ----------
        data : tuple
        name : str
            What messages call it.
        names : tuple of str
            What they call its parts.

        Returns
        -------
        Data
        """
        check_parts(data, name)
        weights = data[2] if len(data) == 3 else None
        return self.data(data[0], data[1], weights, None, names)

    def batch(self, batch: Any, name: str) -> Data:
        """Check a mini-batch of an iterable.

        Parameters
        ----------
        batch : tuple
        name : str
            What messages call it.

        Returns
        -------
        Data
        """
        names = (f"X of {name}", f"y of {name}", f"sample_weight of {name}")
        return self.parts(batch, name, names)

    def validation(self, data: Any) -> Data:
        """Check ``validation_data``.

        Parameters
        ----------
        data : tuple

        Returns
        -------
        Data
        """
        names = ("validation_data[0]", "validation_data[1]", "validation_data[2]")
        return self.parts(data, "validation_data", names)


def core_shape(shape: tuple[Any, ...]) -> tuple[int, ...]:
    """Return a shape as the core has it: (time, height, width, channels).

    A vector has channels only; a sequence (time, channels); an image (height, width, channels).

    Parameters
    ----------
    shape : tuple of int
        Of a sample. None, any length, is 1 here.

    Returns
    -------
    tuple of int
    """
    *before, channels = (1 if n is None else n for n in shape)
    if len(before) == 1:
        return (before[0], 1, 1, channels)
    return (*(1,) * (3 - len(before)), *before, channels)


# ---------------------------------------------------------------------- samples


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
        from pynn import _cures

        raise ValueError(
            f"{name} has shape {array.shape}, expected {expected}"
            f"{_cures.of_samples(array, x, columns, name, targets)}"
        )
    return _readable(array)


def _readable(array: Array) -> Array:
    """`array` in a type and layout that the core reads mini-batch by mini-batch."""
    if array.dtype.kind == "f" and array.dtype.itemsize > 8:
        array = array.astype(np.float64)
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    return array if array.flags.aligned else array.copy()


# ---------------------------------------------------------------------- targets


def check_targets(
    y: Any, loss: Loss, rows: int, outputs: int, name: str, samples: str = "X"
) -> Targets:
    """Check `y` against the loss, the number of rows and the number of outputs.

    Parameters
    ----------
    y : array_like, DataFrame or Series
    loss : Loss
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
    classes = loss.info.classes
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
        if loss.takes_labels(outputs):
            return Targets(_labels(array, y, loss, outputs, name), labels=True)
        array, flat = array[:, np.newaxis], True
    if array.shape[1] != outputs:
        from pynn import _cures

        raise ValueError(
            f"{name} has shape {array.shape}, expected ({rows},{outputs}) or, for "
            f"{'class labels' if classes else 'one output'}, ({rows},)"
            f"{_cures.of_columns(array, y, classes, outputs, name)}"
        )
    loss.check_values(array, y, name, outputs)
    return Targets(_readable(array), labels=False, flat=flat)


def _labels(array: Array, y: Any, loss: Loss, outputs: int, name: str) -> Array:
    """Class labels as int64."""
    if not loss.info.classes:
        from pynn import _cures

        own = _array_input.expression(y, name)
        raise ValueError(
            f"{name} has shape {array.shape}, expected ({len(array)},{outputs}) for a network "
            f"with {outputs} outputs{_cures.of_vector(array, loss.name, outputs, own)}"
        )
    if array.dtype.kind not in "biu":
        from pynn import _cures

        cure = f"{_array_input.expression(y, name)}.astype(int)"
        if not _cures.are_whole(array):
            cure = "is it a regression? Then make the network with one output and loss='mse'"
            if np.isnan(array).any():
                cure = f"{name} is NaN in row {int(np.isnan(array).argmax())}: leave it out"
        raise TypeError(
            f"{name} is a vector of dtype {array.dtype}; for loss={loss.name!r} it must hold "
            f"integer class labels, or be a matrix of shape ({len(array)},{outputs}) of "
            f"probabilities; {cure}"
        )
    if array.size and (array.min() < 0 or array.max() >= outputs):
        from pynn import _cures

        own = _array_input.expression(y, name)
        raise ValueError(
            f"{name} holds labels from {array.min()} to {array.max()}, expected 0 to "
            f"{outputs - 1} for a network with {outputs} outputs; "
            f"{_cures.of_labels(array, outputs, own)}"
        )
    return np.ascontiguousarray(array, dtype=np.int64)


# ---------------------------------------------------------------------- weights


def check_weights(weights: Any, rows: int, name: str, places: tuple[int, ...] = ()) -> Array | None:
    """Check weights of samples: not negative, finite, and not all 0.

    Parameters
    ----------
    weights : array_like of shape (rows,) or None
    rows : int
    name : str
        The argument's name, for the message.
    places : tuple of int, default ()
        The shape of a sample's targets: a weight for each of them is possible, too.

    Returns
    -------
    ndarray of float64 or None
        Of shape (rows,), or (rows, number of targets) where each target has one.

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
    if array.shape != (rows,) and not (places and array.shape == (rows, *places)):
        hint = f" or {(rows, *places)}" if places else ""
        if array.ndim == 0:
            hint += f"; for equal weights leave {name} out"
        elif array.ndim == 2 and array.size == rows and not places:
            from pynn import _cures

            hint = f"; for a vector: {_cures.as_vector(weights, name)}"
        raise ValueError(f"{name} has shape {array.shape}, expected ({rows},){hint}")
    result = _array_input.cast(array, np.float64)
    bad = ~np.isfinite(result) | (result < 0)
    if bad.any():
        row, *place = (int(k) for k in np.argwhere(bad)[0])
        where = f"row {row}, at {place}" if place else f"row {row}"
        raise ValueError(
            f"{name} must hold finite values of at least 0, got {result[(row, *place)]} in {where}"
        )
    if not result.any():
        raise ValueError(f"{name} is 0 everywhere")
    return result if result.ndim == 1 else result.reshape(rows, -1)


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
    spec: Any, targets: Targets, loss: Loss, outputs: int, rows: Array | None = None
) -> Array:
    """Weights of samples by their classes.

    Parameters
    ----------
    spec : "balanced" or dict of int to float
        "balanced": n / (classes * samples of the class), over the classes that occur. Classes that
        a dict leaves out have weight 1.
    targets : Targets
        Rows of probabilities count as their most probable class, a single output as 0 or 1.
    loss : Loss
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
    if not loss.info.classes:
        raise ValueError(
            f"class_weight needs classes, but loss={loss.name!r} has values as targets; use "
            "sample_weight"
        )
    labels = targets.values if targets.labels else loss.classes_of(targets.values)
    if labels is None:
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
