"""Networks at the edges of every block of the code (tests/blocks.py), against NumPy in float64 and
scikit-learn: weights, histories, metrics, predictions, gradients, the places that errors name."""

import threading
import warnings

import numpy as np
import pytest
from blocks import block_sizes, straddling
from numpy_mlp import (
    ACTIVATIONS,
    LOSSES,
    NumpyMLP,
    assert_close,
    make_samples,
    parameters_of,
    randomize_biases,
)
from scipy import sparse
from toolchain import needs_sources

import pynn

pytestmark = needs_sources

RELATIVE = {"float64": 1e-10, "float32": 3e-4}
LABELS = ("softmax_cross_entropy", "sigmoid_cross_entropy")
# A layer of one output goes by rows of pieces of values, as a matrix times a vector.
ROWS = straddling("rows")
THIN_ROWS = sorted({*ROWS, *straddling("values", high=7000)})
SHORT_ROWS = [n for n in ROWS if n <= 4200]  # where each is a training


# ---------------------------------------------------------------- predictions and gradients


def backward(twin, x, dout):
    """The gradient of ``sum(dout * net(x))`` with respect to x and the parameters."""
    inputs, before = twin.layers(x)
    y, name = twin.outputs(before[-1]), twin.activations[-1]
    if name == "softmax":
        delta = y * (dout - np.sum(dout * y, axis=1, keepdims=True))
    else:
        delta = dout * ACTIVATIONS[name][1](before[-1])
    dw, db = [], []
    for i in reversed(range(len(twin.weights))):
        dw.insert(0, inputs[i].T @ delta)
        db.insert(0, delta.sum(axis=0))
        delta = delta @ twin.weights[i].T
        if i:
            delta = delta * ACTIVATIONS[twin.activations[i - 1]][1](before[i - 1])
    return delta, [*dw, *db]


def check_answers(net, x, y, weights, rtol):
    """Everything that a network says of samples, with their weights."""
    twin = NumpyMLP(net)
    inputs, before = twin.layers(x)
    outputs = twin.outputs(before[-1])
    close = {"rtol": rtol, "atol": rtol * abs(outputs).max()}
    np.testing.assert_allclose(net(x), outputs, **close)
    if len(inputs) > 1:
        np.testing.assert_allclose(net.hidden(x), inputs[-1], rtol=rtol, atol=rtol)
    shown = net.predict(x)
    if twin.loss == "softmax_cross_entropy":
        np.testing.assert_array_equal(shown, outputs.argmax(axis=1))
        np.testing.assert_allclose(net.predict_proba(x), outputs, **close)
    elif twin.loss == "sigmoid_cross_entropy":
        expected = (outputs > 0.5).astype(int)
        np.testing.assert_array_equal(
            shown, expected[:, 0] if len(net.biases[-1]) == 1 else expected
        )
    else:
        np.testing.assert_allclose(shown.reshape(outputs.shape), outputs, **close)
    for w in (None, weights):
        loss, dw, db = net.gradients(x, y, w)
        assert loss == pytest.approx(twin.mean_loss(x, y, w), rel=rtol)
        gradients = twin.gradients(x, y, w)
        for a, b in zip([*dw, *db], gradients, strict=True):
            np.testing.assert_allclose(a, b, rtol=10 * rtol, atol=10 * rtol * abs(b).max())
        np.testing.assert_allclose(
            net.input_gradient(x, y, w),
            twin.input_gradient,
            rtol=10 * rtol,
            atol=10 * rtol * abs(twin.input_gradient).max(),
        )
        measured = net.evaluate(x, y, w)
        assert measured["loss"] == pytest.approx(twin.mean_loss(x, y, w), rel=rtol)
    dout = np.random.default_rng(0).normal(size=outputs.shape)
    dx, parameters = backward(twin, x, dout)
    close = {"rtol": 10 * rtol, "atol": 10 * rtol * abs(dx).max()}
    np.testing.assert_allclose(net.backward(dout, x), dx, **close)
    result, dw, db = net.backward(dout, x, parameters=True)
    np.testing.assert_allclose(result, dx, **close)
    for a, b in zip([*dw, *db], parameters, strict=True):
        np.testing.assert_allclose(a, b, rtol=10 * rtol, atol=10 * rtol * abs(b).max())


@pytest.mark.parametrize("loss", LOSSES)
def test_answers_for_any_rows(loss):
    net = randomize_biases(pynn.MLP([5, 7, 3], "tanh", loss, dtype="float64", seed=1))
    x, y = make_samples(loss, ROWS[-1], 5, 3)
    weights = np.random.default_rng(1).exponential(size=ROWS[-1])
    for n in ROWS:
        check_answers(net, x[:n], y[:n], weights[:n], 1e-11)


@pytest.mark.parametrize("loss", ["mse", "sigmoid_cross_entropy"])
def test_answers_of_one_output(loss):
    net = randomize_biases(pynn.MLP([6, 1], loss=loss, dtype="float64", seed=1))
    x, y = make_samples(loss, THIN_ROWS[-1], 6, 1)
    weights = np.random.default_rng(1).exponential(size=THIN_ROWS[-1])
    for n in THIN_ROWS:
        check_answers(net, x[:n], y[:n], weights[:n], 1e-11)


def test_answers_in_float32_and_of_sparse_samples():
    net = randomize_biases(pynn.MLP([9, 6, 3], "relu", "mse", seed=1))
    x, y = make_samples("mse", ROWS[-1], 9, 3)
    x[np.random.default_rng(0).random(x.shape) < 0.7] = 0
    x, y = x.astype(np.float32), y.astype(np.float32)
    for n in ROWS:
        check_answers(net, x[:n], y[:n], None, 2e-5)
        twin, stored = NumpyMLP(net), sparse.csr_matrix(x[:n])
        np.testing.assert_allclose(net(stored), twin(x[:n]), rtol=1e-4, atol=1e-5)
        _, dw, db = net.gradients(stored, y[:n])
        assert_close([*dw, *db], twin.gradients(x[:n], y[:n]), 1e-4)
        assert net.evaluate(stored, y[:n])["loss"] == pytest.approx(
            twin.mean_loss(x[:n], y[:n]), rel=1e-5
        )


def test_answers_of_wide_layers():
    """As many values in a block of rows, or in the weights, as its memory has."""
    sizes = [*straddling("columns", several=False), *straddling("terms", several=False)]
    for width in sorted({*sizes}):
        net = randomize_biases(
            pynn.MLP([width, 11, width], "sigmoid", "mse", dtype="float64", seed=1)
        )
        x, y = make_samples("mse", 34, width, width)
        for n in (1, 3, 34):
            check_answers(net, x[:n], y[:n], None, 1e-10)


@pytest.mark.parametrize("dtype", RELATIVE)
def test_answers_for_few_rows_of_wide_layers(dtype):
    """Whose products go by pieces of a row, forward and back through ReLU."""
    for width in straddling("values", dtype, high=7000):
        net = randomize_biases(pynn.MLP([3, width, 5], "relu", "mse", dtype=dtype, seed=1))
        x, y = make_samples("mse", 2, 3, 5)
        x, y = x.astype(dtype), y.astype(dtype)
        for n in (1, 2):
            check_answers(net, x[:n], y[:n], None, 1e-10 if dtype == "float64" else 1e-4)


@pytest.mark.parametrize("dtype", RELATIVE)
def test_input_gradients_through_large_layers(dtype):
    """Rows of a part of the weights' transpose, which are as many as a cache has room for."""
    inputs = max(block_sizes("terms")) + 88
    net = pynn.MLP([inputs, inputs, inputs - 88], "relu", "mse", dtype=dtype, seed=1)
    rows = [n for n in ROWS if n <= 700]
    x, y = make_samples("mse", rows[-1], inputs, inputs - 88)
    x, y = x.astype(dtype), y.astype(dtype)
    twin = NumpyMLP(net)
    twin.gradients(x, y)
    # (The mean is over the rows; a row's own gradient does not depend on the others.)
    expected = twin.input_gradient * len(x)
    for n in rows:
        relative = 1e-11 if dtype == "float64" else 1e-4
        with pynn.threads(1):  # (Two would have half of the rows each.)
            assert_close([n * net.input_gradient(x[:n], y[:n])], [expected[:n]], relative)


@pytest.mark.parametrize("dtype", RELATIVE)
def test_predictions_of_large_networks(dtype):
    """Whose layers are divided among threads as long as there are few rows."""
    for values in [n for n in block_sizes("values", dtype) if n > 90_000]:
        for rows in (1, 3, 40, *straddling("rows", low=500, high=520, several=False)):
            net = randomize_biases(pynn.MLP([values // 250 + 9, 250, 3], dtype=dtype, seed=1))
            x = make_samples("mse", rows, net.layer_sizes[0], 3)[0].astype(dtype)
            expected = NumpyMLP(net)(x)
            with pynn.threads(2):
                rtol = 1e-10 if dtype == "float64" else 1e-3
                np.testing.assert_allclose(net(x), expected, rtol=rtol, atol=1e-6 * rtol)
                np.testing.assert_array_equal(net.predict(x), expected.argmax(axis=1))


def test_training_mode_draws_the_mask_of_every_row():
    net = randomize_biases(
        pynn.MLP([3, 5, 2], "tanh", "mse", dropout=[0.2, 0.5], dtype="float64", seed=1)
    )
    x, y = make_samples("mse", ROWS[-1], 3, 2)
    twin = NumpyMLP(net)
    masks = [twin.masks(i, len(x)) for i in range(2)]
    for n in ROWS:
        twin.masks = lambda i, rows, n=n: masks[i][:rows]
        _, before = twin.layers(x[:n], training=True)
        np.testing.assert_allclose(net(x[:n], training=True), before[-1], rtol=1e-11, atol=1e-12)
        gradients = twin.gradients(x[:n], y[:n], training=True)
        _, dw, db = net.gradients(x[:n], y[:n], training=True)
        assert_close([*dw, *db], gradients, 1e-11)
        dx = net.input_gradient(x[:n], y[:n], training=True)
        assert_close([dx], [twin.input_gradient], 1e-11)
        dout = 2 * (before[-1] - y[:n]) / y[:n].size
        assert_close([net.backward(dout, x[:n], training=True)], [twin.input_gradient], 1e-10)


# ---------------------------------------------------------------- metrics


def scores_of(metrics, y, p, labels, w):
    """What scikit-learn says of outputs."""
    m = pytest.importorskip("sklearn.metrics")
    if labels:
        found = {"accuracy": m.accuracy_score(y, p.argmax(1), sample_weight=w)}
        names = np.arange(p.shape[1])
        for k in (2, 3):
            found[f"top_{k}"] = m.top_k_accuracy_score(y, p, k=k, labels=names, sample_weight=w)
        return found
    if metrics[0] == "precision":
        hit = p[:, 0] > 0.5
        return {
            "precision": m.precision_score(y, hit, sample_weight=w, zero_division=0),
            "recall": m.recall_score(y, hit, sample_weight=w, zero_division=0),
            "f1": m.f1_score(y, hit, sample_weight=w, zero_division=0),
            "accuracy": m.accuracy_score(y, hit, sample_weight=w),
        }
    found = {"mae": m.mean_absolute_error(y, p, sample_weight=w)}
    found["mse"] = m.mean_squared_error(y, p, sample_weight=w)
    found["rmse"] = np.mean(
        np.sqrt(m.mean_squared_error(y, p, sample_weight=w, multioutput="raw_values"))
    )
    if len(y) > 1:
        found["r2"] = m.r2_score(y, p, sample_weight=w)
    return found


KINDS = {
    "classes": ("softmax_cross_entropy", 5, ["accuracy", "top_2", "top_3"]),
    "yes or no": ("sigmoid_cross_entropy", 1, ["precision", "recall", "f1", "accuracy"]),
    "values": ("mse", 3, ["mae", "mse", "rmse", "r2"]),
}


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_metrics_of_any_rows(kind, weighted):
    loss, outputs, metrics = KINDS[kind]
    labels = loss in LABELS
    net = randomize_biases(pynn.MLP([4, outputs], loss=loss, dtype="float64", seed=2))
    x, y = make_samples(loss, ROWS[-1], 4, outputs, labels=labels)
    w = np.random.default_rng(3).exponential(size=len(x))
    w[np.random.default_rng(4).random(len(x)) < 0.3] = 0
    w[0] = 1
    twin = NumpyMLP(net)
    p = twin(x)
    for n in ROWS:
        weights = w[:n] if weighted else None
        expected = scores_of(metrics, y[:n], p[:n], kind == "classes", weights)
        expected["loss"] = twin.mean_loss(x[:n], y[:n], weights)
        measured = net.evaluate(x[:n], y[:n], weights, metrics)
        assert {**measured, **expected} == pytest.approx(
            measured, rel=1e-10, abs=1e-14, nan_ok=True
        )
        assert {*expected} <= {*measured}
        score = "r2" if kind == "values" else "accuracy"
        if n > 1:
            assert net.score(x[:n], y[:n], weights) == pytest.approx(expected[score], abs=1e-12)


def test_a_probability_of_a_half_is_a_no():
    """In every metric, in `predict` and `score`, for a sigmoid and for two classes."""
    m = pytest.importorskip("sklearn.metrics")
    for n in (7, *[size + 1 for size in block_sizes("rows") if size >= 1024]):
        x = np.tile([0.0, 0.0, 3.0, -3.0, 0.0, 3.0, -3.0], n // 7 + 1)[:n, None]
        y = np.tile([1, 0, 1, 0, 0, 0, 1], n // 7 + 1)[:n]
        for outputs in (1, 2):
            loss = LABELS[outputs == 1]
            net = pynn.MLP([1, outputs], loss=loss, seed=0)
            net.set_weights([[[1.0]] if outputs == 1 else [[-0.5, 0.5]]], [[0.0] * outputs])
            assert np.count_nonzero(net.predict_proba(x)[:, -1] == 0.5) >= 3
            predicted = (x[:, 0] > 0).astype(int)
            np.testing.assert_array_equal(net.predict(x), predicted)
            measured = net.evaluate(x, y, metrics=["precision", "recall", "f1"])
            assert measured["precision"] == pytest.approx(m.precision_score(y, predicted))
            assert measured["recall"] == pytest.approx(m.recall_score(y, predicted))
            assert measured["f1"] == pytest.approx(m.f1_score(y, predicted))
            assert measured["accuracy"] == pytest.approx(m.accuracy_score(y, predicted))
            assert net.score(x, y) == pytest.approx(m.accuracy_score(y, predicted))


# ---------------------------------------------------------------- training


def sgd(p, g, state, t, learning_rate, momentum=0.0, nesterov=False, weight_decay=0.0):
    v = state["v"] = momentum * state.get("v", 0) - learning_rate * g
    step = momentum * v - learning_rate * g if nesterov else v
    return p - learning_rate * weight_decay * p + step


def adam(p, g, state, t, learning_rate, weight_decay=0.0):
    m = state["m"] = 0.9 * state.get("m", 0) + 0.1 * g
    v = state["v"] = 0.999 * state.get("v", 0) + 0.001 * g**2
    ratio = m / (1 - 0.9**t) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
    return p - learning_rate * (ratio + weight_decay * p)


def rmsprop(p, g, state, t, learning_rate, momentum=0.0):
    v = state["v"] = 0.9 * state.get("v", 0) + 0.1 * g**2
    m = state["m"] = momentum * state.get("m", 0) + g / (np.sqrt(v) + 1e-8)
    return p - learning_rate * m


OPTIMIZERS = {
    "sgd": (pynn.SGD, sgd, {"learning_rate": 0.05}),
    "decay": (pynn.SGD, sgd, {"learning_rate": 0.05, "weight_decay": 0.1}),
    "momentum": (pynn.SGD, sgd, {"learning_rate": 0.03, "momentum": 0.9}),
    "nesterov": (pynn.SGD, sgd, {"learning_rate": 0.03, "momentum": 0.9, "nesterov": True}),
    "adam": (pynn.Adam, adam, {"learning_rate": 0.003}),
    "adamw": (pynn.AdamW, adam, {"learning_rate": 0.003, "weight_decay": 0.1}),
    "rmsprop": (pynn.RMSprop, rmsprop, {"learning_rate": 0.001, "momentum": 0.5}),
}
PENALTIES = {"l1": 1e-4, "l2": 1e-2}
SETTINGS = {
    "plain": {},
    "penalties": PENALTIES,
    "max-norm": {"max_norm": 0.9},
    "dropout": {"dropout": 0.3},
    "all": {**PENALTIES, "max_norm": 1.2, "dropout": [0.1, 0.3]},
}


def numpy_fit(net, x, y, rule, settings, *, epochs, batch_size, clip_norm=None, weights=None,
              shuffle=True, validation=None):  # fmt: skip
    """The NumPy MLP after a fit, and what the fit's history has to say."""
    twin = NumpyMLP(net)
    states = [{} for _ in twin.parameters]
    history = {"loss": [], "val_loss": []}
    for _ in range(epochs):
        order = twin.rng.permutation(len(x)) if shuffle else np.arange(len(x))
        total = 0.0
        for first in range(0, len(x), batch_size):
            rows = order[first : first + batch_size]
            w = None if weights is None else weights[rows]
            total += len(rows) * twin.mean_loss(x[rows], y[rows], w, training=True)
            gradients = twin.gradients(x[rows], y[rows], w, training=True)
            norm = np.sqrt(sum((g**2).sum() for g in gradients))
            factor = 1 if clip_norm is None else min(1, clip_norm / norm)
            twin.step += 1
            for p, g, state in zip(twin.parameters, gradients, states, strict=True):
                p[...] = rule(p, factor * g, state, twin.step, **settings)
            for weight, limit in zip(twin.weights, twin.max_norm, strict=True):
                if limit:
                    length = np.sqrt((weight**2).sum(axis=0))
                    factor = np.where(length > limit, limit / np.maximum(length, 1e-300), 1)
                    np.multiply(weight, factor, out=weight)
        history["loss"].append(total / len(x))
        if validation is not None:
            history["val_loss"].append(
                twin.mean_loss(*validation) - twin.penalty()  # (of the samples alone)
            )
    return twin, history


def check_fit(net, x, y, optimizer, *, clip_norm=None, weights=None, relative=None, **options):
    make, rule, settings = OPTIMIZERS[optimizer]
    relative = relative or RELATIVE[net.dtype.name]
    before = parameters_of(net)
    twin, expected = numpy_fit(
        net, x, y, rule, settings, clip_norm=clip_norm, weights=weights, **options
    )
    given = dict(options)
    validation = given.pop("validation", None)
    history = net.fit(
        x, y, optimizer=make(**settings, clip_norm=clip_norm), sample_weight=weights,
        validation_data=validation, **given,
    )  # fmt: skip
    assert_close(parameters_of(net), twin, relative)
    np.testing.assert_allclose(history.loss, expected["loss"], rtol=relative)
    if validation is not None:
        np.testing.assert_allclose(history.history["val_loss"], expected["val_loss"], rtol=relative)
    assert any((a != b).any() for a, b in zip(parameters_of(net), before, strict=True))
    assert int(net._engine.rng_position[1]) == twin.step
    return history


@pytest.mark.parametrize("settings", SETTINGS)
def test_training_on_any_rows(settings):
    """Mini-batches of every size, the last one ragged; weights and validation beside them."""
    x, y = make_samples("softmax_cross_entropy", 2 * SHORT_ROWS[-1] + 5000, 4, 3, labels=True)
    w = np.random.default_rng(0).exponential(size=len(x))
    for i, batch in enumerate(SHORT_ROWS):
        n = batch + batch // 2 + 1
        net = pynn.MLP([4, 6, 3], "tanh", **SETTINGS[settings], dtype="float64", seed=i)
        check_fit(
            net, x[:n], y[:n], [*OPTIMIZERS][i % len(OPTIMIZERS)], epochs=2, batch_size=batch,
            weights=w[:n] if i % 2 else None, clip_norm=0.1 if i % 3 == 0 else None,
            validation=(x[-n:], y[-n:], w[-n:]),
        )  # fmt: skip


@pytest.mark.parametrize("clip_norm", [None, 0.05])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_training_of_any_number_of_values(optimizer, clip_norm):
    """Weights that end within a block, at its end and beyond it, in one layer and in two."""
    for i, values in enumerate(straddling("values", high=15_000)):
        settings = [*SETTINGS.values()][i % len(SETTINGS)]
        for sizes in ([values, 1], [-(-values // 37), 37, 2]):
            one = {k: v[:1] if isinstance(v, list) and len(sizes) == 2 else v
                   for k, v in settings.items()}  # fmt: skip
            net = pynn.MLP(sizes, "tanh", "mse", **one, dtype="float64", seed=i)
            x, y = make_samples("mse", 5, sizes[0], sizes[-1])
            check_fit(net, x / np.sqrt(sizes[0]), y, optimizer, epochs=2, batch_size=3,
                      clip_norm=clip_norm)  # fmt: skip


@pytest.mark.parametrize("rows", [1, 4, 130, 530])
def test_training_of_large_layers(rows):
    """Weights as large as a part of a cache, and mini-batches that sum in one piece and in two."""
    names = [*OPTIMIZERS]
    for i, values in enumerate(straddling("values", low=15_000, high=400_000, several=False)):
        if rows == 530 and values > 40_000:
            break
        outputs = 250
        net = pynn.MLP([-(-values // outputs), outputs, 3], "relu", "mse", **SETTINGS[
            "penalties" if i % 3 else "plain"], dtype="float64", seed=i)  # fmt: skip
        x, y = make_samples("mse", rows + rows // 3, net.layer_sizes[0], 3)
        with pynn.threads(1 + i % 2):
            check_fit(net, x / 20, y, names[i % len(names)], epochs=1, batch_size=rows,
                      clip_norm=0.05 if i % 3 else None)  # fmt: skip


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_training_of_wide_layers(optimizer):
    sizes = {*straddling("columns", several=False), *straddling("terms", several=False)}
    for i, width in enumerate(sorted(sizes)):
        net = pynn.MLP(
            [width, 8, width], "sigmoid", "mse", **[*SETTINGS.values()][i % 5], dtype="float64",
            seed=i,
        )  # fmt: skip
        x, y = make_samples("mse", 9, width, width)
        check_fit(net, x, y, optimizer, epochs=1, batch_size=1 if i % 2 else 7)


def test_training_in_float32():
    x, y = make_samples("mse", 6000, 4, 2)
    x, y = x.astype(np.float32), y.astype(np.float32)
    for i, batch in enumerate(SHORT_ROWS):
        net = pynn.MLP([4, 7, 2], "tanh", "mse", seed=i)
        n = min(batch + batch // 2 + 1, 6000)
        check_fit(net, x[:n], y[:n], ["sgd", "momentum"][i % 2], epochs=2, batch_size=batch,
                  clip_norm=0.1 if i % 3 == 0 else None)  # fmt: skip
    for i, values in enumerate(straddling("values", "float32", high=40_000)):
        net = pynn.MLP([-(-values // 37), 37, 2], "tanh", "mse", seed=i)
        x, y = make_samples("mse", 5, net.layer_sizes[0], 2)
        check_fit(net, x / 9, y, "momentum", epochs=2, batch_size=3,
                  clip_norm=0.05 if i % 2 else None)  # fmt: skip


def test_training_on_sparse_samples():
    """Mini-batches around every block of rows, and more columns than the reader has buckets."""
    rng = np.random.default_rng(0)
    buckets = [n for n in block_sizes("values") if 1000 <= n <= 5000]
    for i, rows in enumerate([n for n in ROWS if n <= 1100]):
        columns = 9 if rows > 70 else buckets[i % len(buckets)] + i % 3 - 1
        x = rng.normal(size=(rows + rows // 2 + 1, columns))
        x[rng.random(x.shape) > (0.4 if columns == 9 else 0.02)] = 0
        y = rng.normal(size=(len(x), 2))
        net = pynn.MLP([columns, 5, 2], "tanh", "mse", dtype="float64", seed=i,
                       **SETTINGS["penalties" if i % 3 == 0 else "plain"])  # fmt: skip
        twin, history = numpy_fit(net, x, y, *OPTIMIZERS["adam" if i % 2 else "sgd"][1:],
                                  epochs=2, batch_size=rows)  # fmt: skip
        make, _, settings = OPTIMIZERS["adam" if i % 2 else "sgd"]
        loss = net.fit(
            sparse.csr_matrix(x), y, epochs=2, batch_size=rows, optimizer=make(**settings)
        ).loss
        assert_close(parameters_of(net), twin, 1e-9)
        np.testing.assert_allclose(loss, history["loss"], rtol=1e-10)


def test_training_on_few_stored_values():
    """SGD sorts a mini-batch's values by their columns, and leaves the other columns alone."""
    rng = np.random.default_rng(0)
    for columns in straddling("values", low=200, high=14_000):
        x = np.zeros((9, columns))
        at = rng.integers(0, columns, size=columns // 5)
        x[rng.integers(0, 9, size=len(at)), at] = rng.normal(size=len(at))
        x[:, columns - 1] = 1
        y = rng.normal(size=(9, 2))
        net = pynn.MLP([columns, 5, 2], "tanh", "mse", dtype="float64", seed=0)
        make, rule, settings = OPTIMIZERS["sgd"]
        twin, history = numpy_fit(net, x, y, rule, settings, epochs=3, batch_size=9)
        fitted = net.fit(
            sparse.csr_matrix(x), y, epochs=3, batch_size=9, optimizer=make(**settings)
        )
        assert_close(parameters_of(net), twin, 1e-10)
        np.testing.assert_allclose(fitted.loss, history["loss"], rtol=1e-10)


# ---------------------------------------------------------------- histories


@pytest.mark.parametrize("kind", KINDS)
def test_histories_of_any_rows(kind):
    """Metrics of the training and of weighted validation samples, epoch by epoch."""
    loss, outputs, metrics = KINDS[kind]
    labels = loss in LABELS
    most = max(block_sizes("rows")) + 2
    x, y = make_samples(loss, most, 3, outputs, labels=labels)
    w = np.random.default_rng(5).exponential(size=most)
    make, rule, settings = OPTIMIZERS["momentum"]
    for n in [n for n in ROWS if 16 <= n <= most]:
        net = pynn.MLP([3, outputs], loss=loss, dtype="float64", seed=0)
        reference = pynn.MLP([3, outputs], loss=loss, dtype="float64", seed=0)
        v = slice(most - n, most)
        history = net.fit(
            x[:n], y[:n], epochs=2, batch_size=n // 2, shuffle=False, metrics=metrics,
            optimizer=make(**settings), sample_weight=w[:n],
            validation_data=(x[v], y[v], w[v]),
        ).history  # fmt: skip
        for epoch in (1, 2):
            twin, expected = numpy_fit(
                reference, x[:n], y[:n], rule, settings, epochs=epoch, batch_size=n // 2,
                shuffle=False, weights=w[:n], validation=(x[v], y[v], w[v]),
            )  # fmt: skip
            found = scores_of(metrics, y[:n], twin(x[:n]), kind == "classes", w[:n])
            of_validation = scores_of(metrics, y[v], twin(x[v]), kind == "classes", w[v])
            found.update({f"val_{name}": value for name, value in of_validation.items()})
            found["loss"] = expected["loss"][-1]
            found["val_loss"] = expected["val_loss"][-1]
            got = {name: history[name][epoch - 1] for name in found}
            assert got == pytest.approx(found, rel=1e-9, abs=1e-13)


def test_held_out_samples():
    """The last ones, where nothing is shuffled; their number is rounded up."""
    x, y = make_samples("mse", max(block_sizes("rows")) * 2, 3, 1)
    for n in [2 * size + 1 for size in block_sizes("rows") if size > 4]:
        net = pynn.MLP([3, 1], loss="mse", dtype="float64", seed=0)
        reference = pynn.MLP([3, 1], loss="mse", dtype="float64", seed=0)
        history = net.fit(
            x[:n], y[:n], epochs=1, validation_split=0.5, shuffle=False, optimizer=pynn.SGD(0.1)
        ).history
        kept = n // 2
        _, expected = numpy_fit(
            reference, x[:kept], y[:kept], sgd, {"learning_rate": 0.1}, epochs=1, batch_size=32,
            shuffle=False, validation=(x[kept:n], y[kept:n]),
        )  # fmt: skip
        assert history["loss"] == pytest.approx(expected["loss"], rel=1e-10)
        assert history["val_loss"] == pytest.approx(expected["val_loss"], rel=1e-10)


def test_more_samples_than_orders_are_drawn_ahead():
    """Around each limit: the order of every epoch, and the sum of all mini-batches' losses."""
    most = 2 * max(block_sizes("samples")) + 9
    for n in [*straddling("samples", low=2000, several=False), most]:
        rng = np.random.default_rng(n)
        x, y = rng.normal(size=(n, 2)), rng.normal(size=n)
        w = rng.exponential(size=n)
        net = pynn.MLP([2, 1], loss="mse", dtype="float64", seed=0)
        check_fit(net, x, y, "sgd", epochs=2, batch_size=4099, weights=w)
        assert net.evaluate(x, y, w)["loss"] == pytest.approx(
            NumpyMLP(net).mean_loss(x, y, w), rel=1e-11
        )
    # (More than may be drawn ahead, for `n` samples and in all.)
    for n, epochs in ((3, 1100), (70, max(block_sizes("samples")) // 70 + 1), (64, 1025)):
        net = pynn.MLP([2, 1], loss="mse", dtype="float64", seed=0)
        check_fit(net, x[:n] / 9, y[:n], "sgd", epochs=epochs, batch_size=n - 1)


# ---------------------------------------------------------------- threads


def test_threads_by_work():
    """Around the work that a second thread deserves, and with more threads than there are rows."""
    for worth in block_sizes("operations"):
        for width in (30, 300):
            rows = worth // (2 * width * 3)
            for n in (rows - 1, rows, rows + 1, 2 * rows + 7):
                net = pynn.MLP([width, 3], loss="mse", dtype="float64", seed=0)
                x, y = make_samples("mse", n, width, 3)
                with pynn.threads(3):
                    np.testing.assert_allclose(net(x), NumpyMLP(net)(x), rtol=1e-10, atol=1e-12)
                    check_fit(net, x, y, "sgd", epochs=2, batch_size=n)


def test_an_epoch_in_which_a_team_parts():
    """A fit that has one thread until another caller's work is done, in the middle of its epoch."""
    count, sizes = 64 * 800 + 7, [8, 200, 200, 1]
    x, y = make_samples("mse", count, sizes[0], 1)
    net = randomize_biases(pynn.MLP(sizes, "relu", "mse", dtype="float64", seed=0))
    twin, first = NumpyMLP(net), NumpyMLP(net)
    other = pynn.MLP([300, 600, 600, 1], "relu", "mse", seed=0)
    samples = np.zeros((200, 300), np.float32)
    begun = threading.Event()

    def work():
        while not begun.is_set():
            other(samples)
        for _ in range(3):
            other(samples)

    class Begin(pynn.Callback):
        def on_epoch_begin(self, net, history):
            begun.set()

    with pynn.threads(2):
        # (Two, so that one of them is at work while the fit begins.)
        callers = [threading.Thread(target=work) for _ in range(2)]
        for caller in callers:
            caller.start()
        # (The weights stay what they are, so that the epoch's loss is that of all samples.)
        history = net.fit(
            x, y, epochs=1, batch_size=64, optimizer=pynn.SGD(1e-300), callbacks=[Begin()]
        )
        for caller in callers:
            caller.join()
    losses = [first.mean_loss(x[i : i + 6400], y[i : i + 6400]) for i in range(0, count, 6400)]
    weights = [len(x[i : i + 6400]) for i in range(0, count, 6400)]
    assert history.loss[0] == pytest.approx(np.average(losses, weights=weights), rel=1e-11)
    assert_close(parameters_of(net), twin, 1e-15)


# ---------------------------------------------------------------- sources of samples


class Loader:
    """Mini-batches that can be gone through again and again."""

    def __init__(self, x, y, size, w=None):
        self.x, self.y, self.w, self.size, self.begun = x, y, w, size, 0

    def __iter__(self):
        self.begun += 1
        for first in range(0, len(self.x), self.size):
            rows = slice(first, first + self.size)
            batch = (self.x[rows], self.y[rows])
            yield batch if self.w is None else (*batch, self.w[rows])


@pytest.mark.parametrize("steps", [None, 1, 2, 3, 4, 5, 7])
@pytest.mark.parametrize("kind", ["loader", "list", "iterator"])
def test_steps_per_epoch(kind, steps):
    """Epochs of fewer, as many and more mini-batches than there are continue where one ended."""
    x, y = make_samples("mse", 39, 3, 2)
    w = np.random.default_rng(0).exponential(size=len(x))
    size, epochs = 10, 5
    given = [*Loader(x, y, size, w)]
    if kind == "iterator" and steps is None:
        return
    endless = (batch for _ in range(99) for batch in given)
    source = {"loader": Loader(x, y, size, w), "list": given, "iterator": endless}[kind]
    net = pynn.MLP([3, 2], loss="mse", dtype="float64", seed=0)
    twin = NumpyMLP(net)
    history = net.fit(source, epochs=epochs, steps_per_epoch=steps, optimizer=pynn.SGD(0.1))
    done = 0
    for epoch in range(epochs):
        total = seen = 0
        for _ in range(steps or len(given)):
            batch = given[done % len(given)]
            total += len(batch[0]) * twin.train_on_batch(*batch[:2], 0.1, weights=batch[2])
            seen += len(batch[0])
            done += 1
        assert history.loss[epoch] == pytest.approx(total / seen, rel=1e-12)
    assert_close(parameters_of(net), twin, 1e-10)
    if kind == "loader":
        assert source.begun == -(-done // len(given))


@pytest.mark.parametrize("split", [0.2, 0.5])
def test_scores_of_held_out_samples_are_weighted(split):
    """scikit-learn's estimators: validation scores by the same function, with the same weights."""
    pytest.importorskip("sklearn")
    from sklearn.metrics import balanced_accuracy_score, get_scorer, mean_absolute_error

    from pynn.sklearn import MLPClassifier, MLPRegressor

    rng = np.random.default_rng(0)
    for n in (60, *[size + 1 for size in block_sizes("rows") if size >= 512]):
        x, w = rng.normal(size=(n, 3)), rng.exponential(size=n) ** 3
        labels, values = (x[:, 0] + rng.normal(size=n) > 0).astype(int), rng.normal(size=n)
        held = slice(0, int(n * split))
        for made, y, scoring in (
            (MLPClassifier, labels, None),
            (MLPClassifier, labels, "balanced_accuracy"),
            (MLPRegressor, values, None),
            (MLPRegressor, values, "neg_mean_absolute_error"),
        ):
            estimator = made(hidden_layer_sizes=(4,), max_iter=1, random_state=0, scoring=scoring)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                estimator.fit(x, y, sample_weight=w, validation_data=(x[held], y[held], w[held]))
            shown = estimator.predict(x[held])
            if scoring == "balanced_accuracy":
                expected = balanced_accuracy_score(y[held], shown, sample_weight=w[held])
            elif scoring:
                expected = -mean_absolute_error(y[held], shown, sample_weight=w[held])
            else:
                name = "accuracy" if made is MLPClassifier else "r2"
                scorer = get_scorer(name)._score_func
                expected = scorer(y[held], shown, sample_weight=w[held])
            assert estimator.validation_scores_ == pytest.approx([expected], rel=1e-9)


def test_staged_samples():
    """Column-major samples, in runs of mini-batches as large as the memory for them, and more."""
    rng = np.random.default_rng(0)
    for limit in block_sizes("bytes", "uint8"):
        columns = 64 if limit < 2**21 else 1024
        for shuffle in (False, True):
            rows = limit // columns + 700
            if limit < 2**21:
                rows *= 3
            elif not shuffle or limit < 90 * 2**20:
                continue
            # The twin knows the columns that are not 0: of many, those around each cache line.
            known = range(64) if columns == 64 else (0, 1, 7, 63)
            at = np.flatnonzero(np.isin(np.arange(columns) % 64, known))
            x = np.zeros((rows, columns), np.uint8, order="F")
            samples = rng.integers(0, 9, size=(rows, len(at)), dtype=np.uint8)
            x[:, at] = samples
            y = rng.normal(size=(rows, 1))
            net = pynn.MLP([columns, 1], loss="mse", seed=0)
            before, twin = net.weights[0].copy(), NumpyMLP(net)
            twin.weights[0], twin.velocity[0] = twin.weights[0][at], twin.velocity[0][at]
            order = twin.rng.permutation(rows) if shuffle else np.arange(rows)
            size = 2500 if limit < 2**21 else 4096
            losses = net.fit(x, y, epochs=1, batch_size=size, shuffle=shuffle,
                             optimizer=pynn.SGD(1e-5)).loss  # fmt: skip
            total = 0.0
            for first in range(0, rows, size):
                batch = order[first : first + size]
                total += len(batch) * twin.train_on_batch(samples[batch], y[batch], 1e-5)
            assert losses[0] == pytest.approx(total / rows, rel=1e-5)
            assert_close([net.weights[0][at], *net.biases], twin, 1e-4)
            others = np.delete(np.arange(columns), at)
            np.testing.assert_array_equal(net.weights[0][others], before[others])


def test_tables_of_several_types():
    """Converted some rows and columns at a time, and the place of what is missing."""
    pandas = pytest.importorskip("pandas")
    rng = np.random.default_rng(0)
    for n in [*straddling("rows", low=1000), 9]:
        for columns in (7, 8, 9, 17):
            values = rng.integers(-5, 5, size=(n, columns)).astype(float)
            frame = pandas.DataFrame(
                {
                    f"c{j}": pandas.array(values[:, j], dtype="Int64" if j % 2 else "float64")
                    for j in range(columns)
                }
            )
            net = pynn.MLP([columns, 1], loss="mse", dtype="float64", seed=0)
            np.testing.assert_allclose(net(frame), NumpyMLP(net)(values), rtol=1e-11, atol=1e-12)
        frame.iloc[n - 1, columns - 2] = pandas.NA
        with pytest.raises(ValueError, match=rf"row {n - 1}\b.*column 'c{columns - 2}'"):
            net(frame)


# ---------------------------------------------------------------- errors


def places(sizes):
    """Rows on both sides of each block's edge, and how many samples there are."""
    return [(row, size + size // 2 + 2) for size in sizes for row in (0, size - 1, size, size + 1)]


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_the_row_of_a_bad_sample_is_named(bad):
    net = randomize_biases(pynn.MLP([3, 4, 2], "tanh", "mse", dtype="float64", seed=0))
    x, y = make_samples("mse", 3 * max(block_sizes("rows")), 3, 2)
    before = parameters_of(net)
    for row, n in places(size for size in block_sizes("rows") if size > 1):
        good, x[row, 1] = x[row, 1], bad
        words = rf"X has a value that is not finite in row {row}, column 1\b"
        batch = n // 2 + 1
        for size in (n // 7 + 1, batch, n):
            place = rf"epoch 1, mini-batch {row // size}; {words}"
            with pytest.raises(FloatingPointError, match=place):
                net.fit(x[:n], y[:n], epochs=2, batch_size=size, shuffle=False,
                        optimizer=pynn.SGD(1e-300))  # fmt: skip
        with pytest.raises(FloatingPointError, match=words):
            net.fit(x[:n], y[:n], epochs=2, batch_size=batch, optimizer=pynn.SGD(1e-300))
        with pytest.raises(FloatingPointError, match=words):
            net.train_on_batch(x[:n], y[:n], pynn.SGD(1e-300))
        with pytest.raises(FloatingPointError, match=words):
            net.gradients(x[:n], y[:n])
        with pytest.raises(FloatingPointError, match=words):
            net.fit(sparse.csr_matrix(x[:n]), y[:n], epochs=1, batch_size=batch,
                    optimizer=pynn.SGD(1e-300))  # fmt: skip
        if np.isnan(bad):
            with pytest.raises(FloatingPointError, match=words):
                net.evaluate(x[:n], y[:n])
            assert np.flatnonzero(np.isnan(net(x[:n])).any(axis=1)).tolist() == [row]
        x[row, 1] = good
        good, y[row, 0] = y[row, 0], bad
        words = rf"y has a value that is not finite in row {row}, column 0\b"
        with pytest.raises(FloatingPointError, match=words):
            net.fit(x[:n], y[:n], epochs=1, batch_size=batch, optimizer=pynn.SGD(1e-300))
        if np.isnan(bad):
            with pytest.raises(FloatingPointError, match=words):
                net.evaluate(x[:n], y[:n])
        y[row, 0] = good
    for a, b in zip(parameters_of(net), before, strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_row_without_a_class_is_named():
    """Predictions of classes, where an output is NaN; labels and weights that are none."""
    net = pynn.MLP([2, 3], seed=0)
    x, y = make_samples(LABELS[0], 3 * max(block_sizes("rows")), 2, 3, labels=True)
    w = np.ones(len(x))
    for row, n in places(size for size in block_sizes("rows") if size > 1):
        good, x[row, 0] = x[row, 0], np.nan
        for answer in (net.predict, lambda x: net.score(x, y[: len(x)])):
            with pytest.raises(FloatingPointError, match=rf"in row {row}\b"):
                answer(x[:n])
        x[row, 0] = good
        y[row] = 3
        with pytest.raises(ValueError, match="label"):
            net.fit(x[:n], y[:n], epochs=1)
        y[row], w[row] = 0, np.nan
        with pytest.raises(ValueError, match=rf"sample_weight.*{row}\b"):
            net.fit(x[:n], y[:n], epochs=1, sample_weight=w[:n])
        w[row] = 1


@pytest.mark.parametrize("sparsely", [False, True])
@pytest.mark.parametrize("threads", [1, 2])
def test_a_sample_without_weight_must_be_finite_all_the_same(threads, sparsely):
    """Alone in its mini-batch, where no other's loss shows it."""
    x, y = make_samples("mse", 7, 3, 1)
    w = np.ones(7)
    for row in (0, 3, 6):
        w[row] = 0
        for bad in (np.nan, np.inf):
            broken = x.copy()
            broken[row, 2] = bad
            given = sparse.csr_matrix(broken) if sparsely else broken
            net = pynn.MLP([3, 2, 1], loss="mse", dtype="float64", seed=0)
            place = rf"epoch 1, mini-batch {row}; X has .* row {row}, column 2\b"
            with pynn.threads(threads), pytest.raises(FloatingPointError, match=place):
                net.fit(given, y, epochs=1, batch_size=1, sample_weight=w, shuffle=False,
                        optimizer=pynn.SGD(0.1))  # fmt: skip
            assert all(np.isfinite(p).all() for p in parameters_of(net))
            twin = NumpyMLP(pynn.MLP([3, 2, 1], loss="mse", dtype="float64", seed=0))
            for i in range(row):
                twin.train_on_batch(x[i : i + 1], y[i : i + 1], 0.1, weights=w[i : i + 1])
            assert_close(parameters_of(net), twin, 1e-12)
        w[row] = 1


def test_estimators_look_at_every_value():
    """scikit-learn's estimators read plain arrays without its checks, some values at a time."""
    pytest.importorskip("sklearn")
    from pynn.sklearn import MLPRegressor

    rng = np.random.default_rng(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        estimator = MLPRegressor(hidden_layer_sizes=(), max_iter=1).fit(
            rng.normal(size=(20, 7)), rng.normal(size=20)
        )
    for size in [size for size in block_sizes("values") if 4000 < size < 100_000]:
        x = rng.normal(size=(size // 7 + 2, 7))
        coefficients, intercept = estimator.coefs_[0], estimator.intercepts_[0]
        expected = (x @ coefficients + intercept)[:, 0]
        for layout in (np.ascontiguousarray, np.asfortranarray):
            given = layout(x)
            np.testing.assert_allclose(estimator.predict(given), expected, rtol=1e-4, atol=1e-5)
            for row in (0, size // 7 - 1, size // 7, len(x) - 1):
                good, given[row, 3] = given[row, 3], np.nan
                with pytest.raises(ValueError, match="NaN"):
                    estimator.predict(given)
                given[row, 3] = good
