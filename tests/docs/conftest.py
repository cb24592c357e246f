"""Runs an example of the gallery as its reader would, once in a session."""

import contextlib
import io
import runpy
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

GALLERY = Path(__file__).resolve().parents[2] / "docs" / "gallery"


@dataclass
class Ran:
    """What an example leaves: its names, what it printed, its figures."""

    names: dict[str, Any]
    printed: str
    figures: list[Any]

    def __getitem__(self, name):
        return self.names[name]


_RAN: dict[str, Ran] = {}


def run_example(name):
    """Run docs/gallery/`name`.py; a second call gives what the first has given.

    On one thread: a second one helps networks of this size little, and waits for its turn.
    """
    if name not in _RAN:
        plt = pytest.importorskip("matplotlib.pyplot")
        threads = pytest.importorskip("threadpoolctl").threadpool_limits
        plt.switch_backend("Agg")
        plt.close("all")
        printed = io.StringIO()
        with (
            threads(1),
            warnings.catch_warnings(),
            contextlib.redirect_stdout(printed),
            pytest.MonkeyPatch.context() as patch,
        ):
            warnings.simplefilter("error")
            patch.setattr(plt, "show", lambda *args, **kwargs: None)  # (Agg warns: no window)
            patch.setitem(plt.rcParams, "figure.max_open_warning", 0)
            names = runpy.run_path(str(GALLERY / f"{name}.py"), run_name="__main__")
            figures = [plt.figure(number) for number in plt.get_fignums()]
            for figure in figures:
                figure.canvas.draw()
        plt.close("all")
        _RAN[name] = Ran(names, printed.getvalue(), figures)
    return _RAN[name]


@pytest.fixture
def example():
    """``example(name)`` is what docs/gallery/name.py leaves."""
    return run_example
