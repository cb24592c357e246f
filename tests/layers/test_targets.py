"""Networks with a target at each position, against NumPy: losses, metrics, weights, predictions."""

import numpy as np
import pytest
from reference import assert_same_bits

import pynn
from pynn import layers as L

N, TIME, CLASSES = 23, 5, 4
rng = np.random.default_rng(0)
X = rng.standard_normal((N, TIME, 3))
LABELS = rng.integers(0, CLASSES, (N, TIME))
VALUES = rng.standard_normal((N, TIME, 2))
BY_SAMPLE, BY_POSITION = rng.random(N) + 0.1, rng.random((N, TIME)) + 0.1
WEIGHTS = pytest.mark.parametrize(
    "weights", [None, BY_SAMPLE, BY_POSITION, np.eye(N, TIME)], ids=["none", "n", "n, time", "some"]
)


def make(outputs, loss="softmax_cross_entropy", input_shape=(TIME, 3)):
    layers = [L.Dense(6, "tanh"), L.Dense(outputs)]
    net = pynn.Sequential(layers, input_shape, loss=loss, dtype="float64", seed=0)
    net.parameters["1.kernel"] = 2 * net.parameters["1.kernel"]
    return net


def by_position(weights):
    """A weight for each target."""
    if weights is None:
        return np.ones((N, TIME))
    return np.broadcast_to(weights.reshape(N, -1), (N, TIME))


def mean(losses, weights):
    return np.average(losses, weights=by_position(weights))


def cross_entropies(p, labels):
    return -np.log(np.take_along_axis(p, labels[..., np.newaxis], -1)[..., 0])


@WEIGHTS
def test_labels(weights):
    net = make(CLASSES)
    p = net(X)
    assert p.shape == (N, TIME, CLASSES)
    np.testing.assert_allclose(p.sum(-1), 1)
    expected = mean(cross_entropies(p, LABELS), weights)
    right = mean(p.argmax(-1) == LABELS, weights)
    second = (p > np.take_along_axis(p, LABELS[..., np.newaxis], -1)).sum(-1) < 2
    found = net.evaluate(X, LABELS, sample_weight=weights, metrics=["top_2"])
    np.testing.assert_allclose(found["loss"], expected)
    np.testing.assert_allclose(found["accuracy"], right)
    np.testing.assert_allclose(found["top_2"], mean(second, weights))
    np.testing.assert_allclose(net.score(X, LABELS, sample_weight=weights), right)
    np.testing.assert_allclose(net.gradients(X, LABELS, weights)[0], expected)
    np.testing.assert_allclose(net.train_on_batch(X, LABELS, "sgd", weights), expected)


@WEIGHTS
@pytest.mark.parametrize("outputs", [1, 2])
def test_values(weights, outputs):
    net = make(outputs, "mse")
    y, predicted = VALUES[..., :outputs], net(X)
    expected = mean(((predicted - y) ** 2).mean(-1), weights)
    found = net.evaluate(X, y, sample_weight=weights, metrics=["mae", "r2"])
    np.testing.assert_allclose(found["loss"], expected)
    np.testing.assert_allclose(found["mae"], mean(abs(predicted - y).mean(-1), weights))
    w = by_position(weights)[..., np.newaxis]
    center = (w * y).sum((0, 1)) / w.sum()
    residual = (w * (predicted - y) ** 2).sum((0, 1))
    r2 = (1 - residual / (w * (y - center) ** 2).sum((0, 1))).mean()
    np.testing.assert_allclose(found["r2"], r2)
    np.testing.assert_allclose(net.score(X, y, weights), r2)
    np.testing.assert_allclose(net.gradients(X, y, weights)[0], expected)
    if outputs == 1:
        np.testing.assert_allclose(net.gradients(X, y[..., 0], weights)[0], expected)


@WEIGHTS
@pytest.mark.parametrize("shape", [(N, TIME), (N, TIME, 3)])
def test_yes_or_no(weights, shape):
    outputs = 1 if len(shape) == 2 else 3
    net = make(outputs, "sigmoid_cross_entropy")
    y = rng.integers(0, 2, shape)
    p, target = net(X), y.reshape(N, TIME, outputs)
    losses = -(np.log(p) * target + np.log(1 - p) * (1 - target)).sum(-1)
    found = net.evaluate(X, y, sample_weight=weights)
    np.testing.assert_allclose(found["loss"], mean(losses, weights))
    right = ((p > 0.5) == target).all(-1)
    np.testing.assert_allclose(found["accuracy"], mean(right, weights))
    assert_same_bits(net.predict(X), (p > 0.5).astype(int).reshape(shape))
    pairs = np.concatenate([1 - p, p], -1) if outputs == 1 else p
    assert_same_bits(net.predict_proba(X), pairs)


@WEIGHTS
def test_gradients_and_steps_are_those_of_flat_rows(weights):
    """Each position by itself, with its weight, is a sample of a network without time."""
    net, flat = make(CLASSES), make(CLASSES, input_shape=3)
    flat.load_state_dict(net.state_dict())
    rows, labels = X.reshape(-1, 3), LABELS.reshape(-1)
    own = None if weights is None else by_position(weights).reshape(-1)
    for _ in range(3):
        loss, gradients = net.gradients(X, LABELS, weights)
        expected_loss, expected = flat.gradients(rows, labels, own)
        assert loss == pytest.approx(expected_loss, rel=1e-13)
        for name, gradient in gradients.items():
            np.testing.assert_allclose(gradient, expected[name], rtol=0, atol=1e-13)
        net.train_on_batch(X, LABELS, "adam", weights)
        flat.train_on_batch(rows, labels, "adam", own)
    dx = net.input_gradient(X, LABELS, weights)
    np.testing.assert_allclose(
        dx.reshape(-1, 3), flat.input_gradient(rows, labels, own), atol=1e-13
    )


def test_predictions_follow_the_targets():
    net = make(CLASSES)
    assert_same_bits(net.predict(X), net(X).argmax(-1))
    assert_same_bits(net.predict_proba(X), net(X))
    assert_same_bits(net.predict(X[0]), net(X)[0].argmax(-1))
    values = make(1, "mse")
    for y in (VALUES[..., 0], VALUES[..., :1]):
        values.fit(X, y, epochs=1)
        assert values.predict(X).shape == y.shape
        assert values(X).shape == (N, TIME, 1)
    assert make(2, "mse").predict(X).shape == (N, TIME, 2)


def test_probabilities_are_targets():
    net, other = make(CLASSES), make(CLASSES)
    net.fit(X, LABELS, epochs=2)
    other.fit(X, np.eye(CLASSES)[LABELS], epochs=2)
    for name, array in net.parameters.items():
        np.testing.assert_allclose(array, other.parameters[name], atol=1e-12)


def test_time_of_one_step():
    for y, outputs, loss in [
        (LABELS[:, :1], CLASSES, "softmax_cross_entropy"),
        (VALUES[:, :1], 2, "mse"),
    ]:
        net = make(outputs, loss, (1, 3))
        net.fit(X[:, :1], y, epochs=1, sample_weight=BY_POSITION[:, :1])
        assert net.predict(X[:, :1]).shape == y.shape
        assert net.evaluate(X[:, :1], y)["loss"] > 0


def test_images_of_labels():
    layers = [L.Dense(5, "relu"), L.Dense(3)]
    net = pynn.Sequential(layers, (2, 4, 2), dtype="float64", seed=0)
    x, y = rng.standard_normal((9, 2, 4, 2)), rng.integers(0, 3, (9, 2, 4))
    w = rng.random((9, 2, 4))
    expected = np.average(cross_entropies(net(x), y), weights=w)
    assert net.gradients(x, y, w)[0] == pytest.approx(expected)
    assert net.predict(x).shape == y.shape
    assert net.score(x, y) == pytest.approx((net.predict(x) == y).mean())


def test_a_fit_with_everything():
    """Validation, metrics, mini-batches of an iterator, and the weights of both shapes."""
    for weights in (BY_SAMPLE, BY_POSITION):
        net, other = make(CLASSES), make(CLASSES)
        history = net.fit(
            X,
            LABELS,
            epochs=3,
            batch_size=8,
            shuffle=False,
            sample_weight=weights,
            metrics="accuracy",
            validation_data=(X, LABELS, weights),
            optimizer="adam",
        )
        for _ in range(3):
            parts = [slice(i, i + 8) for i in range(0, N, 8)]
            other.fit(((X[p], LABELS[p], weights[p]) for p in parts), optimizer="adam")
        for name, array in net.parameters.items():
            assert_same_bits(array, other.parameters[name])
        found = net.evaluate(X, LABELS, weights)
        assert history.history["val_loss"][-1] == pytest.approx(found["loss"], rel=1e-12)
        assert history.history["val_accuracy"][-1] == pytest.approx(found["accuracy"])
        assert history.history["accuracy"][-1] == pytest.approx(found["accuracy"])
    split = make(CLASSES).fit(X, LABELS, epochs=1, validation_split=0.3, sample_weight=BY_POSITION)
    assert split.history["val_loss"][0] > 0


def changed(array, place, value):
    array = np.array(array)
    array[place] = value
    return array


ERRORS = {
    "labels of another length": (
        lambda net: net.fit(X, LABELS[:, :2]),
        r"y has shape \(23, 2\), expected \(23, 5\), a target for each position, or \(23, 5, 4\)",
    ),
    "labels out of range": (lambda net: net.fit(X, LABELS + 1), "y holds labels from 1 to 4"),
    "weights of another shape": (
        lambda net: net.fit(X, LABELS, sample_weight=BY_POSITION[:, :2]),
        r"sample_weight has shape \(23, 2\), expected \(23,\) or \(23, 5\)",
    ),
    "a negative weight": (
        lambda net: net.fit(X, LABELS, sample_weight=changed(BY_POSITION, (13, 1), -1)),
        r"got -1.0 in row 13, at \[1\]",
    ),
    "class weights": (
        lambda net: net.fit(X, LABELS, class_weight="balanced"),
        "class_weight needs a target a sample; pass sample_weight by position",
    ),
}


@pytest.mark.parametrize("name", ERRORS)
def test_errors_name_the_shape(name):
    call, message = ERRORS[name]
    net = make(CLASSES)
    before = net.state_dict()
    with pytest.raises(ValueError, match=message):
        call(net)
    for key, array in net.parameters.items():
        assert_same_bits(array, before[key])


def test_what_is_not_finite_is_named():
    bad = changed(X, (13, 1, 2), np.nan)
    net, values = make(CLASSES), make(2, "mse")
    x = r"X has a value that is not finite in row 13, at \[1, 2\]"
    y = r"y has a value that is not finite in row 13, at \[1, 0\]"
    targets = changed(VALUES, (13, 1, 0), np.nan)
    for call, message in [
        (lambda: net.fit(bad, LABELS, epochs=1, shuffle=False), x),
        (lambda: net.predict(bad), x),
        (lambda: net.predict_proba(bad), x),
        (lambda: net.evaluate(bad, LABELS), x),
        (lambda: values.evaluate(bad, VALUES), x),
        (lambda: values.evaluate(X, targets), y),
        (lambda: values.fit(X, targets, epochs=1), y),
        (lambda: values.gradients(X, targets), y),
    ]:
        with pytest.raises(FloatingPointError, match=message):
            call()
