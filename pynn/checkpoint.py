"""A callback that keeps a network in a file while it is trained."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any, Literal, NoReturn

from pynn import _checks, _monitor
from pynn._keywords import refuse, refuses_unknown
from pynn.callbacks import Callback

if TYPE_CHECKING:
    from pynn.history import History

# Characters: no file system takes a longer one.
LONGEST_NAME = 255


class Checkpoint(Callback):
    """Saves the network after each epoch, or after those that are the best so far.

    Parameters
    ----------
    path : str or os.PathLike
        As for `MLP.save`. Fields in braces stand for the epoch and the metrics of the history:
        ``"net-{epoch:03d}-{val_loss:.4f}.npz"``. Without any, each file takes the place of the one
        before. A brace that is meant is doubled.
    best_only : bool, default False
        Save only when the metric `monitor` has improved.
    monitor : str, default "val_loss"
        The name of a metric that the history records.
    mode : {"auto", "min", "max"}, default "auto"
        Which way the metric improves; "auto" goes by its name: losses and errors become
        small; accuracy, top-k accuracy and r2 large.
    every : int, default 1
        Only each `every`-th epoch.

    Attributes
    ----------
    best : float or None
        The best value of the metric `monitor` that was saved; with ``best_only=False``, None. A
        checkpoint that continues an earlier one's file may be given that one's.

    Raises
    ------
    ValueError, TypeError
        If an argument does not fit. When called: if the history records no metric of the name
        `monitor` or of a field in `path`.
    OSError
        When called, as `MLP.save`.

    Notes
    -----
    What is saved is all that `MLP.save` writes, in one step: whenever the program ends, the file is
    the one from the last epoch (or the best), and ``pynn.load(path).fit(...)`` continues with the
    bits of the fit that was interrupted.

    For a job that is ended by SIGTERM, add `StopOnSignal`, and save the network after the fit: the
    file is then that of the last whole mini-batch. A handler of your own may call `MLP.save` too.

    Examples
    --------
    >>> import pathlib, tempfile, numpy as np, pynn
    >>> X, net = np.random.default_rng(0).normal(size=(20, 2)), pynn.MLP([2, 1], loss="mse", seed=0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     keep = pynn.Checkpoint(folder + "/net-{epoch}.npz")
    ...     history = net.fit(X, X.sum(axis=1), epochs=3, callbacks=[keep])
    ...     sorted(file.name for file in pathlib.Path(folder).iterdir())
    ['net-1.npz', 'net-2.npz', 'net-3.npz']
    """

    _settable = ("path", "best_only", "monitor", "mode", "every", "best")

    @refuses_unknown
    def __init__(
        self,
        path: str | os.PathLike[str],
        *excess: NoReturn,
        best_only: bool = False,
        monitor: str = "val_loss",
        mode: Literal["auto", "min", "max"] = "auto",
        every: int = 1,
        **unknown: NoReturn,
    ) -> None:
        refuse(unknown, Checkpoint.__init__, "Checkpoint()", path, excess=excess)
        self.path = _check_path(path)
        self.best_only = _checks.flag(best_only, "best_only")
        if not isinstance(monitor, str):
            raise TypeError(f"monitor must be a metric's name, got {monitor!r}")
        self.monitor = monitor
        # Where the metric is not used, its name need not tell.
        self.mode = _checks.choice(mode, "mode", _monitor.MODES)
        if best_only:
            self.mode = _monitor.direction(monitor, mode)
        self.every = _checks.integer(every, "every", 1)
        self.best: float | None = None

    def on_epoch_end(self, net: Any, history: History) -> None:
        """Save `net` if it is due.

        Parameters
        ----------
        net : MLP
        history : History
        """
        if history.epoch[-1] % self.every:
            return
        if not self.best_only:
            net.save(self._name(history))
            return
        value = _monitor.metric(self.monitor, history)
        direction = _monitor.direction(self.monitor, self.mode)
        if _monitor.improves(value, self.best, direction, 0.0):
            net.save(self._name(history))
            self.best = value  # only now: a file that could not be written is not the best

    def _name(self, history: History) -> str:
        metrics = {name: values[-1] for name, values in history.history.items() if values}
        try:
            return self.path.format(**{**metrics, "epoch": history.epoch[-1]})
        except KeyError as error:
            raise ValueError(
                f"path {self.path!r} has the field {error}, but the history records "
                f"epoch, {', '.join(metrics)}"
            ) from None

    def __repr__(self) -> str:
        best = f", best_only=True, monitor={self.monitor!r}, mode={self.mode!r}"
        every = f", every={self.every}" if self.every > 1 else ""
        return f"Checkpoint({self.path!r}{best if self.best_only else ''}{every})"


def _check_path(path: Any) -> str:
    if not isinstance(path, str | bytes | os.PathLike):
        raise TypeError(f"path must be a path, got {path!r}")
    import string

    name = os.fsdecode(path)
    try:
        for _, field, spec, _ in string.Formatter().parse(name):
            if field is None:
                continue
            if field.isdigit() or not field or set(field) & set(".["):
                raise ValueError(f"{field!r} is not a metric's name")
            if any(int(number) > LONGEST_NAME for number in re.findall(r"\d+", spec or "")):
                raise ValueError(f"{spec!r} is wider than a file's name may be, {LONGEST_NAME}")
            # The epoch is an integer, and the metrics are not.
            format(1 if field == "epoch" else 0.5, spec or "")
    except ValueError as error:
        raise ValueError(
            f"path {name!r} is not a format string such as 'net-{{epoch:03d}}.npz' (a brace that "
            f"is meant is doubled): {error}"
        ) from None
    return name
