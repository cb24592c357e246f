"""Errors that are found late: a caller's array changed while a network trained on it."""

from __future__ import annotations

from pynn._types import TrainingResult


def changed_error(
    result: TrainingResult, names: tuple[str, str], outputs: int, place: str = ""
) -> ValueError:
    """Return what to raise where the core has found an array that does not fit.

    Parameters
    ----------
    result : dict
        What the core's training loop has returned.
    names : tuple of str
        The names of the samples and the targets.
    outputs : int
        The network's. (One output tells two classes apart.)
    place : str, optional
        " in epoch 1, mini-batch 2"; none where a call begins, before which nothing can change.
    """
    fault = result["sparse_fault"]
    if fault:
        return ValueError(f"{fault}{_changed(names[0], place, False)}" if place else fault)
    row, value = result["changed_row"], result["changed_value"]
    if result["changed_kind"] == "label":
        name = names[1]
        what = label_error(name, value, row, max(outputs, 2))
    elif result["changed_kind"] == "token":
        name = names[0]
        what = f"{name} holds the token {value} in row {row}"
    else:
        name = names[0]
        what = f"{name} has row pointers or column indices that do not fit in row {row}"
    return ValueError(what + _changed(name, place, result["changed_applied"]))


def _changed(name: str, place: str, applied: bool) -> str:
    when = "after a step on such data" if applied else "before this mini-batch"
    return f"; {name} was changed during the call{place}. The weights are those {when}."


def label_error(name: str, label: int, row: int, classes: int) -> str:
    """Say that a label in a row is no class."""
    return (
        f"{name} holds the label {label} in row {row}, which is not a class: expected 0 to "
        f"{classes - 1}"
    )
