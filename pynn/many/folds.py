"""The folds of a cross-validation: which samples to train on, and which to test on."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from pynn import _array_input, _checks
from pynn._types import Array

Fold = tuple[Array, Array]


def check_folds(cv: Any, rows: int, labels: Array | None, rng: np.random.Generator) -> list[Fold]:
    """Make the folds of `cv`.

    Parameters
    ----------
    cv : int or iterable of tuple (train, test)
        A number of folds, or the samples of each by their indices or by masks.
    rows : int
        How many samples there are.
    labels : ndarray of int, optional
        With labels, each fold of a number of folds has its share of every class.
    rng : numpy.random.Generator
        Deals the samples out to a number of folds.

    Returns
    -------
    list of tuple (train, test)
        Of int64 indices.

    Raises
    ------
    ValueError, TypeError
        If `cv` is neither, or indices do not fit.
    """
    if isinstance(cv, str | bytes | dict):
        raise TypeError(f"cv must be an integer or pairs of indices (train, test), got {cv!r}")
    if not isinstance(cv, Iterable):
        count = _checks.integer(cv, "cv", 2)
        if count > rows:
            raise ValueError(f"cv={count} folds of {rows} samples: a fold would have no samples")
        return stratified_folds(count, rows, labels, rng)
    folds = []
    for i, pair in enumerate(cv):
        if not isinstance(pair, tuple | list) or len(pair) != 2:
            raise TypeError(f"cv[{i}] must be a pair of indices (train, test), got {pair!r}")
        folds.append(
            (_indices(pair[0], f"cv[{i}][0]", rows), _indices(pair[1], f"cv[{i}][1]", rows))
        )
    if not folds:
        raise ValueError("cv holds no folds")
    return folds


def stratified_folds(
    count: int, rows: int, labels: Array | None, rng: np.random.Generator
) -> list[Fold]:
    """Deal samples out to folds, those of each class in turn.

    Parameters
    ----------
    count, rows : int
    labels : ndarray of int, optional
    rng : numpy.random.Generator
        ``rng.permutation(rows)`` is drawn from it.

    Returns
    -------
    list of tuple (train, test)
        Two folds differ by at most one sample, in all and in each class.

    Examples
    --------
    >>> import numpy as np
    >>> from pynn.many.folds import stratified_folds
    >>> labels = np.array([0, 0, 0, 0, 1, 1])
    >>> folds = stratified_folds(2, 6, labels, np.random.default_rng(0))
    >>> [np.bincount(labels[test]).tolist() for train, test in folds]
    [[2, 1], [2, 1]]
    """
    order = rng.permutation(rows)
    if labels is not None:
        order = order[np.argsort(labels[order], kind="stable")]
    fold_of = np.empty(rows, np.int64)
    fold_of[order] = np.arange(rows) % count
    return [(np.flatnonzero(fold_of != k), np.flatnonzero(fold_of == k)) for k in range(count)]


def _indices(value: Any, name: str, rows: int) -> Array:
    # (A copy: the caller's array may change during the fits.)
    array = np.array(_array_input.array(value, name))
    if array.ndim != 1 or array.dtype.kind not in "biu":
        raise TypeError(
            f"{name} must be a vector of indices or a mask, got shape {array.shape} and dtype "
            f"{array.dtype}"
        )
    if array.dtype.kind == "b":
        if len(array) != rows:
            raise ValueError(f"{name} is a mask of length {len(array)}, expected {rows}")
        array = np.flatnonzero(array)
    if not array.size:
        raise ValueError(f"{name} is empty")
    if array.min() < 0 or array.max() >= rows:
        raise ValueError(
            f"{name} holds indices from {array.min()} to {array.max()}, expected 0 to {rows - 1}"
        )
    return np.ascontiguousarray(array, dtype=np.int64)
