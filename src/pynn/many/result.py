"""What `fit_many` gives: networks, histories, and a table of figures."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, overload

from pynn import _monitor
from pynn.history import History

if TYPE_CHECKING:
    import numpy as np

    from pynn.mlp import MLP

Row = dict[str, Any]

# The figures by which models are compared if none is named, the first that there is.
COMPARED = ("test_loss", "val_loss", "loss")
# How many rows the representation shows.
SHOWN = 10


@dataclass
class Outcome:
    """What a fit came to.

    Attributes
    ----------
    history : History
    epoch : int
        The one whose weights the network has.
    test : dict of str to float
        Figures over the samples of the fold that were not trained on.
    seconds : float
    error : str
        Empty where there was none.
    """

    history: History = field(default_factory=History)
    epoch: int = 0
    test: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    error: str = ""

    def figures(self) -> dict[str, float]:
        """Give the figures of the network as it is; NaN after an error.

        Returns
        -------
        dict of str to float
        """
        recorded = self.history.history
        figures = {
            name: math.nan if self.error or not self.epoch else values[self.epoch - 1]
            for name, values in recorded.items()
            if name not in ("learning_rate", "seconds")
        }
        figures.setdefault("loss", math.nan)
        tested = {f"test_{name}": value for name, value in self.test.items()}
        return figures | tested


def default_figure(row: Row) -> str:
    """Name the figure by which rows are compared.

    Parameters
    ----------
    row : dict

    Returns
    -------
    str
    """
    return next((name for name in COMPARED if name in row), "loss")


class FitManyResult:
    """Trained networks and their figures, in the order of the models.

    ``result[i]`` is a network (with `cv`: a list of one for each fold), ``len(result)`` is their
    number, and a loop goes through them.

    Attributes
    ----------
    models : list of MLP, or of list of MLP
        With `cv`, those of each fold.
    histories : list of History, or of list of History
    parameters : list of dict
        The points of the grid; empty dicts for networks that were given.
    seeds : list of numpy.random.SeedSequence or None
        Those that the networks of a grid have unless ``seed`` is among their parameters.
    table : list of dict
        For each model its number (``model``), its parameters (``param_`` before names that figures
        have), ``epoch``, whose weights it has, the figures of that epoch, ``seconds`` and
        ``error``. With `cv` the figures are means over the folds, ``test_loss`` and so on are those
        on the samples not trained on, and ``test_loss_std`` their standard deviation (dividing by
        the number of folds). After an error the figures are NaN.
    """

    def __init__(
        self,
        models: list[list[MLP]],
        outcomes: list[list[Outcome]],
        parameters: list[dict[str, Any]],
        seeds: list[np.random.SeedSequence] | None,
        *,
        cross_validated: bool,
    ) -> None:
        histories = [[outcome.history for outcome in group] for group in outcomes]
        self.models: list[Any] = models if cross_validated else [group[0] for group in models]
        self.histories: list[Any] = (
            histories if cross_validated else [group[0] for group in histories]
        )
        self.parameters = parameters
        self.seeds = seeds
        figures = [_summary(group, cross_validated) for group in outcomes]
        names = list(dict.fromkeys(name for row in figures for name in row))
        self.table: list[Row] = []
        for i, (point, group, row) in enumerate(zip(parameters, outcomes, figures, strict=True)):
            taken = {"model", "epoch", "seconds", "error", *names}
            named = {f"param_{k}" if k in taken else k: v for k, v in point.items()}
            self.table.append(
                {
                    "model": i,
                    **named,
                    **{name: row.get(name, math.nan) for name in names},
                    "seconds": sum(outcome.seconds for outcome in group),
                    "error": _error(group, cross_validated),
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

    def ranking(self, by: str | None = None, mode: str = "auto") -> list[int]:
        """Order the models by a figure, the best first.

        Parameters
        ----------
        by : str, optional
            A figure in the table; by default "test_loss", "val_loss" or "loss", the first of these
            that there is.
        mode : {"auto", "min", "max"}, default "auto"
            Whether it is to be small or large; "auto" goes by its name.

        Returns
        -------
        list of int
            Numbers of models; those without the figure come last, and equals in their order.

        Raises
        ------
        ValueError, TypeError
            If there is no such figure, or its name does not tell.
        """
        name = default_figure(self.table[0]) if by is None else by
        if not isinstance(name, str):
            raise TypeError(f"by must be the name of a figure, got {by!r}")
        values = [row.get(name) for row in self.table]
        if any(isinstance(v, bool) or not isinstance(v, int | float) for v in values):
            numbers = [k for k, v in self.table[0].items() if isinstance(v, float)]
            raise ValueError(f"by={name!r} is not a figure in the table, which has: {numbers}")
        sign = 1 if _monitor.direction(name, mode) == "min" else -1

        def key(i: int) -> tuple[bool, float]:
            value = self.table[i][name]
            return (True, 0.0) if math.isnan(value) else (False, sign * value)

        return sorted(range(len(self)), key=key)

    def best(self, by: str | None = None, mode: str = "auto") -> Row:
        """Give the best model's row of the table; its network is ``result[row["model"]]``.

        Parameters
        ----------
        by : str, optional
        mode : {"auto", "min", "max"}, default "auto"
            As for `ranking`.

        Returns
        -------
        dict

        Raises
        ------
        ValueError, TypeError
            As `ranking`; also if all models failed.

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
        if row["error"]:
            raise ValueError(f"all {len(self)} models failed: {row['error']}")
        return row

    def to_pandas(self) -> Any:
        """Return the table with the models' numbers as its index.

        Returns
        -------
        pandas.DataFrame

        Raises
        ------
        ImportError
            If pandas is not installed.
        """
        try:
            import pandas as pd
        except ImportError as error:
            raise ImportError("FitManyResult.to_pandas needs pandas: pip install pandas") from error
        return pd.DataFrame(self.table).set_index("model")

    def __repr__(self) -> str:
        failed = sum(bool(row["error"]) for row in self.table)
        order = self.ranking()
        more = f", the best {SHOWN}" if len(self) > SHOWN else ""
        title = f"FitManyResult: {len(self)} models by {default_figure(self.table[0])}{more}"
        if failed:
            title += f"; {failed} failed"
        columns = list(dict.fromkeys(name for row in self.table for name in row))
        if not failed:
            columns.remove("error")
        lines = [columns]
        lines += [[_text(self.table[i].get(name, "")) for name in columns] for i in order[:SHOWN]]
        widths = [max(len(line[j]) for line in lines) for j in range(len(columns))]
        rows = ["  ".join(c.rjust(w) for c, w in zip(line, widths, strict=True)) for line in lines]
        return "\n".join([title, *rows])


def _summary(group: list[Outcome], cross_validated: bool) -> dict[str, float]:
    rows = [{"epoch": outcome.epoch, **outcome.figures()} for outcome in group]
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


def _error(group: list[Outcome], cross_validated: bool) -> str:
    for fold, outcome in enumerate(group):
        if outcome.error:
            return f"fold {fold}: {outcome.error}" if cross_validated else outcome.error
    return ""


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    text = str(value)
    return text if len(text) <= 40 else text[:39] + "…"
