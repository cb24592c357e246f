"""What `fit` calls as it goes: the interface, and early stopping."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from pynn import _checks, _monitor
from pynn._types import Array

if TYPE_CHECKING:
    from pynn.history import History
    from pynn.mlp import MLP


class Callback:
    """What a callback may define; all of it does nothing here.

    A plain callable ``callback(net, history)`` will do as well, and so will any object with some of
    these methods. An answer that is True (nothing else) ends the fit: after this epoch, or after
    this mini-batch; the other callbacks are called all the same.

    Notes
    -----
    `on_batch_end` costs speed: the mini-batches then come back to Python one by one. It is called
    only where a class or an object defines it.

    Examples
    --------
    >>> import numpy as np, pynn
    >>> class Patient(pynn.Callback):
    ...     def __call__(self, net, history):
    ...         return history.loss[-1] < 0.1
    >>> net = pynn.MLP([2, 1], loss="mse", seed=0)
    >>> history = net.fit(np.ones((8, 2)), np.ones(8), epochs=99, callbacks=[Patient()])
    >>> len(history) < 99
    True
    """

    def on_fit_begin(self, net: MLP, history: History) -> Any:
        """See the network before the first epoch.

        Parameters
        ----------
        net : MLP
        history : History
            Still empty.
        """

    def __call__(self, net: MLP, history: History) -> Any:
        """See the network and the figures after an epoch.

        Parameters
        ----------
        net : MLP
        history : History

        Returns
        -------
        bool or None
            True ends the fit.
        """

    def on_batch_end(self, net: MLP, batch: int, loss: float) -> Any:
        """See the network after a mini-batch.

        Parameters
        ----------
        net : MLP
        batch : int
            Its number in the epoch, from 0.
        loss : float
            The mini-batch's mean loss before its update.

        Returns
        -------
        bool or None
            True ends the fit.
        """

    def on_fit_end(self, net: MLP, history: History) -> Any:
        """See the network after the last epoch, whatever ended the fit but an exception.

        Parameters
        ----------
        net : MLP
        history : History
        """


def wants_batches(callback: Any) -> bool:
    """Tell whether a callback is to be called after each mini-batch.

    Parameters
    ----------
    callback : object

    Returns
    -------
    bool
        Whether it has an ``on_batch_end`` that is not the one of `Callback`.
    """
    method = getattr(callback, "on_batch_end", None)
    return method is not None and getattr(method, "__func__", None) is not Callback.on_batch_end


class EarlyStopping(Callback):
    """Ends a fit when a recorded figure has stopped improving.

    Parameters
    ----------
    monitor : str or callable, default "val_loss"
        The name of a figure of the history, or a function of the history that gives a number.
    patience : int, default 10
        After how many epochs in a row without an improvement the fit ends.
    min_delta : float, default 0.0
        An improvement is a figure better than the best so far by more than this (NaN never is).
    mode : {"auto", "min", "max"}, default "auto"
        Whether the figure is to be small or large; "auto" goes by its name.
    restore_best : bool, default True
        Whether the network has the weights of the best epoch again at the end of the fit, whatever
        ended it but an exception.

    Attributes
    ----------
    best : float or None
        The best figure of the fit; None before the first.
    best_epoch : int or None
        Its epoch, from 1.
    stopped_epoch : int or None
        The epoch after which this callback ended the fit; None if it did not.

    Notes
    -----
    As Keras' callback of this name. Each fit starts afresh. The optimiser's state is not restored.

    Examples
    --------
    >>> import numpy as np, pynn
    >>> X, y = np.random.default_rng(0).normal(size=(2, 90, 1))
    >>> stop = pynn.EarlyStopping(patience=3)
    >>> net = pynn.MLP([1, 50, 1], loss="mse", seed=0)
    >>> history = net.fit(
    ...     X[:60], y[:60], 500, optimizer=pynn.SGD(0.1), callbacks=[stop],
    ...     validation_data=(X[60:], y[60:]),
    ... )
    >>> stop.best == min(history["val_loss"]), stop.stopped_epoch - stop.best_epoch
    (True, 3)
    """

    def __init__(
        self,
        monitor: str | Callable[[History], float] = "val_loss",
        patience: int = 10,
        min_delta: float = 0.0,
        mode: str = "auto",
        restore_best: bool = True,
    ) -> None:
        if not (isinstance(monitor, str) or callable(monitor)):
            raise TypeError(
                "monitor must be the name of a figure or a function of the history, "
                f"got {monitor!r}"
            )
        self.monitor = monitor
        self.patience = _checks.integer(patience, "patience", 0)
        self.min_delta = _checks.number(min_delta, "min_delta", low=0.0, open_low=False)
        _monitor.direction(monitor, mode)
        self.mode = mode
        self.restore_best = _checks.flag(restore_best, "restore_best")
        self._start()

    def _start(self) -> None:
        self.best: float | None = None
        self.best_epoch: int | None = None
        self.stopped_epoch: int | None = None
        self._wait = 0
        self._weights: Array | None = None

    def on_fit_begin(self, net: MLP, history: History) -> None:
        """Forget what an earlier fit gave.

        Parameters
        ----------
        net : MLP
        history : History
        """
        self._start()

    def __call__(self, net: MLP, history: History) -> bool:
        """Look at an epoch's figure.

        Parameters
        ----------
        net : MLP
        history : History

        Returns
        -------
        bool
            Whether there was no improvement for so long that the fit is to end.

        Raises
        ------
        ValueError
            If the figure is not recorded.
        """
        value = _monitor.figure(self.monitor, history)
        epoch = history.epoch[-1]
        direction = _monitor.direction(self.monitor, self.mode)
        if _monitor.improves(value, self.best, direction, self.min_delta):
            self.best, self.best_epoch, self._wait = value, epoch, 0
            if self.restore_best:
                if self._weights is None:
                    self._weights = np.empty_like(net._parameters)
                self._weights[...] = net._parameters
            return False
        self._wait += 1
        if self._wait < self.patience:
            return False
        self.stopped_epoch = epoch
        return True

    def on_fit_end(self, net: MLP, history: History) -> None:
        """Give the network the best epoch's weights again, if that was asked for.

        Parameters
        ----------
        net : MLP
        history : History
        """
        if self._weights is not None:
            net._parameters[...] = self._weights
        self._weights = None

    def __repr__(self) -> str:
        return (
            f"EarlyStopping(monitor={self.monitor!r}, patience={self.patience}, "
            f"min_delta={self.min_delta:g}, mode={self.mode!r}, restore_best={self.restore_best})"
        )
