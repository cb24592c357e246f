"""What `fit` calls: the interface of callbacks, and early stopping."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from pynn import _checks, _monitor
from pynn._attributes import Closed
from pynn._interrupts import warn
from pynn._keywords import refuse, refuses_unknown
from pynn._names import suggestion
from pynn._types import Array
from pynn.engine import engine_of

if TYPE_CHECKING:
    from pynn.history import History


# The methods of a callback, with pynn's arguments.
EVENTS = {
    "on_train_begin": "(net, history)",
    "on_epoch_begin": "(net, history)",
    "on_batch_end": "(net, batch, loss)",
    "on_epoch_end": "(net, history)",
    "on_train_end": "(net, history)",
}
# What other libraries, and earlier versions, call the same moments.
OTHER_EVENTS = {
    "on_fit_begin": "on_train_begin",
    "on_fit_end": "on_train_end",
    "on_train_batch_end": "on_batch_end",
    "on_train_epoch_end": "on_epoch_end",
    "on_train_epoch_start": "on_epoch_begin",
    "on_train_start": "on_train_begin",
    "on_validation_end": "on_epoch_end",
    "on_test_end": "on_epoch_end",
}


class Callback(Closed):
    """The methods that a callback may have; all of them do nothing here.

    A plain callable ``callback(net, history)``, called after each epoch, will do as well, and so
    will any object with some of these methods. An answer of True, Python's or NumPy's, ends the
    fit: after this epoch, or after this mini-batch. The other callbacks are called all the same.

    Notes
    -----
    The names are Keras', the arguments are not: a callback gets the network and the history.
    `on_batch_end` costs speed, because every mini-batch then returns to Python. It is called only
    where a class or an object defines it. A method ``on_...`` of another name is an error when the
    callback is handed over.

    Examples
    --------
    >>> import numpy as np, pynn
    >>> class Patient(pynn.Callback):
    ...     def on_epoch_end(self, net, history):
    ...         return history.loss[-1] < 0.1
    >>> net = pynn.MLP([2, 1], loss="mse", seed=0)
    >>> history = net.fit(np.ones((8, 2)), np.ones(8), epochs=999, callbacks=[Patient()])
    >>> len(history) < 999
    True
    """

    def on_train_begin(self, net: Any, history: History) -> Any:
        """See the network before the first epoch.

        Parameters
        ----------
        net : MLP
        history : History
            Still empty.

        Returns
        -------
        bool or None
            True ends the fit.
        """

    def on_epoch_begin(self, net: Any, history: History) -> Any:
        """See the network before an epoch.

        Parameters
        ----------
        net : MLP
        history : History
            The epochs so far; ``len(history) + 1`` is the number of the one that begins.

        Returns
        -------
        bool or None
            True ends the fit.
        """

    def on_batch_end(self, net: Any, batch: int, loss: float) -> Any:
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

    def on_epoch_end(self, net: Any, history: History) -> Any:
        """See the network and the metrics after an epoch.

        Parameters
        ----------
        net : MLP
        history : History

        Returns
        -------
        bool or None
            True ends the fit.
        """

    def on_train_end(self, net: Any, history: History) -> Any:
        """See the network after the last epoch, whatever ended the fit except an exception.

        Parameters
        ----------
        net : MLP
        history : History
        """


def check_callbacks(callbacks: Any) -> list[Any]:
    """Return the callbacks as a list: callables, or objects with methods of `Callback`.

    Parameters
    ----------
    callbacks : callable, object, or iterable of these

    Returns
    -------
    list

    Raises
    ------
    TypeError
        If one is a class, or has a method ``on_...`` that is never called.
    """
    if callable(callbacks) or not hasattr(callbacks, "__iter__") or _methods(callbacks):
        _check_callback(callbacks, "callbacks")
        return [callbacks]
    result = list(callbacks)
    for i, callback in enumerate(result):
        _check_callback(callback, f"callbacks[{i}]")
    return result


def _methods(callback: Any) -> list[str]:
    return [m for m in dir(callback) if m.startswith("on_") and callable(getattr(callback, m))]


def _check_callback(callback: Any, name: str) -> None:
    if isinstance(callback, type):
        raise TypeError(
            f"{name} must be an object, got the class {callback.__name__}: pass "
            f"{callback.__name__}(...)"
        )
    methods = _methods(callback)
    for method in methods:
        if method not in EVENTS:
            own = OTHER_EVENTS.get(method)
            cure = f"; pynn calls it {own}{EVENTS[own]}" if own else suggestion(method, EVENTS)
            raise TypeError(
                f"{name} has a method {method!r} that pynn never calls, expected "
                f"{', '.join(EVENTS)}{cure}"
            )
        if _takes_logs(getattr(callback, method)):
            raise TypeError(
                f"{name} has a method {method!r} with Keras' arguments, expected "
                f"{method}{EVENTS[method]}"
            )
    if not callable(callback) and not methods:
        raise TypeError(
            f"{name} must be callable or have a method of pynn.Callback, got {callback!r}"
        )


def _takes_logs(method: Any) -> bool:
    code = getattr(method, "__code__", None)
    return code is not None and "logs" in code.co_varnames[: code.co_argcount]


def handlers(callbacks: list[Any], event: str) -> list[Callable[..., Any]]:
    """Return what is to be called at an event, leaving out what does nothing.

    Parameters
    ----------
    callbacks : list
    event : str
        One of `EVENTS`. A plain callable is called at "on_epoch_end".

    Returns
    -------
    list of callable
    """
    found: list[Callable[..., Any]] = []
    for callback in callbacks:
        method = getattr(callback, event, None)
        idle = getattr(Callback, event)
        if method is not None and getattr(method, "__func__", None) is not idle:
            found.append(method)
        if event == "on_epoch_end" and callable(callback):
            found.append(callback)
    return found


def ends(answer: Any) -> bool:
    """Tell whether a callback's answer ends the fit: True, Python's or NumPy's.

    Parameters
    ----------
    answer : object

    Returns
    -------
    bool
    """
    if answer is None or answer is False:
        return False
    if answer is True or isinstance(answer, np.bool_):
        return bool(answer)
    return (
        isinstance(answer, np.ndarray) and answer.dtype == bool and not answer.ndim and bool(answer)
    )


class EarlyStopping(Callback):
    """Ends a fit when a recorded metric has stopped improving.

    Parameters
    ----------
    monitor : str or callable, default "val_loss"
        The name of a metric of the history, or a function of the history that gives a number.
    patience : int, default 10
        After how many epochs in a row without an improvement the fit ends.
    min_delta : float, default 0.0
        An improvement is a metric better than the best so far by more than this (NaN never is).
    mode : {"auto", "min", "max"}, default "auto"
        Which way the metric improves; "auto" goes by its name.
    restore_best : bool, default True
        Give the network the weights of the best epoch again at the end of the fit, whatever
        ended it but an exception.

    Attributes
    ----------
    best : float or None
        The best metric of the fit; None before the first.
    best_epoch : int or None
        Its epoch, from 1.
    stopped_epoch : int or None
        The epoch after which this callback ended the fit; None if it did not.

    Notes
    -----
    As Keras' callback of this name. Each fit starts afresh. The optimizer's state is not restored.

    Examples
    --------
    >>> import numpy as np, pynn
    >>> X, y = np.random.default_rng(0).normal(size=(2, 90, 1))
    >>> stop = pynn.EarlyStopping(patience=3)
    >>> net = pynn.MLP([1, 50, 1], loss="mse", seed=0)
    >>> history = net.fit(
    ...     X[:60], y[:60], epochs=500, optimizer=pynn.SGD(0.1), callbacks=[stop],
    ...     validation_data=(X[60:], y[60:]),
    ... )
    >>> stop.best == min(history["val_loss"]), stop.stopped_epoch - stop.best_epoch
    (True, 3)
    """

    _settable = (
        "monitor", "patience", "min_delta", "mode", "restore_best",
        "best", "best_epoch", "stopped_epoch",
    )  # fmt: skip

    @refuses_unknown
    def __init__(
        self,
        monitor: str | Callable[[History], float] = "val_loss",
        *excess: NoReturn,
        patience: int = 10,
        min_delta: float = 0.0,
        mode: str = "auto",
        restore_best: bool = True,
        **unknown: NoReturn,
    ) -> None:
        refuse(unknown, EarlyStopping.__init__, "EarlyStopping()", excess=excess)
        if not (isinstance(monitor, str) or callable(monitor)):
            raise TypeError(
                "monitor must be the name of a metric or a function of the history, "
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

    def on_train_begin(self, net: Any, history: History) -> None:
        """Forget what an earlier fit gave.

        Parameters
        ----------
        net : MLP
        history : History
        """
        self._start()

    def on_epoch_end(self, net: Any, history: History) -> bool:
        """Look at an epoch's metric.

        Parameters
        ----------
        net : MLP
        history : History

        Returns
        -------
        bool
            True after `patience` epochs without an improvement: it ends the fit.

        Raises
        ------
        ValueError
            If the metric is not recorded.
        """
        value = _monitor.metric(self.monitor, history)
        epoch = history.epoch[-1]
        direction = _monitor.direction(self.monitor, self.mode)
        if _monitor.improves(value, self.best, direction, self.min_delta):
            self.best, self.best_epoch, self._wait = value, epoch, 0
            if self.restore_best:
                parameters = engine_of(net).parameters
                if self._weights is None:
                    self._weights = np.empty_like(parameters)
                self._weights[...] = parameters
            return False
        self._wait += 1
        if self._wait < self.patience:
            return False
        self.stopped_epoch = epoch
        return True

    def on_train_end(self, net: Any, history: History) -> None:
        """Give the network the best epoch's weights again, if that was wanted.

        Parameters
        ----------
        net : MLP
        history : History
        """
        if self._weights is not None:
            engine_of(net).parameters[...] = self._weights
        self._weights = None
        if self.best is None and len(history):
            value = _monitor.metric(self.monitor, history)
            warn(
                f"EarlyStopping: monitor={self.monitor!r} was {value:g} to the end: there is no "
                "best epoch, and the weights are those of the last one",
                RuntimeWarning,
            )

    def __repr__(self) -> str:
        return (
            f"EarlyStopping(monitor={self.monitor!r}, patience={self.patience}, "
            f"min_delta={self.min_delta:g}, mode={self.mode!r}, restore_best={self.restore_best})"
        )
