"""The claims of the gallery's examples 7 to 12, recomputed from the names they leave."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

import pynn

pytest.importorskip("sklearn")
pytest.importorskip("matplotlib").use("Agg")

GALLERY = Path(__file__).resolve().parents[2] / "docs" / "gallery"


def source(name):
    return (GALLERY / f"plot_{name}.py").read_text(encoding="utf-8")


def run(name):
    """Run an example again; return its names."""
    from matplotlib import pyplot as plt

    names = {"__name__": f"gallery_{name}"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plt, "show", lambda: None)  # (Agg shows nothing, and warns)
        exec(compile(source(name), name, "exec"), names)
    plt.close("all")
    return names


def test_the_variance_of_the_gradient_is_the_theorys(example):
    e = example("plot_07_sgd")
    # The mean over 300 draws of what varies little from draw to draw.
    np.testing.assert_allclose(e["measured"], e["theory"], rtol=0.1)
    m, n = e["sizes"], e["n"]
    np.testing.assert_allclose(e["theory"], e["sigma2"] / m * (n - m) / (n - 1), rtol=1e-12)


def test_small_mini_batches_need_fewer_gradients_and_end_flatter(example):
    e = example("plot_07_sgd")
    epochs = [len(losses) for losses in e["curves"].values()]
    assert epochs == sorted(epochs)
    assert 10 * epochs[0] < epochs[-1] < 400
    assert all(losses[-1] < 0.05 for losses in e["curves"].values())
    error, sharpness, steps = np.array([rows.mean(axis=0) for rows in e["ends"].values()]).T
    assert (np.diff(sharpness) > 0).all()
    assert sharpness[-1] > 10 * sharpness[0]
    assert error.argmin() == 0
    assert steps[-1] < 5000


def test_sharpness_is_the_largest_eigenvalue_of_the_hessian(example):
    e = example("plot_07_sgd")
    names = e["sharpness"].__globals__
    kept = names["X"], names["y"]
    rng = np.random.default_rng(3)
    try:
        X, y = names["X"], names["y"] = rng.normal(size=(40, 2)), rng.integers(2, size=40)
        net = pynn.MLP([2, 3, 2], "tanh", dtype="float64", seed=1)
        net.fit(X, y, epochs=400, batch_size=40, optimizer=pynn.SGD(0.5))
        before = [p.copy() for p in (*net.weights, *net.biases)]
        rows = []
        for p in (*net.weights, *net.biases):
            for i in np.ndindex(p.shape):
                sides = []
                for step in (1e-5, -2e-5):
                    p[i] += step
                    sides.append(e["gradient"](net, slice(None)))
                p[i] += 1e-5
                rows.append((sides[0] - sides[1]) / 2e-5)
        found = e["sharpness"](net)
        assert found == pytest.approx(np.abs(np.linalg.eigvals(np.array(rows))).max(), rel=0.02)
        after = (*net.weights, *net.biases)
        assert all(np.allclose(a, b, atol=1e-9) for a, b in zip(before, after, strict=True))
    finally:
        names["X"], names["y"] = kept


def test_hyperparameters_are_chosen_without_the_test_data(example):
    assert source("08_hyperparameters").count("X_test") == 2  # made, and used once
    e = example("plot_08_hyperparameters")
    assert e["error"][e["order"][0]] == e["error"].min()
    assert e["test_error"] < 6
    assert np.sum(e["error"] > 50) > 150 / 3
    assert np.sum(e["training_error"] == 0) > 1
    importance = dict(zip(e["names"], e["importance"], strict=True))
    training = min(importance[k] for k in ("epochs", "learning rate", "mini-batch size"))
    shape = max(importance[k] for k in ("layers", "neurons in a layer", "activation"))
    assert training > shape


def test_every_remedy_helps_and_more_data_most(example):
    e = example("plot_09_overfitting")
    none, *remedies, more = e["test_errors"].values()
    assert 10 < more < min(remedies)
    assert max(remedies) < none - 1
    without, ridge = (np.array(curve)[:, 0] for curve in e["curves"].values())
    assert (ridge[:4] < without[:4]).all()
    assert abs(ridge[-1] - without[-1]) < 1
    assert without[0] - without[-1] > 10
    history = e["result"].histories[e["chosen"]["no remedy"]]
    assert history["val_loss"][-1] > 1.3 * min(history["val_loss"])
    assert history.loss[-1] < min(history["val_loss"]) / 2


def test_a_linear_autoencoder_reaches_the_error_of_principal_components(example):
    e = example("plot_10_autoencoder")
    pca, linear, deep = np.array(e["trained"])
    X = e["X"]
    values = np.linalg.svd(X - X.mean(axis=0), compute_uv=False) ** 2
    best = [values[k:].sum() / X.size for k in e["widths"]]
    np.testing.assert_allclose(pca, best, rtol=1e-6)
    np.testing.assert_allclose(linear, best, rtol=0.01)
    assert (linear > np.multiply(best, 1 - 1e-5)).all()
    assert (deep < pca).all()
    pca, _, deep = np.array(e["tested"])
    assert (deep < pca).all()
    assert deep[2] < pca[3]  # 4 numbers, and 8
    assert deep[1] < pca[2]
    components, code = e["shares"].values()
    assert code > components + 15


def test_the_digits_stand_in_for_mnist(monkeypatch):
    monkeypatch.delenv("PYNN_MNIST", raising=False)
    e = run("11_islr")
    logistic, ridge, dropout = e["errors"]
    assert max(ridge, dropout) < logistic < 5
    assert [net.layer_sizes for net in e["result"]] == [(64, 10), *[(64, 256, 128, 10)] * 2]


@pytest.fixture
def mnist_file(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    arrays = {}
    for part, n in (("train", 200), ("test", 50)):
        arrays[f"y_{part}"] = y = rng.integers(10, size=n).astype(np.uint8)
        arrays[f"x_{part}"] = (25 * y[:, None, None] * np.ones((28, 28))).astype(np.uint8)
    np.savez(tmp_path / "mnist.npz", **arrays)
    monkeypatch.setenv("PYNN_MNIST", str(tmp_path / "mnist.npz"))


def test_mnist_is_read_from_the_file_named(mnist_file, capsys):
    e = run("11_islr")
    assert "data: MNIST, 200 training and 50 test images of 784 pixels" in capsys.readouterr().out
    assert e["result"][1].layer_sizes == (784, 256, 128, 10)


def test_the_salaries(mnist_file, capsys):
    installed = importlib.util.find_spec("ISLP") is not None
    e = run("11_islr")
    if not installed:
        assert "pip install ISLP" in capsys.readouterr().out
        pytest.skip("needs ISLP's data")
    # The figure that the book's lab prints.
    assert e["linear"] == pytest.approx(259.7153, abs=1e-4)
    assert len(e["networks"]) == 20
    assert (e["networks"] < e["linear"]).all()


def test_the_programs_of_example_12_end_with_equal_weights(example):
    e = example("plot_12_from_numpy")
    assert len(e["differences"]) == 8
    for (_, dtype), difference in e["differences"].items():
        assert difference < {"float64": 1e-12, "float32": 1e-4}[dtype]
    assert e["differences"]["fit", "float32"] > 0  # another program, not the same one twice
    parameters = e["train_fit"](e["X"], e["Y"])
    assert max(np.abs(p).max() for p in parameters) > 0.1
