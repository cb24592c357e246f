"""What a fit recorded."""

from __future__ import annotations

from typing import Any


class History:
    """The figures of a fit, one value an epoch.

    Attributes
    ----------
    epoch : list of int
        The numbers of the epochs, from 1.
    history : dict of str to list of float
        ``loss``, the mean over the epoch's mini-batches as they were seen, before their updates;
        ``learning_rate``; ``seconds``, the duration of the epoch; and, with validation data,
        ``val_loss`` and for classifiers ``val_accuracy``, after the epoch.

    Examples
    --------
    >>> import numpy as np, pynn
    >>> net = pynn.MLP([2, 1], loss="mse", seed=0)
    >>> history = net.fit(np.ones((8, 2)), np.ones(8), epochs=3)
    >>> history.epoch
    [1, 2, 3]
    >>> len(history.loss)
    3
    """

    def __init__(self) -> None:
        self.epoch: list[int] = []
        self.history: dict[str, list[float]] = {}

    @property
    def loss(self) -> list[float]:
        """The training loss of each epoch."""
        return self.history.get("loss", [])

    def __getitem__(self, name: str) -> list[float]:
        """The figures recorded under `name`."""
        return self.history[name]

    def _add(self, **figures: float) -> None:
        self.epoch.append(len(self.epoch) + 1)
        for name, value in figures.items():
            self.history.setdefault(name, []).append(value)

    def to_dict(self) -> dict[str, list[float]]:
        """Return all figures as a dict of new lists, ``epoch`` included.

        Returns
        -------
        dict of str to list
        """
        return {"epoch": list(self.epoch), **{k: list(v) for k, v in self.history.items()}}

    def to_pandas(self) -> Any:
        """Return all figures as a table with the epoch as its index.

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
            raise ImportError("History.to_pandas needs pandas: pip install pandas") from error
        return pd.DataFrame(self.history, index=pd.Index(self.epoch, name="epoch"))

    def plot(self, ax: Any = None) -> Any:
        """Draw the loss, and the validation loss with its best epoch, against the epoch.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            Where to draw; by default in a new figure.

        Returns
        -------
        matplotlib.axes.Axes

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        """
        try:
            import matplotlib.pyplot as plt
        except ImportError as error:
            raise ImportError("History.plot needs matplotlib: pip install matplotlib") from error
        if ax is None:
            _, ax = plt.subplots(constrained_layout=True)
        ax.plot(self.epoch, self.loss, label="training", color="#0072B2")
        validation = self.history.get("val_loss")
        if validation:
            ax.plot(self.epoch, validation, label="validation", color="#D55E00", linestyle="--")
            best = min(range(len(validation)), key=validation.__getitem__)
            ax.plot(
                self.epoch[best],
                validation[best],
                "o",
                color="#D55E00",
                label=f"best: epoch {self.epoch[best]}",
            )
        ax.set(xlabel="epoch", ylabel="loss", title="Learning curve")
        ax.legend()
        return ax

    def __len__(self) -> int:
        return len(self.epoch)

    def __repr__(self) -> str:
        if not self.epoch:
            return "History(no epochs)"
        last = ", ".join(f"{name}={values[-1]:.4g}" for name, values in self.history.items())
        return f"History({len(self.epoch)} epochs; last: {last})"
