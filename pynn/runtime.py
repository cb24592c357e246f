"""The run time: threads, and what this build of pynn is."""

from __future__ import annotations

import operator
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal, overload

from pynn import _checks, _core
from pynn._version import __version__


def set_num_threads(n: int | None) -> None:
    """Set how many threads pynn's functions may use, from now on and for all Python threads.

    Parameters
    ----------
    n : int or None
        At least 1. None goes back to OpenMP's own number: ``OMP_NUM_THREADS``, what threadpoolctl
        set, or the number of processors. A CPU quota (a container's limit), rounded down, takes
        the place of the number of processors where it is smaller.

    Raises
    ------
    TypeError, ValueError
        If `n` is not an integer, or is less than 1.

    Notes
    -----
    This is an upper limit. Small work is done on fewer threads, and the results are the same
    bits on any number.

    Examples
    --------
    >>> import pynn
    >>> pynn.set_num_threads(1)
    >>> pynn.get_num_threads()
    1
    >>> pynn.set_num_threads(None)
    """
    if n is None:
        _core.set_num_threads(0)
        return
    try:
        count = operator.index(n)
    except TypeError:
        raise TypeError(f"n must be an integer or None, got {n!r}") from None
    if count < 1:
        raise ValueError(f"n must be at least 1, got {count}")
    _core.set_num_threads(min(count, 1024))


def get_num_threads() -> int:
    """Return how many threads pynn's functions may use.

    Returns
    -------
    int
        What `set_num_threads` set, else OpenMP's number; 1 in a build without OpenMP, and in a
        process forked from one that had already used several threads.
    """
    return _core.get_num_threads()


@contextmanager
def threads(n: int | None) -> Iterator[None]:
    """Use at most `n` threads within a ``with`` block.

    Parameters
    ----------
    n : int or None
        As for `set_num_threads`.

    Examples
    --------
    >>> import pynn
    >>> with pynn.threads(1):
    ...     pynn.get_num_threads()
    1
    """
    before = _core.requested_num_threads()
    set_num_threads(n)
    try:
        yield
    finally:
        _core.set_num_threads(before)


@overload
def show_config(
    mode: Literal["print"] = "print", *, shape: tuple[int, int, int] | None = None
) -> None: ...
@overload
def show_config(
    mode: Literal["dict"], *, shape: tuple[int, int, int] | None = None
) -> dict[str, Any]: ...
def show_config(
    mode: Literal["print", "dict"] = "print", *, shape: tuple[int, int, int] | None = None
) -> dict[str, Any] | None:
    """Print what this build of pynn is and what it uses on this machine.

    Parameters
    ----------
    mode : {"print", "dict"}, default "print"
        "dict" returns the facts instead of printing them.
    shape : (rows, inputs, outputs), optional
        Of a layer: add how one thread does its three products in float32 (the strategies of
        docs/kernels.md).

    Returns
    -------
    dict or None
        With the keys version, python, compiler, isa (the instruction set in use), isas_built,
        isas_usable, fused_multiply_add, openmp and threads; with a shape also forward,
        input_gradient and weight_gradient.

    Raises
    ------
    ValueError
        If the mode is unknown, or `shape` is not three positive integers.

    Examples
    --------
    >>> import pynn
    >>> pynn.show_config("dict")["version"] == pynn.__version__
    True
    """
    if mode not in ("print", "dict"):
        raise ValueError(f"mode must be 'print' or 'dict', got {mode!r}")
    facts: dict[str, Any] = {
        "version": __version__,
        "python": sys.version.split()[0],
        **_core.config(),
    }
    if shape is not None:
        sizes = [_checks.integer(size, f"shape[{i}]", 1) for i, size in enumerate(shape)]
        if len(sizes) != 3:
            raise ValueError(f"shape must be (rows, inputs, outputs), got {shape!r}")
        products = ("forward", "input_gradient", "weight_gradient")
        facts |= dict(zip(products, _core.strategies(*sizes), strict=True))
    if mode == "dict":
        return facts
    for name, value in facts.items():
        text = ", ".join(value) if isinstance(value, list) else value
        print(f"{name:>20}: {text}")
    return None
