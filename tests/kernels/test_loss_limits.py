"""Losses at the limits: infinite outputs, targets of 0, zero weights; 0 times infinity is 0."""

import numpy as np
import pytest
import reference
from scipy import special

import pynn
from pynn import losses

TYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64])
INF = np.inf


def softmax_cross_entropy(z, t):
    """By row, and the gradient, in float64: 0 log 0 is 0."""
    with np.errstate(invalid="ignore"):
        logs = special.log_softmax(z, axis=1)
        cost = np.where(t == 0, np.where(np.isnan(logs), np.nan, 0), t * logs)
        return -cost.sum(1), t.sum(1, keepdims=True) * special.softmax(z, axis=1) - t


# Rows of one to many outputs, each with logits of -infinity at targets of 0.
@TYPES
@pytest.mark.parametrize("n", [2, 3, 10, 16, 17, 40])
@pytest.mark.parametrize("m", [1, 5, 6, 16, 33])
def test_a_logit_of_minus_infinity_with_target_0_costs_nothing(m, n, dtype):
    rng = np.random.default_rng(0)
    z = 3 * rng.standard_normal((m, n)).astype(dtype)
    t = special.softmax(rng.standard_normal((m, n)), axis=1)
    gone = rng.random((m, n)) < 0.4
    gone[np.arange(m), rng.integers(n, size=m)] = False  # a finite logit in each row
    z[gone], t[gone] = -INF, 0
    t = (t / t.sum(1, keepdims=True)).astype(dtype)
    t[gone & (rng.random((m, n)) < 0.5)] = -0.0
    loss, gradient = pynn.softmax_cross_entropy(z, t)
    rows, slope = softmax_cross_entropy(z.astype(float), t.astype(float))
    rtol = 100 * float(np.finfo(dtype).eps)
    np.testing.assert_allclose(loss, rows.mean(), rtol=rtol)
    np.testing.assert_allclose(gradient * m, slope, rtol=rtol, atol=rtol)
    assert not gradient[gone].any()
    labels = t.argmax(1)
    by_labels = pynn.softmax_cross_entropy(z, labels)
    one_hot = pynn.softmax_cross_entropy(z, np.eye(n, dtype=dtype)[labels])
    assert by_labels[0] == pytest.approx(one_hot[0], rel=rtol)
    np.testing.assert_allclose(by_labels[1], one_hot[1], rtol=rtol)
    torch = pytest.importorskip("torch")
    z64 = torch.tensor(z.astype(float), requires_grad=True)
    expected = torch.nn.functional.cross_entropy(z64, torch.tensor(labels))
    expected.backward()
    assert by_labels[0] == pytest.approx(expected.item(), rel=rtol)
    np.testing.assert_allclose(by_labels[1], z64.grad.numpy(), rtol=rtol, atol=rtol)


@TYPES
@pytest.mark.parametrize(("m", "n"), [(1, 3), (8, 3), (1, 40)])
def test_infinite_and_missing_numbers_are_not_hidden(m, n, dtype):
    z, t = np.zeros((m, n), dtype), np.zeros((m, n), dtype)
    z[0, 1], t[:, 0] = -INF, 1
    t[0, :2] = 0.75, 0.25
    loss, gradient = pynn.softmax_cross_entropy(z, t)
    assert loss == INF
    assert gradient[0, 1] == pytest.approx(-0.25 / m)
    for place, value in ((z, np.nan), (t, np.nan)):
        before = place[0, 2]
        z[0, 1], place[0, 2] = 0, value
        assert np.isnan(pynn.softmax_cross_entropy(z, t)[0])
        place[0, 2] = before


# name: outputs, target, keywords, the loss of this one output, its gradient
LIMITS = {
    "right answer": ("sigmoid_cross_entropy", INF, 1, {}, 0, 0),
    "right answer of 0": ("sigmoid_cross_entropy", -INF, 0, {}, 0, 0),
    "wrong answer": ("sigmoid_cross_entropy", INF, 0, {}, INF, 1),
    "wrong answer of 0": ("sigmoid_cross_entropy", -INF, 1, {}, INF, -1),
    "half an answer": ("sigmoid_cross_entropy", -INF, 0.5, {}, INF, -0.5),
    "no counts expected, none seen": ("poisson", -INF, 0, {}, 0, 0),
    "no counts expected, some seen": ("poisson", -INF, 3, {}, INF, -3),
    "none seen": ("poisson", INF, 0, {}, INF, INF),
    "all counts expected": ("poisson", INF, 3, {}, INF, INF),
    "too many counts expected": ("poisson", 1e30, 1e10, {}, INF, INF),
    "absolute error": ("mae", INF, 1, {}, INF, 1),
    "absolute error below": ("mae", -INF, 1, {}, INF, -1),
    "squared error": ("squared_error", -INF, 1, {}, INF, -INF),
    "mean squared error": ("mse", INF, 1, {}, INF, INF),
    "Huber": ("huber", INF, 1, {}, INF, 1),
    "Huber below": ("huber", -INF, 1, {"delta": 2.0}, INF, -2),
    "Huber of a small delta": ("huber", INF, 1, {"delta": 1e-30}, INF, 1e-30),
    "quantile": ("pinball", INF, 1, {"quantile": 0.25}, INF, 0.75),
    "quantile below": ("pinball", -INF, 1, {"quantile": 0.25}, INF, -0.25),
    "infinite target": ("mae", 1, INF, {}, INF, -1),
}


@TYPES
@pytest.mark.parametrize("case", LIMITS)
def test_limits(case, dtype):
    name, z, t, keywords, loss, slope = LIMITS[case]
    function = getattr(pynn, name)
    given = np.array([z], dtype), np.array([t], dtype)
    ours = function(*given, **keywords)
    assert ours[0] == loss
    assert ours[1][0] == pytest.approx(slope, rel=1e-6)
    # In a matrix of ordinary ones, which keep their gradients.
    z, t = (np.full((3, 20), value, dtype) for value in (0.5, 1))
    z[1, 17], t[1, 17] = given[0][0], given[1][0]
    mixed, gradient = function(z, t, **keywords)
    z[1, 17], t[1, 17] = 0.5, 1
    usual, expected = function(z, t, **keywords)
    assert np.isfinite(usual)
    # (Each of the 60 outputs has its part of the loss, and this one none.)
    assert mixed == (INF if loss == INF else pytest.approx(usual * 59 / 60, rel=1e-5))
    others = np.ones(z.shape, bool)
    others[1, 17] = False
    np.testing.assert_array_equal(gradient[others], expected[others])


@TYPES
def test_deviance_of_counts_is_xlogy_s(dtype):
    """Of ordinary counts beside those at the limits."""
    z, t = np.array([[-3.0, 0, 2, 5, -INF]], dtype), np.array([[0, 1, 0.5, 150, 0]], dtype)
    mean = np.exp(z.astype(float))
    expected = (special.xlogy(t, t) - special.xlogy(t, mean) - t + mean).sum()
    assert pynn.poisson(z, t)[0] == pytest.approx(expected, rel=1e-5)


# ---------------------------------------------------------------- networks


def one_class_off(dtype, loss):
    """A classifier whose last class is impossible: its bias is -infinity."""
    net = pynn.MLP([4, 6, 3], "tanh", loss, dtype=dtype, seed=0)
    net.biases[-1][2] = -INF
    return net


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("threads", [1, 2])
def test_evaluate_and_training_with_an_impossible_class(threads, dtype):
    rng = np.random.default_rng(0)
    x, labels = rng.standard_normal((60, 4)).astype(dtype), rng.integers(2, size=60)
    soft = np.zeros((60, 3))
    soft[:, 0] = rng.random(60)
    soft[:, 1] = 1 - soft[:, 0]
    rtol = 1e-4 if dtype == "float32" else 1e-11
    with pynn.threads(threads):
        net = one_class_off(dtype, "softmax_cross_entropy")
        z = net.hidden(x).astype(float) @ net.weights[1].astype(float) + net.biases[1]
        rows, _ = softmax_cross_entropy(z, soft)
        assert net.evaluate(x, soft)["loss"] == pytest.approx(rows.mean(), rel=rtol)
        by_labels = one_class_off(dtype, "softmax_cross_entropy")
        for one, target in ((net, soft), (by_labels, labels)):
            before = one.evaluate(x, target)["loss"]
            one.fit(x, target, epochs=20, batch_size=16, optimizer=pynn.SGD(0.1))
            assert one.evaluate(x, target)["loss"] < before
            assert one.biases[-1][2] == -INF
            assert all(np.isfinite(w).all() for w in one.weights)
            assert np.isfinite(one.biases[-1][:2]).all()
    # The same training without the class.
    smaller = pynn.MLP([4, 6, 2], "tanh", dtype=dtype, seed=0)
    start = one_class_off(dtype, "softmax_cross_entropy")
    for into, given in zip(smaller.weights, start.weights, strict=True):
        into[...] = given[:, : into.shape[1]]
    arguments = {"epochs": 3, "batch_size": 16, "shuffle": False, "optimizer": pynn.SGD(0.1)}
    smaller.fit(x, soft[:, :2], **arguments)
    start.fit(x, soft, **arguments)
    np.testing.assert_allclose(start.weights[0], smaller.weights[0], rtol=rtol, atol=rtol)


@pytest.mark.parametrize("loss", [losses.SoftmaxCrossEntropy, losses.SigmoidCrossEntropy])
def test_smoothed_targets_of_an_impossible_class_cost_infinitely_much(loss):
    x = np.ones((5, 4), np.float32)
    targets = (np.zeros(5, int), np.eye(3)[np.zeros(5, int)])
    for target in targets:
        net = one_class_off("float32", loss(label_smoothing=0.1))
        assert net.evaluate(x, target)["loss"] == INF
        before = net._engine.parameters.tobytes()
        with pytest.raises(FloatingPointError, match="the loss is inf"):
            net.fit(x, target, epochs=1, optimizer=pynn.SGD(0.1))
        assert net._engine.parameters.tobytes() == before


def test_a_sample_of_weight_0_does_not_count():
    net = one_class_off("float64", "softmax_cross_entropy")
    x, labels = np.ones((4, 4)), np.array([0, 1, 2, 0])  # the third costs infinitely much
    weights = np.array([1, 2, 0, 1.0])
    expected = net.evaluate(x[weights > 0], labels[weights > 0], weights[weights > 0])["loss"]
    assert net.evaluate(x, labels, weights)["loss"] == pytest.approx(expected, rel=1e-14)
    loss, dw, db = net.gradients(x, labels, weights)
    kept = net.gradients(x[weights > 0], labels[weights > 0], weights[weights > 0])
    assert loss == pytest.approx(kept[0], rel=1e-14)
    for ours, theirs in zip([*dw, *db], [*kept[1], *kept[2]], strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-15)
    assert net.evaluate(x, labels)["loss"] == INF


@TYPES
@pytest.mark.parametrize("n", [3, 40])
def test_finite_logits_have_the_loss_of_the_definition(n, dtype):
    """Targets with zeros among them."""
    z, t = 4 * reference.random((40, n), dtype), abs(reference.random((40, n), dtype, 1))
    t[:, ::2] = 0
    t /= t.sum(axis=1, keepdims=True)
    rows, slope = softmax_cross_entropy(z.astype(float), t.astype(float))
    loss, gradient = pynn.softmax_cross_entropy(z, t)
    rtol = 200 * float(np.finfo(dtype).eps)
    np.testing.assert_allclose(loss, rows.mean(), rtol=rtol)
    np.testing.assert_allclose(gradient * 40, slope, rtol=rtol, atol=rtol)
