"""The progress of a fit: a tqdm bar where tqdm is installed, a line now and then otherwise.

It goes to stderr, so that the output of a program stays its own; in a notebook to the cell, as a
widget where ipywidgets is installed.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping
from typing import Any

# Seconds from one state of the bar to the next; from one line to the next without a bar, between
# epochs and within one.
REFRESH, LINE, LINE_IN_EPOCH = 0.1, 1.0, 10.0
BAR = 10  # characters at least
COLUMNS, UNLIMITED = 80, 10**6  # where the width is unknown; where there is none
# The metrics that come first; the other ones of validation data are next.
FIRST = ("loss", "val_loss", "val_accuracy")
MAIN = 3  # this many metrics are worth shorter words and numbers


def shown_by_default() -> bool:
    """Tell if progress can be seen: in a terminal or a notebook."""
    return in_notebook() or _is_terminal(sys.stderr)


def in_notebook() -> bool:
    """Tell if this program runs in a notebook's kernel."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return shell is not None and "IPKernelApp" in shell.config


def _is_terminal(stream: Any) -> bool:
    try:
        return bool(stream.isatty())
    except (AttributeError, ValueError):  # there is none, it is not a file, or it is closed
        return False


def _columns(stream: Any) -> int:
    """The width of a terminal without its last column, where some terminals begin a new line."""
    try:
        columns = os.get_terminal_size(stream.fileno()).columns
    except (AttributeError, ValueError, OSError):
        columns = 0
    return (columns or COLUMNS) - 1


class Line:
    """Lays out a line: what matters most, in the width that there is.

    It shortens words and numbers, and leaves metrics out, only as far as the width demands. While
    the width stays, what was shortened stays so, and the bar does not grow: nothing flickers.
    """

    def __init__(self) -> None:
        self._columns = self._level = self._bar = 0
        self._kept: list[Any] = []
        self._dropped: set[Any] = set()

    def lay_out(
        self,
        columns: int,
        heads: tuple[str, str],
        percent: str | None,
        metrics: Mapping[str, float],
        times: tuple[str, str],
    ) -> tuple[str, int, str]:
        """Lay out a line.

        Parameters
        ----------
        columns : int
            The width of the terminal.
        heads : tuple of str
            What is done, and the same in short.
        percent : str or None
            None: there is no bar.
        metrics : dict of str to float
        times : tuple of str
            The time left, and the rate.

        Returns
        -------
        before : str
        bar : int
            The bar's width; 0 without a bar.
        after : str
        """
        if columns != self._columns:
            self._columns, self._level, self._kept, self._dropped = columns, 0, [], set()
        names = sorted(metrics, key=_rank)
        # Each gets its place before the next one. (A metric may have any name, but is no number.)
        time_left, rate, share = 0, 1, 2
        main: list[Any] = [*names[:MAIN], time_left]
        order = [*main, *names[MAIN:], share, rate]
        room = columns - (0 if percent is None else BAR + 3)
        levels = [(heads[0], 4, ", "), (heads[0], 3, " "), (heads[1], 3, " ")]

        def fit(head: str, digits: int, between: str) -> tuple[list[Any], dict[Any, str]]:
            texts: dict[Any, str] = {n: f"{n}={number(metrics[n], digits)}" for n in names}
            texts |= {time_left: times[0], rate: times[1], share: percent or ""}
            left, kept = room - len(head), []
            for key in order:
                width = len(between) + len(texts[key])
                if texts[key] and width <= left and key not in self._dropped:
                    kept.append(key)
                    left -= width
            return kept, texts

        fitted = [fit(*level) for level in levels[self._level :]]
        # The first of those that keep the most important.
        best = max(range(len(fitted)), key=lambda i: [key in fitted[i][0] for key in main])
        kept, texts = fitted[best]
        self._level += best
        self._dropped.update(k for k in order if k not in main and texts[k] and k not in kept)
        head, _, between = levels[self._level]
        before = f"{head} {percent}" if share in kept else head
        if percent is not None and share not in kept:
            before += " "
        after = between.join(texts[key] for key in (*names, time_left, rate) if key in kept)
        if percent is None:
            return before, 0, after and f"{between}{after}"
        after = after and f" {after}"
        width = max(1, columns - 2 - len(before) - len(after))
        kept = [*kept, self._level]
        self._bar = min(self._bar, width) if kept == self._kept else width
        self._kept = kept
        return before, self._bar, after


def _rank(name: str) -> int:
    if name in FIRST:
        return FIRST.index(name)
    return len(FIRST) + (not name.startswith("val_"))


class Bar:
    """A bar for any work that comes in steps.

    Parameters
    ----------
    shown : bool or None
        None: in a terminal or a notebook.
    total : int or None
        The number of steps; None if it is unknown.
    unit : str
        What the steps are, in the plural.
    description : str
        What is being done.

    Attributes
    ----------
    shown : bool
        False if nothing is to be seen: a caller can then spare itself the reports.
    """

    def __init__(
        self, shown: bool | None, total: int | None, *, unit: str, description: str = ""
    ) -> None:
        self.shown = shown_by_default() if shown is None else shown
        self._heads = (description, description)
        self._total, self._unit = total, unit
        self._done = 0
        self._metrics: dict[str, float] = {}
        self._start = self._last = time.perf_counter()
        self._line = Line()
        self._bar: Any = None
        # stderr is red in a notebook.
        self._stream = sys.stdout if in_notebook() else sys.stderr
        if self._stream is None:
            self.shown = False
        if self.shown:
            self._bar = _tqdm(total, description, self._stream)
            if self._bar is not None:
                self._refresh(self._last)

    def describe(self, description: str, short: str | None = None) -> None:
        """Say what is being done now, and the same in short."""
        self._heads = (description, description if short is None else short)

    def expect(self, total: int) -> None:
        """Change the number of steps that there are in all."""
        self._total = total

    def to(self, done: int, metrics: Mapping[str, float], *, ends_epoch: bool = True) -> None:
        """Show that `done` steps are done in all, and metrics; earlier ones stay.

        Without a bar, a line within an epoch comes less often than at its end.
        """
        self._metrics.update(metrics)
        self._done = done
        if self._total is not None and done > self._total:
            self._total = done
        if not self.shown:
            return
        now = time.perf_counter()
        pause = REFRESH
        if self._bar is None:
            if done == self._total:  # `close` has the last line
                return
            pause = LINE if ends_epoch else LINE_IN_EPOCH
            pause = max(pause, LINE * (now - self._start) / 20)  # long fits need fewer lines
        if now - self._last >= pause:
            self._refresh(now)

    def close(self, *, interrupted: bool = False, stopped: bool | None = False) -> None:
        """Show the last state: all is done, or what came before that.

        `stopped`: a callback ended it; None if it may have been the last step.
        """
        if not self.shown:
            return
        self.shown = False
        left = stopped is not False if self._total is None else self._done < self._total
        is_early = not interrupted and (left or bool(stopped))
        if interrupted or is_early:
            end = "ended early" if stopped is False else "ended by a callback"
            what = f", {'interrupted' if interrupted else end}"
            self._heads = (self._heads[0] + what, self._heads[1] + what)
        if is_early and self._total is not None:  # on purpose: this was all there was to do
            self._total = max(self._done, 1)
        self._refresh(time.perf_counter(), is_last=True, percent=not is_early)
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def _refresh(self, now: float, *, is_last: bool = False, percent: bool = True) -> None:
        self._last = now
        elapsed = max(now - self._start, 1e-9)
        rate = f"{prefixed(self._done / elapsed)} {self._unit}/s" if self._done else ""
        heads, times, share = self._heads, ("", rate), None
        if self._total is None:
            done = f", {prefixed(self._done)} {self._unit} in {clock(elapsed)}"
            heads = (heads[0] + done, heads[1] + done)
        else:
            share = f"{100 * self._done / max(self._total, 1):3.0f}%" if percent else ""
            if is_last:
                times = (f"in {clock(elapsed)}", rate)
            elif self._done:
                left = (self._total - self._done) * elapsed / self._done
                times = (f"{clock(left)} left", rate)
        if self._bar is None:
            columns = _columns(self._stream) if _is_terminal(self._stream) else UNLIMITED
            before, _, after = self._line.lay_out(columns, heads, None, self._metrics, times)
            print(before + after, file=self._stream, flush=True)
            return
        is_widget = hasattr(self._bar, "container")
        # (A widget's bar has its own place.)
        columns = UNLIMITED if is_widget else _columns(self._stream)
        before, width, after = self._line.lay_out(columns, heads, share, self._metrics, times)
        bar = "" if share is None else "|{bar}|" if is_widget else f"|{{bar:{width}}}|"
        self._bar.bar_format = f"{_escaped(before)}{bar}{_escaped(after)}"
        self._bar.n = self._done
        if self._total != self._bar.total:
            self._bar.total = self._total
            if is_widget:  # which has another total
                widget = self._bar.container.children[1]
                widget.max, widget.bar_style, widget.layout.width = self._total, "", None
        if not is_widget:
            self._bar.ncols = columns
        if not is_last:  # closing it shows it
            self._bar.refresh()


def _tqdm(total: int | None, description: str, stream: Any) -> Any:
    """A bar of tqdm's, or None if that is not installed."""
    try:
        from tqdm import tqdm
    except ImportError:
        return None
    if in_notebook():
        try:
            import ipywidgets  # noqa: F401 # (where it is missing, tqdm.auto warns in red)
            from tqdm.notebook import tqdm as widget

            return widget(total=total, bar_format="{desc}", desc=description)
        except ImportError:
            pass
    columns = _columns(stream)
    return tqdm(total=total, bar_format="{desc}", desc=description, file=stream, ncols=columns)


def _escaped(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")


class Progress:
    """Shows a fit's epoch, metrics, rate and time left.

    Parameters
    ----------
    shown : bool or None
        None: in a terminal or a notebook.
    epochs : int
        The number of epochs in this fit.
    samples : int or None
        The number of samples in an epoch. None if that is unknown before the first epoch has ended;
        then the epochs to come are taken to be as long as the one before.
    first : int, default 1
        The number of the first epoch.

    Attributes
    ----------
    shown : bool
        False if nothing is to be seen.
    """

    def __init__(
        self, shown: bool | None, epochs: int, samples: int | None, *, first: int = 1
    ) -> None:
        self._first, self._last = first, first + epochs - 1
        self._samples = samples
        self._epoch = first
        self._before, self._in_epoch = 0, 0  # samples of the epochs before, and of this one
        self._running = False
        self._stopped: bool | None = False
        total = None if samples is None else epochs * samples
        self._bar = Bar(shown, total, unit="samples", description=f"epoch {first}/{self._last}")
        self.shown = self._bar.shown

    def start(self, epoch: int) -> None:
        """Begin epoch `epoch`; those before have ended."""
        self._epoch, self._running = epoch, True
        if self._samples is not None:
            self._before = (epoch - self._first) * self._samples
        self._bar.describe(f"epoch {epoch}/{self._last}", f"{epoch}/{self._last}")

    def at(self, samples: int, /, **metrics: float) -> None:
        """Show that `samples` of this epoch are done, and metrics so far."""
        self._in_epoch = samples
        self._bar.to(self._before + samples, metrics, ends_epoch=False)

    def end(self, /, **metrics: float) -> None:
        """End the epoch with `metrics`."""
        samples = self._in_epoch if self._samples is None else self._samples
        self._running = False
        if self._samples is None:
            to_come = self._last - self._epoch
            self._bar.expect(self._before + samples * (1 + to_come))
        self._before, self._in_epoch = self._before + samples, 0
        self._bar.to(self._before, metrics)

    def stop(self) -> None:
        """Tell that a callback has ended the fit."""
        # (Where the epochs themselves have all ended, there is nothing to tell.)
        self._stopped, self._running = self._running or None, False

    def close(self) -> None:
        """End it: to be called in any case, also where an exception ends the fit."""
        self._bar.close(interrupted=self._running, stopped=self._stopped)


def clock(seconds: float) -> str:
    """A duration in four characters or little more.

    Examples
    --------
    >>> clock(0.25), clock(12.3), clock(75.4), clock(1800), clock(5400), clock(180000)
    ('0.2s', '12s', '1:15', '30m', '1.5h', '50h')
    """
    if seconds < 9.95:
        return f"{seconds:.1f}s"
    if seconds < 59.5:
        return f"{seconds:.0f}s"
    if seconds < 599.5:
        minutes, rest = divmod(round(seconds), 60)
        return f"{minutes}:{rest:02}"
    if seconds < 3570:
        return f"{seconds / 60:.0f}m"
    hours = seconds / 3600
    return f"{hours:.1f}h" if hours < 9.95 else f"{hours:.0f}h"


def number(value: float, digits: int) -> str:
    """`value` with that number of digits, zeros included, so that its width stays.

    Examples
    --------
    >>> number(0.25, 4), number(12.3456, 3), number(1234.5, 4), number(1e-7, 3)
    ('0.2500', '12.3', '1234', '1.00e-07')
    """
    return f"{value:#.{digits}g}".removesuffix(".")


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
