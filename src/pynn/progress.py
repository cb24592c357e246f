"""The progress of a fit: a tqdm bar where tqdm is installed, one line an epoch otherwise."""

from __future__ import annotations

import sys
from typing import Any


def shown_by_default() -> bool:
    """Whether somebody is watching: a terminal or a notebook."""
    if "ipykernel" in sys.modules:
        return True
    stream = sys.stderr
    return stream is not None and stream.isatty()


class Progress:
    """Shows epoch, loss and rate.

    Parameters
    ----------
    shown : bool or None
        None: if somebody is watching.
    epochs, samples : int
        How many there are, and how many samples an epoch has.
    """

    def __init__(self, shown: bool | None, epochs: int, samples: int) -> None:
        self._epochs, self._samples = epochs, samples
        self._epoch = 0
        self._bar: Any = None
        self.shown = shown_by_default() if shown is None else shown
        if not self.shown:
            return
        try:
            from tqdm.auto import tqdm
        except ImportError:
            return
        self._bar = tqdm(
            total=epochs * samples, unit=" samples", unit_scale=True, dynamic_ncols=True
        )

    def start(self, epoch: int) -> None:
        """Epoch `epoch`, from 1, begins."""
        self._epoch = epoch
        if self._bar is not None:
            self._bar.set_description(f"epoch {epoch}/{self._epochs}", refresh=False)

    def at(self, samples: int, **figures: float) -> None:
        """`samples` of this epoch are done; `figures` so far."""
        if self._bar is None:
            return
        self._bar.set_postfix({k: f"{v:.4g}" for k, v in figures.items()}, refresh=False)
        self._bar.update((self._epoch - 1) * self._samples + samples - self._bar.n)

    def end(self, seconds: float, **figures: float) -> None:
        """The epoch took `seconds` and ended with `figures`."""
        if self._bar is not None:
            self.at(self._samples, **figures)
        elif self.shown:
            text = ", ".join(f"{name} {value:.4g}" for name, value in figures.items())
            rate = self._samples / max(seconds, 1e-9)
            print(
                f"epoch {self._epoch}/{self._epochs}: {text}, {rate:.3g} samples/s", file=sys.stderr
            )

    def close(self) -> None:
        """Nothing more will come."""
        if self._bar is not None:
            self._bar.refresh()
            self._bar.close()
