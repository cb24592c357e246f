"""The progress of a fit: a tqdm bar where tqdm is installed, one line an epoch otherwise.

Everything goes to stderr (in a notebook, tqdm's widget), so that the output of a program stays its
own.
"""

from __future__ import annotations

import math
import sys
import time
from typing import Any

# What is less important comes last, since tqdm cuts a line where the terminal ends.
KNOWN = "{desc} {percentage:3.0f}%|{bar}| {remaining} left, {rate_fmt}{postfix}"
UNKNOWN = "{desc}, {n_fmt}{unit} in {elapsed}, {rate_fmt}{postfix}"
DONE = "{desc} {percentage:3.0f}%|{bar}| in {elapsed}, {rate_fmt}{postfix}"
ENDED_EARLY = "{desc}, ended early |{bar}| in {elapsed}, {rate_fmt}{postfix}"
INTERRUPTED = "{desc}, interrupted {percentage:3.0f}%|{bar}| in {elapsed}, {rate_fmt}{postfix}"
INTERRUPTED_UNKNOWN = "{desc}, interrupted, {n_fmt}{unit} in {elapsed}, {rate_fmt}{postfix}"


def shown_by_default() -> bool:
    """Whether somebody is watching: a terminal or a notebook."""
    return in_notebook() or _is_terminal(sys.stderr)


def in_notebook() -> bool:
    """Whether this program runs in a notebook's kernel."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return shell is not None and "IPKernelApp" in shell.config


def _is_terminal(stream: Any) -> bool:
    try:
        return bool(stream.isatty())
    except (AttributeError, ValueError):  # there is none, it is not a file, or it is closed
        return False


class Bar:
    """A bar for any work that comes in steps.

    Parameters
    ----------
    shown : bool or None
        None: if somebody is watching.
    total : int or None
        How many steps there are; None if nobody knows.
    unit : str
        What the steps are, in the plural.
    description : str
        What is being done.

    Attributes
    ----------
    shown : bool
        Whether anything is to be seen, so that a caller can spare itself the reports.
    """

    def __init__(
        self, shown: bool | None, total: int | None, *, unit: str, description: str = ""
    ) -> None:
        self.shown = shown_by_default() if shown is None else shown
        self.description = description
        self._total, self._unit = total, unit
        self._done = 0
        self._start = time.perf_counter()
        self._figures: dict[str, float] = {}
        self._bar: Any = None
        if sys.stderr is None and not in_notebook():
            self.shown = False
        if not self.shown:
            return
        try:
            from tqdm.auto import tqdm
        except ImportError:
            return
        # miniters=1: the caller reports seldom enough, and tqdm's guess of how many steps go into a
        # tenth of a second would be wrong after each validation. smoothing=0: the rate is the mean
        # so far, validation included, so that the time left includes the validations to come.
        self._bar = tqdm(
            total=total,
            desc=description,
            unit=f" {unit}",
            unit_scale=True,
            dynamic_ncols=True,
            miniters=1,
            smoothing=0,
            bar_format=UNKNOWN if total is None else KNOWN,
        )

    def describe(self, description: str) -> None:
        """Say what is being done now."""
        self.description = description
        if self._bar is not None:
            self._bar.set_description_str(description, refresh=False)

    def expect(self, total: int) -> None:
        """There will be `total` steps, other than was thought."""
        if total != self._total:
            self._total = total
            self._format(KNOWN, total)

    def to(self, done: int, **figures: float) -> None:
        """`done` steps are done in all; `figures` so far, and earlier ones that are not given."""
        self._figures.update(figures)
        before, self._done = self._done, done
        if self._total is not None and done > self._total:
            self.expect(done)
        if self._bar is None:
            return
        text = ", ".join(f"{name}={value:.4g}" for name, value in self._figures.items())
        self._bar.set_postfix_str(text, refresh=False)
        self._bar.update(done - before)

    def _format(self, bar_format: str, total: int) -> None:
        if self._bar is None:
            return
        self._bar.bar_format, self._bar.total = bar_format, total
        if hasattr(self._bar, "container"):  # the notebook's widget has a total of its own
            widget = self._bar.container.children[1]
            widget.max, widget.bar_style, widget.layout.width = total, "", None

    def line(self, rate: float | None = None) -> None:
        """Without tqdm, print one line on where things stand; `rate` is in steps a second."""
        if self._bar is not None or not self.shown:
            return
        elapsed = time.perf_counter() - self._start
        overall = self._done / max(elapsed, 1e-9)
        parts = [f"{name} {value:.4g}" for name, value in self._figures.items()]
        parts.append(f"{prefixed(overall if rate is None else rate)} {self._unit}/s")
        if self._total is not None:
            left = self._total - self._done
            parts.append(
                f"{clock(left / max(overall, 1e-9))} left" if left > 0 else f"in {clock(elapsed)}"
            )
        print(f"{self.description}: {', '.join(parts)}", file=sys.stderr, flush=True)

    def close(self, *, interrupted: bool = False) -> None:
        """Nothing more will come, because all is done, or because of an interruption."""
        if self._bar is None:
            return
        if interrupted:
            # tqdm's widget in a notebook turns red where steps are missing.
            known = self._total is not None
            self._bar.bar_format = INTERRUPTED if known else INTERRUPTED_UNKNOWN
        elif self._total is not None and self._done < self._total:
            # Ended on purpose: this was all there was to do.
            self._format(ENDED_EARLY, max(self._done, 1))
        elif self._total is not None:
            self._bar.bar_format = DONE
        self._bar.close()
        self._bar = None
        self.shown = False


class Progress:
    """Shows a fit's epoch, figures, rate and time left.

    Parameters
    ----------
    shown : bool or None
        None: if somebody is watching.
    epochs : int
        How many there are in this fit.
    samples : int or None
        How many samples an epoch has. None if nobody knows before the first epoch has ended; then
        the epochs to come are taken to be as long as the one before.
    first : int, default 1
        The number of the first epoch.

    Attributes
    ----------
    shown : bool
        Whether anything is to be seen.
    """

    def __init__(
        self, shown: bool | None, epochs: int, samples: int | None, *, first: int = 1
    ) -> None:
        self._last = first + epochs - 1
        self._samples = samples
        self._epoch = first
        self._before, self._in_epoch = 0, 0  # samples of the epochs before, and of this one
        self._running = False
        total = None if samples is None else epochs * samples
        self._bar = Bar(shown, total, unit="samples", description=f"epoch {first}/{self._last}")
        self.shown = self._bar.shown

    def start(self, epoch: int) -> None:
        """Epoch `epoch` begins."""
        self._epoch, self._running = epoch, True
        self._bar.describe(f"epoch {epoch}/{self._last}")

    def at(self, samples: int, **figures: float) -> None:
        """`samples` of this epoch are done; `figures` so far."""
        self._in_epoch = samples
        self._bar.to(self._before + samples, **figures)

    def end(self, seconds: float, **figures: float) -> None:
        """The epoch took `seconds` and ended with `figures`."""
        samples = self._in_epoch if self._samples is None else self._samples
        self.at(samples, **figures)
        if self._samples is None:
            to_come = self._last - self._epoch
            self._bar.expect(self._before + samples * (1 + to_come))
        self._bar.line(samples / max(seconds, 1e-9))
        self._before, self._in_epoch, self._running = self._before + samples, 0, False

    def close(self) -> None:
        """Nothing more will come: call it in any case, also where an exception ends the fit."""
        self._bar.close(interrupted=self._running)


def clock(seconds: float) -> str:
    """A duration as minutes and seconds, or with hours.

    Examples
    --------
    >>> clock(75.4), clock(3601), clock(float("inf"))
    ('01:15', '1:00:01', '?')
    """
    if not math.isfinite(seconds):
        return "?"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes:02}:{rest:02}"


def prefixed(value: float) -> str:
    """`value` in three digits, with an SI prefix.

    Examples
    --------
    >>> prefixed(0.25), prefixed(999.7), prefixed(12345.0)
    ('0.25', '1k', '12.3k')
    """
    for prefix in ("", "k", "M", "G"):
        if abs(value) < 999.5:
            return f"{value:.3g}{prefix}"
        value /= 1000
    return f"{value:.3g}T"
