"""What `fit_many` gives: networks, histories, arguments, and a table of metrics."""

from __future__ import annotations

import inspect
import math
import shutil
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, overload

from pynn import _monitor
from pynn._attributes import Closed
from pynn.engine import engine_of
from pynn.history import History
from pynn.optimizers import Optimizer, present_settings

if TYPE_CHECKING:
    import numpy as np

    from pynn._types import Array
    from pynn.network import Network

Row = dict[str, Any]

# The metrics by which models are compared if none is named, the first that there is.
COMPARED = ("test_loss", "val_loss", "loss")
# How many rows the representation shows, and how many errors below them.
SHOWN, ERRORS_SHOWN = 10, 3
# What scikit-learn's searches call it, and what a result does.
_ELSEWHERE = {
    "best_estimator_": "best_model",
    "best_index_": 'best()["model"]',
    "best_params_": 'arguments[result.best()["model"]]',
    "best_score_": 'best()["test_accuracy"] and so on',
    "cv_results_": "table or to_pandas()",
    "predict": "best_model.predict",
    "predict_proba": "best_model.predict_proba",
    "score": "best_model.score",
}


@dataclass
class Outcome:
    """What a fit came to.

    Attributes
    ----------
    history : History
    epoch : int
        The one whose weights the network has.
    test : dict of str to float
        Metrics over the samples of the fold that were not trained on.
    seconds : float
    error : str
        Empty where there was none.
    """

    history: History = field(default_factory=History)
    epoch: int = 0
    test: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    error: str = ""

    def metrics(self) -> dict[str, float]:
        """Give the metrics of the network as it is; NaN after an error.

        Returns
        -------
        dict of str to float
        """
        recorded = self.history.history
        metrics = {
            name: math.nan if self.error or not self.epoch else values[self.epoch - 1]
            for name, values in recorded.items()
            if name not in ("learning_rate", "seconds")
        }
        metrics.setdefault("loss", math.nan)
        tested = {f"test_{name}": value for name, value in self.test.items()}
        return metrics | tested


def default_metric(row: Row) -> str:
    """Name the metric by which rows are compared.

    Parameters
    ----------
    row : dict

    Returns
    -------
    str
    """
    return next((name for name in COMPARED if name in row), "loss")


class FitManyResult(Closed):
    """Trained networks and their metrics, in the order of the models.

    ``result[i]`` is a network (with `cv`: a list of one for each fold), ``len(result)`` is their
    number, and a loop goes through them.

    Attributes
    ----------
    models : list of MLP or Sequential, or of lists of these
        With `cv`, those of each fold.
    histories : list of History, or of list of History
    epochs : list of int, or of list of int
        The epochs whose weights the networks have.
    parameters : list of dict
        The points of the grid; empty dicts for networks that were given.
    arguments : list of dict
        For each model ``{"model": {...}, "fit": {...}}``: the arguments of `MLP` (or `Sequential`)
        and of `fit`, in their own names, where they differ from the defaults.
        ``pynn.MLP(**a["model"])`` and its ``fit(X, y, **a["fit"])`` give the same bits; with `cv`,
        those of `best_model`, or those of a fold on the fold's samples (and their weights).
        Optimizers, callbacks and generators are copies from before the training. For networks that
        were given, ``a["model"]`` describes the network, without its first weights.
    seeds : list of numpy.random.SeedSequence or None
        Those that the networks of a grid have unless ``seed`` is among their parameters.
    folds : list of tuple (train, test) or None
        With `cv`, the indices of the samples of each fold.
    table : list of dict
        For each model its number (``model``), its parameters (``param_`` before names that metrics
        have), ``epoch``, whose weights it has, the metrics of that epoch, ``seconds`` and
        ``error``. With `cv` the metrics are means over the folds, ``test_loss`` and so on are those
        on the samples not trained on, and ``test_loss_std`` their standard deviation (dividing by
        the number of folds); ``epoch`` is the mean over the folds as the nearest integer. After an
        error the metrics are NaN, and ``epoch`` is the last whole one.
    """

    _settable = (
        "models", "histories", "epochs", "parameters", "arguments", "seeds", "folds", "table",
    )  # fmt: skip

    def __init__(
        self,
        models: list[list[Network]],
        outcomes: list[list[Outcome]],
        parameters: list[dict[str, Any]],
        arguments: list[dict[str, dict[str, Any]]],
        seeds: list[np.random.SeedSequence] | None,
        folds: list[tuple[Array, Array]] | None,
        by: str | None,
    ) -> None:
        def of_models(groups: Sequence[Sequence[Any]]) -> list[Any]:
            return [list(each) if folds is not None else each[0] for each in groups]

        self.models: list[Any] = of_models(models)
        self.histories = of_models([[each.history for each in group] for group in outcomes])
        self.epochs = of_models([[each.epoch for each in group] for group in outcomes])
        self.parameters = parameters
        self.arguments = arguments
        self.seeds = seeds
        self.folds = folds
        self._best: Network | None = None
        self._best_error = ""
        metrics = [_summary(group, cross_validated=folds is not None) for group in outcomes]
        self._metrics = list(dict.fromkeys(name for row in metrics for name in row))
        self._mixed = len({str(engine_of(group[0]).loss.config()) for group in models}) > 1
        self._named = by
        self.table: list[Row] = []
        taken = {"model", "epoch", "seconds", "error", *self._metrics}
        for i, (point, group, row) in enumerate(zip(parameters, outcomes, metrics, strict=True)):
            named = {f"param_{k}" if k in taken else k: v for k, v in point.items()}
            self.table.append(
                {
                    "model": i,
                    **named,
                    "epoch": _nearest(statistics.fmean(outcome.epoch for outcome in group)),
                    **{name: row.get(name, math.nan) for name in self._metrics},
                    "seconds": sum(outcome.seconds for outcome in group),
                    "error": _error(group, cross_validated=folds is not None),
                }
            )

    def __len__(self) -> int:
        return len(self.models)

    @overload
    def __getitem__(self, index: int) -> Any: ...
    @overload
    def __getitem__(self, index: slice) -> list[Any]: ...
    def __getitem__(self, index: int | slice) -> Any:
        return self.models[index]

    def __iter__(self) -> Iterator[Any]:
        return iter(self.models)

    def __getattr__(self, name: str) -> Any:
        cure = f": use result.{_ELSEWHERE[name]}" if name in _ELSEWHERE else ""
        raise AttributeError(f"FitManyResult has no attribute {name!r}{cure}")

    # ------------------------------------------------------------- the best model

    @property
    def best_model(self) -> Network:
        """The best network, trained on all samples (that no `validation_split` held out).

        With `cv` it was trained once more (`refit`); otherwise it is one of `models`. It is the
        best by the metric that `refit` named, and by default as in `ranking`.

        Raises
        ------
        ValueError
            With ``refit=False`` and `cv`, and where there is no best model.
        """
        best = self.best()["model"]
        if self.folds is None:
            net: Network = self.models[best]
            return net
        if self._best_error:
            raise ValueError(
                f"the best model, {best}, could not be trained again: {self._best_error}"
            )
        if self._best is None:
            raise ValueError(
                "with cv each model was trained on parts of the samples only: for a network that "
                f"was trained on all of them pass refit=True, or use result[{best}], one for each "
                "fold"
            )
        return self._best

    def ranking(self, by: str | None = None, mode: str = "auto") -> list[int]:
        """Order the models by a metric, the best first.

        Parameters
        ----------
        by : str, optional
            A metric in the table; by default the one that `refit` named, or else "test_loss" (with
            `cv`), "val_loss" (with validation data) or "loss", the first of these that there is.
            Without `cv` and validation data that is the loss on the training samples, which says
            nothing of other samples.
        mode : {"auto", "min", "max"}, default "auto"
            Which way it improves; "auto" goes by its name.

        Returns
        -------
        list of int
            Numbers of models; those without the metric come last, and equals in their order.

        Raises
        ------
        ValueError, TypeError
            If there is no such metric, or its name does not tell; without `by`, if the models have
            different losses.
        """
        name = self._compared() if by is None else by
        if not isinstance(name, str):
            raise TypeError(f"by must be the name of a metric, got {by!r}")
        values = [row.get(name) for row in self.table]
        if any(isinstance(v, bool) or not isinstance(v, int | float) for v in values):
            names = [*self._metrics, "epoch", "seconds"]
            raise ValueError(f"by={name!r} is not a metric in the table, which has: {names}")
        sign = 1 if _monitor.direction(name, mode) == "min" else -1

        def key(i: int) -> tuple[bool, float]:
            value = self.table[i][name]
            return (True, 0.0) if math.isnan(value) else (False, sign * value)

        return sorted(range(len(self)), key=key)

    def _compared(self) -> str:
        """The metric by which models are compared if none is named."""
        if self._named is not None:
            return self._named
        name = default_metric(self.table[0])
        if self._mixed:
            others = [m for m in self._metrics if not m.endswith(("loss", "_std"))]
            raise ValueError(
                f"the models have different losses, whose {name} cannot be compared: name a metric "
                f"that all have, {', '.join(map(repr, others)) or 'after metrics=... in fit_many'}"
            )
        return name

    def best(self, by: str | None = None, mode: str = "auto") -> Row:
        """Give the best model's row of the table; its network is ``result[row["model"]]``.

        Parameters
        ----------
        by : str, optional
            As for `ranking`: without `cv` and validation data by the loss on the training samples.
        mode : {"auto", "min", "max"}, default "auto"

        Returns
        -------
        dict

        Raises
        ------
        ValueError, TypeError
            As `ranking`; also if no model has the metric, because all failed or it is NaN.

        Examples
        --------
        >>> import numpy as np, pynn
        >>> nets = [pynn.MLP([2, 1], loss="mse", seed=i) for i in range(3)]
        >>> from pynn.many import fit_many
        >>> result = fit_many(nets, np.ones((8, 2)), np.ones(8), epochs=2)
        >>> result.best()["loss"] == min(row["loss"] for row in result.table)
        True
        """
        row = self.table[self.ranking(by, mode)[0]]
        name = self._compared() if by is None else by
        if math.isnan(row[name]):
            errors = [each["error"] for each in self.table if each["error"]]
            if len(errors) == len(self):
                raise ValueError(f"all {len(self)} models failed: {errors[0]}")
            raise ValueError(f"{name} is NaN for all models that have not failed")
        return row

    # ------------------------------------------------------------------ the table

    def to_pandas(self) -> Any:
        """Return the table with the models' numbers as its index.

        Returns
        -------
        pandas.DataFrame
            Integers stay integers; a parameter that some models do not have is missing there.

        Raises
        ------
        ImportError
            If pandas is not installed.
        """
        try:
            import pandas as pd
        except ImportError as error:
            raise ImportError("FitManyResult.to_pandas needs pandas: pip install pandas") from error
        columns = {}
        for name in self._columns():
            present = [row[name] for row in self.table if name in row]
            kinds = {type(value) for value in present}
            values: Any = [row.get(name) for row in self.table]
            if len(present) < len(self) and kinds in ({int}, {bool}):
                values = pd.array(values, dtype="Int64" if kinds == {int} else "boolean")
            elif kinds <= {int, float, bool, str}:
                values = pd.Series(values)
            else:
                values = pd.Series(values, dtype=object)
            columns[name] = values
        return pd.DataFrame(columns).set_index("model")

    def _columns(self) -> list[str]:
        """The table's columns; those that only some models have are among the parameters."""
        ends = ["epoch", *self._metrics, "seconds", "error"]
        names = dict.fromkeys(name for row in self.table for name in row)
        return [*(name for name in names if name not in ends), *ends]

    def __repr__(self) -> str:
        width = max(shutil.get_terminal_size().columns, 40)
        try:
            by: str | None = self._compared()
            order = self.ranking()
        except ValueError:
            by, order = None, list(range(len(self)))
        lines = self._title(by, width)
        constant = self._constant()
        if constant:
            lines.append(_cut(f"all: {', '.join(f'{k}={text_of(v)}' for k, v in constant)}", width))
        rows = [self.table[i] for i in order[:SHOWN]]
        texts = {
            name: [text_of(row[name]) if name in row else "" for row in rows]
            for name in self._columns()
            if name != "error" and name not in dict(constant)
        }
        shown = self._fitting(texts, by, width)
        widths = {name: max(map(len, [name, *texts[name]])) for name in shown}
        lines.append("  ".join(name.rjust(widths[name]) for name in shown))
        for i in range(len(rows)):
            lines.append("  ".join(texts[name][i].rjust(widths[name]) for name in shown))
        if len(shown) < len(texts):
            rest = ", ".join(name for name in texts if name not in shown)
            lines.append(_cut(f"in .table, too: {rest}", width))
        failed = [row for row in self.table if row["error"]]
        for row in failed[:ERRORS_SHOWN]:
            lines.append(_cut(f"model {row['model']}: {row['error']}", width))
        return "\n".join(lines)

    def _title(self, by: str | None, width: int) -> list[str]:
        """What the table is, in as many lines as it takes."""
        failed = sum(bool(row["error"]) for row in self.table)
        if by is None:
            parts = [" in their order", " (their losses differ: name a metric to rank them by)"]
        else:
            parts = [f" by {by}"]
            if not self._metrics_of_others() and by == "loss":
                parts.append(" (training loss: no validation data, no cv)")
            elif not by.startswith(("val_", "test_")):
                parts.append(" (on the training samples)")
        if len(self) > SHOWN:
            parts.append(f", the {'first' if by is None else 'best'} {SHOWN}")
        if failed:
            parts.append(f"; {failed} failed")
        lines = [f"FitManyResult: {len(self)} model{'s' if len(self) > 1 else ''}"]
        for part in parts:
            if len(lines[-1] + part) > width:
                lines.append("  " + part.lstrip(" ,;"))
            else:
                lines[-1] += part
        return lines

    def _metrics_of_others(self) -> list[str]:
        """Metrics on samples that were not trained on."""
        return [name for name in self._metrics if name.startswith(("val_", "test_"))]

    def _constant(self) -> list[tuple[str, Any]]:
        """The parameters that are the same for several models."""
        if len(self) < 2:
            return []
        result = []
        for name in self._parameters():
            texts = {repr(row[name]) if name in row else None for row in self.table}
            if len(texts) == 1:
                result.append((name, self.table[0][name]))
        return result

    def _parameters(self) -> list[str]:
        """The table's columns of parameters."""
        others = {"model", "epoch", "seconds", "error", *self._metrics}
        return [name for name in self._columns() if name not in others]

    def _fitting(self, texts: dict[str, list[str]], by: str | None, width: int) -> list[str]:
        """The columns that go into a line, the more important ones first."""
        parameters = [name for name in self._parameters() if name in texts]
        others = self._metrics_of_others()
        means = [name for name in others if not name.endswith("_std")]
        first = [by, f"{by}_std"] if by else []
        metrics = [n for n in dict.fromkeys([*first, *others, *self._metrics]) if n in texts]
        by_importance = ["model", *first[:1], *parameters, *means, *metrics, "epoch", "seconds"]
        chosen, left = set(), width + 2
        for name in dict.fromkeys(by_importance):
            if name not in texts:
                continue
            need = 2 + max(map(len, [name, *texts[name]]))
            if need <= left:
                chosen.add(name)
                left -= need
        order = ["model", *parameters, *metrics, "epoch", "seconds"]
        return [name for name in order if name in chosen]


def set_best(result: FitManyResult, net: Network, error: str) -> None:
    """Let a result have its best model, trained on all samples, or why it could not be.

    Parameters
    ----------
    result : FitManyResult
    net : Network
    error : str
        Empty where there was none.
    """
    result._best, result._best_error = net, error


def _summary(group: list[Outcome], *, cross_validated: bool) -> dict[str, float]:
    """A model's metrics; with folds, their means and the standard deviations of those tested."""
    rows = [outcome.metrics() for outcome in group]
    if not cross_validated:
        return rows[0]
    names = list(dict.fromkeys(name for row in rows for name in row))
    result = {}
    for name in names:
        values = [float(row.get(name, math.nan)) for row in rows]
        finite = all(math.isfinite(value) for value in values)
        result[name] = statistics.fmean(values)
        if name.startswith("test_"):
            result[f"{name}_std"] = statistics.pstdev(values) if finite else math.nan
    return result


def _nearest(value: float) -> int:
    """The nearest integer; of two, the larger."""
    return math.floor(value + 0.5)


def _error(group: list[Outcome], *, cross_validated: bool) -> str:
    for fold, outcome in enumerate(group):
        if outcome.error:
            return f"fold {fold}: {outcome.error}" if cross_validated else outcome.error
    return ""


def text_of(value: Any, width: int = 40) -> str:
    """Write a value of a table, an optimizer without its defaults.

    Parameters
    ----------
    value : object
    width : int, default 40
        The largest number of characters; what is longer ends in "…".

    Returns
    -------
    str

    Examples
    --------
    >>> import pynn
    >>> from pynn.many.result import text_of
    >>> text_of(1 / 3), text_of((32, 16)), text_of(pynn.Adam(0.01))
    ('0.3333', '(32, 16)', 'Adam(learning_rate=0.01)')
    """
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, Optimizer):
        defaults = inspect.signature(type(value)).parameters
        settings = present_settings(value)
        text = ", ".join(
            f"{name}={text_of(setting)}"
            for name, setting in settings.items()
            if name == "learning_rate" or setting != defaults[name].default
        )
        return _cut(f"{type(value).__name__}({text})", width)
    name = getattr(value, "__name__", None)  # a function's or a class's
    return _cut(str(value) if name is None else name, width)


def _cut(text: str, width: int) -> str:
    text = text.replace("\n", " ")
    return text if len(text) <= width else text[: width - 1] + "…"
