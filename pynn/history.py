"""What a fit recorded."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from numbers import Real
from typing import Any

from pynn._attributes import Closed


class History(Closed):
    """The metrics of a fit, one value an epoch.

    ``history["val_loss"]`` and ``history.val_loss`` are the list of one metric, ``"val_loss" in
    history`` tests for it, ``len(history)`` is the number of epochs, and a loop over a history goes
    through its epochs.

    Attributes
    ----------
    epoch : list of int
        The numbers of the epochs, from 1.
    history : dict of str to list of float
        ``loss``, the mean over the epoch's mini-batches as they were seen, before their updates;
        ``learning_rate``; ``seconds``, the duration of the epoch; the metrics of `fit`; and, with
        validation data, ``val_loss`` and for classifiers ``val_accuracy``, after the epoch. All
        are as long as `epoch`: NaN where an epoch has no such metric.

    Notes
    -----
    Two histories are equal if all their metrics are, NaN being equal to NaN. (The seconds count:
    of two fits, only the other metrics can be equal.)

    Examples
    --------
    >>> import numpy as np, pynn
    >>> net = pynn.MLP([2, 1], loss="mse", seed=0)
    >>> history = net.fit(np.ones((8, 2)), np.ones(8), epochs=3)
    >>> history.epoch
    [1, 2, 3]
    >>> len(history.loss)
    3
    >>> [row["learning_rate"] for row in history]
    [0.001, 0.001, 0.001]
    """

    _settable = ("epoch", "history")
    # Histories change while a network trains, so they have no hash.
    __hash__ = None  # type: ignore[assignment]

    def __init__(self) -> None:
        self.epoch: list[int] = []
        self.history: dict[str, list[float]] = {}

    @classmethod
    def from_dict(cls, history: Mapping[str, Any]) -> History:
        """Make a history of what `to_dict` gave.

        Parameters
        ----------
        history : dict of str to list of float
            Lists of one length. ``epoch`` holds the numbers of the epochs, increasing; without it
            they are 1, 2, ... None is taken for NaN, which JSON lacks.

        Returns
        -------
        History

        Raises
        ------
        ValueError, TypeError
            If `history` does not fit.

        Examples
        --------
        >>> import pynn
        >>> pynn.History.from_dict({"loss": [0.5, 0.25]})
        History(2 epochs; last: loss=0.25)
        """
        if not isinstance(history, Mapping):
            raise TypeError(f"history must be a dict of lists, got {history!r}")
        lists = {name: _values(name, values) for name, values in history.items()}
        lengths = {name: len(values) for name, values in lists.items()}
        if len(set(lengths.values())) > 1:
            raise ValueError(f"history must hold lists of one length, got {lengths}")
        count = next(iter(lengths.values()), 0)
        numbers = lists.pop("epoch", [float(i) for i in range(1, count + 1)])
        result = cls()
        result.epoch = _epochs(numbers)
        result.history = lists
        return result

    @property
    def loss(self) -> list[float]:
        """The training loss of each epoch."""
        return self.history.get("loss", [])

    def __getitem__(self, name: str) -> list[float]:
        """The metrics recorded under `name`."""
        try:
            return self.history[name]
        except (KeyError, TypeError):
            names = ", ".join(self.history) or "no metrics"
            raise KeyError(f"no metric {name!r}: this history has {names}") from None

    def __getattr__(self, name: str) -> list[float]:
        # Called for what is not found otherwise. A half-made copy has no `history` yet.
        history: dict[str, list[float]] = self.__dict__.get("history", {})
        if name in history:
            return history[name]
        raise AttributeError(
            f"{type(self).__name__!r} has no attribute and no metric {name!r}; its metrics are: "
            f"{', '.join(history) or 'none'}"
        )

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self.history]

    def __contains__(self, name: object) -> bool:
        return name in self.history

    def __iter__(self) -> Iterator[dict[str, float]]:
        """Go through the epochs: each is a dict of its metrics, with its number as ``epoch``."""
        for i, epoch in enumerate(self.epoch):
            yield {"epoch": epoch, **{name: values[i] for name, values in self.history.items()}}

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, History):
            return NotImplemented
        return (
            self.epoch == other.epoch
            and self.history.keys() == other.history.keys()
            and all(_same(values, other.history[name]) for name, values in self.history.items())
        )

    def to_dict(self) -> dict[str, list[float]]:
        """Return all metrics as a dict of new lists, ``epoch`` included.

        Returns
        -------
        dict of str to list

        Examples
        --------
        >>> import pynn
        >>> pynn.History.from_dict({"loss": [0.5, 0.25]}).to_dict()
        {'epoch': [1, 2], 'loss': [0.5, 0.25]}
        """
        return {"epoch": list(self.epoch), **{k: list(v) for k, v in self.history.items()}}

    def to_pandas(self) -> Any:
        """Return all metrics as a table with the epoch as its index.

        Returns
        -------
        pandas.DataFrame

        Raises
        ------
        ImportError
            If pandas is not installed.

        Examples
        --------
        >>> import pynn
        >>> pynn.History.from_dict({"loss": [0.5, 0.25]}).to_pandas().shape
        (2, 1)
        """
        try:
            import pandas as pd
        except ImportError as error:
            raise ImportError("History.to_pandas needs pandas: pip install pandas") from error
        return pd.DataFrame(self.history, index=pd.Index(self.epoch, name="epoch"))

    def plot(self, ax: Any = None) -> Any:
        """Draw the loss, and the validation loss with its best epoch, against the epoch.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            Where to draw the losses; by default in a new figure, which has a further panel for
            each metric.

        Returns
        -------
        matplotlib.axes.Axes
            The panel of the losses.

        Raises
        ------
        ImportError
            If matplotlib is not installed.

        See Also
        --------
        pynn.plot.learning_curve : The same for dicts of metrics, with a choice of metrics.

        Examples
        --------
        >>> import pynn
        >>> pynn.History.from_dict({"loss": [0.5, 0.25]}).plot().get_ylabel()
        'loss'
        """
        from pynn.plot._curve import draw_learning_curve

        return draw_learning_curve(self.to_dict(), None, ax, "History.plot")

    def __len__(self) -> int:
        return len(self.epoch)

    def __repr__(self) -> str:
        if not self.epoch:
            return "History(no epochs)"
        last = ", ".join(f"{name}={values[-1]:.4g}" for name, values in self.history.items())
        return f"History({len(self.epoch)} epochs; last: {last})"


def record_epoch(history: History, /, **metrics: float) -> None:
    """Record an epoch; what has begun late or is missing now is filled up with NaN.

    Parameters
    ----------
    history : History
    **metrics : float
    """
    before = len(history.epoch)
    for name in metrics:
        history.history.setdefault(name, [math.nan] * before)
    lists: list[list[Any]] = [history.epoch, *history.history.values()]
    values = [float(metrics.get(name, math.nan)) for name in history.history]
    # (One call in C, which no signal divides: `append` returns None.)
    any(map(list.append, lists, [history.epoch[-1] + 1 if history.epoch else 1, *values]))


def record_epochs(history: History, recorded: int, /, **metrics: list[float]) -> None:
    """Record several epochs, equally many of each metric.

    The lists change all together, so that an interrupt finds all of it or nothing.

    Parameters
    ----------
    history : History
    recorded : int
        How many epochs come before them; later ones are replaced.
    **metrics : list of float
    """
    names = dict.fromkeys((*history.history, *metrics))
    count = max(map(len, metrics.values()))
    missing: list[float] = [math.nan] * recorded
    lists = {
        name: history.history.get(name, missing)[:recorded] + metrics.get(name, [math.nan] * count)
        for name in names
    }
    epoch = history.epoch[:recorded]
    first = epoch[-1] + 1 if epoch else 1
    epoch += range(first, first + count)
    history.__dict__.update(epoch=epoch, history=lists)


def _values(name: Any, values: Any) -> list[float]:
    if not isinstance(name, str):
        raise TypeError(f"history must have names as keys, got {name!r}")
    if isinstance(values, str | bytes | Mapping):
        raise TypeError(f"history[{name!r}] must be a list of numbers, got {values!r}")
    try:
        items = list(values)
    except TypeError:
        raise TypeError(f"history[{name!r}] must be a list of numbers, got {values!r}") from None
    for i, value in enumerate(items):
        if value is not None and not isinstance(value, Real):
            raise TypeError(f"history[{name!r}][{i}] must be a number, got {value!r}")
    return [math.nan if value is None else float(value) for value in items]


def _epochs(numbers: list[float]) -> list[int]:
    ints = [int(n) if math.isfinite(n) else 0 for n in numbers]
    rising = all(a < b for a, b in zip([0, *ints], ints, strict=False))
    if ints != numbers or not rising:
        raise ValueError(f"history['epoch'] must hold increasing integers from 1, got {numbers}")
    return ints


def _same(a: list[float], b: list[float]) -> bool:
    return len(a) == len(b) and all(
        x == y or (math.isnan(x) and math.isnan(y)) for x, y in zip(a, b, strict=True)
    )
