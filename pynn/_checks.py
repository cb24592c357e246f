"""Checks of arguments. Each names the argument, what came and what was expected."""

from __future__ import annotations

import math
import operator
from typing import Any


def integer(value: Any, name: str, at_least: int) -> int:
    """`value` as an int."""
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{name} must be an integer, got {value!r}") from None
    if number < at_least:
        raise ValueError(f"{name} must be at least {at_least}, got {number}")
    return number


def real(value: Any, name: str) -> float:
    """`value` as a float; NaN and infinities are numbers."""
    if isinstance(value, bool | str | bytes):
        raise TypeError(f"{name} must be a number, got {value!r}")
    try:
        return float(value)
    except (TypeError, ValueError):
        raise TypeError(f"{name} must be a number, got {value!r}") from None


def number(value: Any, name: str, *, low: float, high: float = math.inf, open_low: bool) -> float:
    """`value` as a float in [low, high), or in (low, high)."""
    result = real(value, name)
    inside = (low < result if open_low else low <= result) and result < high
    if not inside:
        interval = f"{'(' if open_low else '['}{low:g}, {high:g})"
        raise ValueError(f"{name} must be in {interval}, got {result:g}")
    return result


def choice(value: Any, name: str, choices: tuple[str, ...]) -> str:
    """`value` if it is one of the names in `choices`."""
    if not isinstance(value, str):
        raise TypeError(f"{name} must be one of {', '.join(choices)}; got {value!r}")
    if value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(choices)}; got {value!r}")
    return value


def flag(value: Any, name: str) -> bool:
    """`value` if it is a truth value."""
    if value is True or value is False or type(value).__name__ in ("bool", "bool_"):
        return bool(value)
    raise TypeError(f"{name} must be True or False, got {value!r}")


def is_table(x: Any) -> bool:
    """Return True for a DataFrame, whatever its library.

    Parameters
    ----------
    x : object

    Returns
    -------
    bool
    """
    return hasattr(x, "dtypes") and hasattr(x, "columns")


def variable(name: str) -> str:
    """The argument as an expression: "X of mini-batch 3" is X."""
    return name.partition(" of ")[0]
