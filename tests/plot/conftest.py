"""Pictures are drawn into files only, and none is left open."""

import pytest


@pytest.fixture(autouse=True)
def pyplot(monkeypatch):
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    def show(*_, **__):
        raise AssertionError("nothing is shown by itself")

    monkeypatch.setattr(plt, "show", show)
    plt.close("all")
    yield plt
    plt.close("all")
