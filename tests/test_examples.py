"""The examples run, or say what they lack."""

import importlib.util
import os
from pathlib import Path

import numpy as np
import pytest

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
pytestmark = pytest.mark.skipif(
    not EXAMPLES.is_dir(), reason="the examples are not beside the tests"
)


@pytest.fixture(autouse=True)
def _no_window():
    pytest.importorskip("tqdm")
    pytest.importorskip("matplotlib").use("Agg")


def load(name):
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def digits():
    pytest.importorskip("sklearn")
    return load("digits")


@pytest.fixture
def mnist():
    return load("mnist")


def is_picture(path):
    return path.read_bytes().startswith(b"\x89PNG") and path.stat().st_size > 10_000


def test_digits(digits, tmp_path, capsys):
    picture = tmp_path / "digits.png"
    assert digits.main(["--plot", str(picture)]) == 0
    text = capsys.readouterr()
    for part in ("test accuracy, NumPy", "test accuracy, pynn", "largest difference", "ratio"):
        assert part in text.out
    assert "30/30 |" in text.err
    assert is_picture(picture)


@pytest.mark.parametrize(
    ("name", "limit", "complaint"),
    [("MAX_DIFFERENCE", -1.0, "weights differ"), ("MIN_ACCURACY", 1.01, "accuracy is below")],
)
def test_digits_fails_where_a_promise_is_broken(
    digits, capsys, monkeypatch, name, limit, complaint
):
    monkeypatch.setattr(digits, name, limit)
    monkeypatch.setattr(digits, "plot", lambda *_: None)
    monkeypatch.setattr(digits, "compare_times", lambda *_: None)
    assert digits.main(["--epochs", "1"]) == 1
    assert complaint in capsys.readouterr().err


def write_data(path, **changed):
    rng = np.random.default_rng(0)
    arrays = {}
    for part, n in (("train", 240), ("test", 40)):
        arrays[f"y_{part}"] = y = rng.integers(10, size=n).astype(np.uint8)
        arrays[f"x_{part}"] = (25 * y[:, None, None] * np.ones((28, 28))).astype(np.uint8)
    arrays = {name: a for name, a in {**arrays, **changed}.items() if a is not None}
    np.savez(path, **arrays)
    return str(path)


def test_mnist_with_a_small_file(mnist, tmp_path, capsys):
    data, picture = write_data(tmp_path / "small.npz"), tmp_path / "mnist.png"
    assert mnist.main(["--data", data, "--epochs", "2", "--plot", str(picture)]) == 0
    assert "test accuracy" in capsys.readouterr().out
    assert is_picture(picture)


def test_mnist_without_a_file(mnist, tmp_path, capsys):
    path = tmp_path / "nothing.npz"
    assert mnist.main(["--data", str(path)]) == 1
    message = capsys.readouterr().err
    assert str(path) in message
    assert "No such file" in message
    assert "Traceback" not in message


@pytest.mark.parametrize(
    ("changed", "complaint"),
    [
        ({"y_test": None}, "no y_test"),
        ({"x_train": np.zeros((240, 784), np.uint8)}, "(240, 784)"),
        ({"y_train": np.zeros(7, np.uint8)}, "(7,)"),
    ],
)
def test_mnist_with_a_wrong_file(mnist, tmp_path, capsys, changed, complaint):
    assert mnist.main(["--data", write_data(tmp_path / "wrong.npz", **changed)]) == 1
    assert complaint in capsys.readouterr().err


@pytest.mark.parametrize("content", [b"", b"not an archive", b"PK\x03\x04 cut off"])
def test_mnist_with_something_else(mnist, tmp_path, capsys, content):
    path = tmp_path / "other.npz"
    path.write_bytes(content)
    assert mnist.main(["--data", str(path)]) == 1
    assert str(path) in capsys.readouterr().err


@pytest.mark.skipif("PYNN_MNIST" not in os.environ, reason="PYNN_MNIST names no mnist.npz")
def test_mnist(mnist, capsys):
    assert mnist.main(["--data", os.environ["PYNN_MNIST"]]) == 0
    accuracy = capsys.readouterr().out.split("test accuracy ")[1].split(" %")[0]
    assert float(accuracy) >= 97.5


@pytest.fixture
def grid_search():
    pytest.importorskip("sklearn", minversion="1.5")
    return load("grid_search")


def test_grid_search(grid_search, capsys):
    assert grid_search.main(["--epochs", "3"]) == 0
    text = capsys.readouterr().out
    assert "results equal: yes" in text
    assert "ratio" in text


def test_grid_search_fails_where_the_results_differ(grid_search, capsys, monkeypatch):
    monkeypatch.setattr(grid_search, "MAX_DIFFERENCE", -1.0)
    assert grid_search.main(["--epochs", "1"]) == 1
    assert "differ" in capsys.readouterr().err
