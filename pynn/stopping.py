"""A callback that ends a fit when a signal comes."""

from __future__ import annotations

import signal
import threading
from typing import Any

from pynn import _checks
from pynn.callbacks import Callback

# What no handler can catch.
UNCATCHABLE = {getattr(signal, name, None) for name in ("SIGKILL", "SIGSTOP")}


class StopOnSignal(Callback):
    """Ends a fit after the present mini-batch when a signal comes.

    Parameters
    ----------
    *signals : signal.Signals or int
        Which signals; by default SIGTERM, by which servers and queues announce the end of a job.

    Attributes
    ----------
    signals : tuple of signal.Signals
    signal : signal.Signals or None
        The one that has ended the fit; None if none has come.

    Raises
    ------
    TypeError, ValueError
        If a signal is not one that Python can handle.
    RuntimeError
        When a fit begins in a thread that is not the main one, which alone may handle signals,
        unless the main thread is within ``with stop:``.

    Notes
    -----
    The handler only takes a note, so that the fit ends in order: with a whole step done, with
    `on_train_end`, and with a history of the epochs that are complete. What the fit leaves may be
    saved. Without this callback, a handler that raises an exception ends the fit after a whole
    step, too, and one that saves the network saves that of a whole step.

    The handlers that were there before are back when the fit ends. A second signal is theirs: it
    does what it would do without this callback.

    In `fit_many`, or where another thread trains, the main thread uses the object as a context
    manager. Copies of the object are the object itself.

    A signal is noticed after a mini-batch, within about 0.05 s. Validation and metrics are finished
    first.

    Examples
    --------
    >>> import os, signal, numpy as np, pynn
    >>> X, net = np.ones((64, 2), np.float32), pynn.MLP([2, 1], loss="mse", seed=0)
    >>> def end_of_the_job(net, history):
    ...     if len(history) == 3:
    ...         os.kill(os.getpid(), signal.SIGINT)
    >>> stop = pynn.StopOnSignal(signal.SIGINT)
    >>> history = net.fit(X, X[:, 0], epochs=1000, callbacks=[stop, end_of_the_job])
    >>> len(history), stop.signal.name
    (3, 'SIGINT')
    """

    _settable = ("signals", "signal")

    def __init__(self, *signals: int) -> None:
        chosen = signals or (signal.SIGTERM,)
        for i, given in enumerate(chosen):
            number = _checks.integer(given, f"signals[{i}]", 1)
            if number not in signal.valid_signals() or number in UNCATCHABLE:
                raise ValueError(f"signals[{i}] must be a signal that can be handled, got {number}")
        self.signals = tuple(signal.Signals(number) for number in chosen)
        self.signal: signal.Signals | None = None
        self._before: dict[int, Any] = {}
        self._users = 0

    def _install(self) -> None:
        if self._users == 0:
            if threading.current_thread() is not threading.main_thread():
                raise RuntimeError(
                    "StopOnSignal: only the main thread handles signals, and this fit runs in "
                    "another; let the main thread enter it, `with stop:`, around the fit"
                )
            self.signal = None
        self._users += 1
        if self._users == 1:
            for number in self.signals:
                self._before[number] = signal.getsignal(number)
                signal.signal(number, self._note)

    def _restore(self) -> None:
        self._users = max(0, self._users - 1)
        if self._users == 0:
            self._give_back()

    def _give_back(self) -> None:
        for number in list(self._before):
            before = self._before[number]
            # (What was not set from Python cannot be set again.)
            signal.signal(number, signal.SIG_DFL if before is None else before)
            del self._before[number]

    def _note(self, number: int, frame: Any) -> None:
        if self.signal is not None:
            self._give_back()
            signal.raise_signal(number)
            return
        self.signal = signal.Signals(number)

    def __enter__(self) -> StopOnSignal:
        """Handle the signals until the block ends; for the main thread."""
        self._install()
        return self

    def __exit__(self, *_: object) -> None:
        """Give the signals back to the handlers before."""
        self._restore()

    def __copy__(self) -> StopOnSignal:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> StopOnSignal:
        return self

    def __repr__(self) -> str:
        return f"StopOnSignal({', '.join(f'signal.{each.name}' for each in self.signals)})"
