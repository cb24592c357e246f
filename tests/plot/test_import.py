"""The first picture imports matplotlib, nothing earlier."""

import subprocess
import sys

import numpy as np
import pytest

import pynn.plot

NET = pynn.MLP([2, 3, 2], seed=0)
CALLS = {
    "confusion_matrix": lambda: pynn.plot.confusion_matrix([0, 1], [0, 1]),
    "decision_regions": lambda: pynn.plot.decision_regions(NET, np.eye(2)),
    "first_layer": lambda: pynn.plot.first_layer(NET, (1, 2)),
    "learning_curve": lambda: pynn.plot.learning_curve({"loss": [1.0]}),
    "network": lambda: pynn.plot.network(NET),
}


def test_all_pictures_are_here():
    assert sorted(CALLS) == sorted(pynn.plot.__all__)


@pytest.mark.parametrize("name", CALLS)
def test_without_matplotlib(monkeypatch, name):
    for module in ("matplotlib", "matplotlib.pyplot"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(
        ImportError, match=f"pynn.plot.{name} needs matplotlib: pip install matplotlib"
    ):
        CALLS[name]()


def test_importing_is_quick(tmp_path):
    program = "import sys, pynn, pynn.plot, pynn.summary; print('matplotlib' in sys.modules)"
    run = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() == "False"
