"""What the programs in examples/ that train two networks through each other reach."""

import runpy
from pathlib import Path

import numpy as np
import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def run(name, monkeypatch, tmp_path, capsys):
    """Run an example in another folder; its names."""
    pytest.importorskip("matplotlib").use("Agg")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", [name, "picture.png"])
    names = runpy.run_path(str(EXAMPLES / name))
    assert (tmp_path / "picture.png").stat().st_size > 5000
    capsys.readouterr()
    return names


# Thousands of steps of two networks (4 s): fewer do not reach all centers.
def test_the_generator_reaches_all_gaussians(monkeypatch, tmp_path, capsys):
    e = run("gan.py", monkeypatch, tmp_path, capsys)
    assert e["near"].mean() > 0.8
    assert e["shares"].min() > 0.01


def test_halves_trained_apart_learn_as_one(monkeypatch, tmp_path, capsys):
    pytest.importorskip("sklearn")
    e = run("autoencoder.py", monkeypatch, tmp_path, capsys)
    # Eight principal components keep 67 % of the variance.
    assert e["error"] < 0.25 * e["variance"]
    centered = e["X"] - e["X"].mean(axis=0)
    values = np.linalg.svd(centered, compute_uv=False) ** 2
    assert values[8:].sum() / values.sum() > e["error"] / e["variance"]
    assert e["classifier"].score(e["encoder"](e["X_test"]), e["y_test"]) > 0.95
