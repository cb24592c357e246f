"""A recorded metric that is watched: its latest value, and whether it has improved."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal

from pynn import _checks

if TYPE_CHECKING:
    from pynn.history import History

Direction = Literal["min", "max"]
MODES = ("auto", "min", "max")

# The last word of a metric's name says which way is better. Those of scikit-learn's functions
# do by its convention: "score" is to be large; "error", "loss" and "deviance" are to be small.
SMALLER_IS_BETTER = {"loss", "error", "deviance", "mse", "mae", "rmse"}
LARGER_IS_BETTER = {"accuracy", "score", "r2", "precision", "recall", "f1", "auc"}


def direction(monitor: Any, mode: Any) -> Direction:
    """Tell which way the metric `monitor` improves.

    Parameters
    ----------
    monitor : str or callable
    mode : {"auto", "min", "max"}
        "auto" goes by the last word of the metric's name.

    Returns
    -------
    {"min", "max"}

    Raises
    ------
    ValueError, TypeError
        If the mode is not one of these, or "auto" and the name does not tell.
    """
    checked = _checks.choice(mode, "mode", MODES)
    if checked != "auto":
        return "min" if checked == "min" else "max"
    if isinstance(monitor, str):
        *words, last = monitor.split("_")
        if last in SMALLER_IS_BETTER:
            return "min"
        if last in LARGER_IS_BETTER or (last.isdigit() and words[-1:] == ["top"]):
            return "max"
    raise ValueError(
        f"mode='auto' does not tell whether monitor={monitor!r} is to be small or large: "
        "pass mode='min' or mode='max'"
    )


def metric(monitor: Any, history: History) -> float:
    """The latest epoch's value of the metric `monitor`.

    Parameters
    ----------
    monitor : str or callable
        The name under which `history` records it, or a function of the history.
    history : History

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If nothing is recorded under the name, saying what is.
    TypeError
        If the function does not give a number.
    """
    if not isinstance(monitor, str):
        return _checks.real(monitor(history), f"the value of monitor={monitor!r}")
    values = history.history.get(monitor)
    if not values:
        hint = ""
        if monitor.startswith("val_") and not any(
            name.startswith("val_") for name in history.history
        ):
            hint = ": is there validation data?"
        recorded = ", ".join(history.history) or "nothing"
        raise ValueError(f"monitor={monitor!r} is not recorded, but {recorded}{hint}")
    return float(values[-1])


def improves(value: float, best: float | None, direction: Direction, min_delta: float) -> bool:
    """Tell if `value` is better than `best` by more than `min_delta`; NaN never is.

    Parameters
    ----------
    value : float
    best : float or None
        None: there is none yet.
    direction : {"min", "max"}
    min_delta : float

    Returns
    -------
    bool
    """
    if direction == "min":
        return value < (math.inf if best is None else best - min_delta)
    return value > (-math.inf if best is None else best + min_delta)
