"""A step that leaves infinite or NaN parameters or moments is an error that names it."""

import copy
import pickle
import re

import numpy as np
import pytest
from numpy_mlp import assert_same_bits, make_samples, parameters_of

import pynn

N, BATCH = 40, 8
LOST = r"overflowed in the update in epoch (\d+), mini-batch (\d+), update (\d+) of the optimizer"


class Reference:
    """A net of two layers (identity, mse) and an optimizer, in NumPy of one type."""

    def __init__(self, net, rule, rate, decay=0.0, l2=0.0):
        self.w = [w.copy() for w in net.weights]
        self.b = [b.copy() for b in net.biases]
        self.rule, self.t = rule, 0
        self.rate, self.decay, self.l2 = rate, decay, l2
        self.m = [np.zeros_like(p) for p in self.w + self.b]
        self.v = [np.zeros_like(p) for p in self.w + self.b]

    def step(self, x, y):
        """True if the loss and gradient were finite; True if everything is after the update."""
        hidden = x @ self.w[0] + self.b[0]
        error = hidden @ self.w[1] + self.b[1] - y
        loss = np.mean(error**2) + sum(self.l2 / 2 * np.sum(w**2) for w in self.w)
        delta = 2 * error / error.size
        below = delta @ self.w[1].T
        if not all(np.isfinite(a).all() for a in (loss, hidden, delta, below)):
            return False, True
        gradients = [x.T @ below, hidden.T @ delta, below.sum(axis=0), delta.sum(axis=0)]
        for i in range(2):
            gradients[i] = gradients[i] + self.l2 * self.w[i]
        self.t += 1
        rate, one = self.rate, x.dtype.type(1)
        one_minus_beta1, one_minus_beta2 = one - x.dtype.type(0.9), one - x.dtype.type(0.999)
        for p, g, m, v in zip(self.w + self.b, gradients, self.m, self.v, strict=True):
            kept = p * x.dtype.type(1 - rate * self.decay)
            if self.rule == "sgd":
                p[...] = kept - rate * g
            elif self.rule in ("momentum", "nesterov"):
                m[...] = x.dtype.type(0.9) * m - rate * g
                p[...] = kept + m
                if self.rule == "nesterov":
                    p[...] = kept + x.dtype.type(0.9) * m - rate * g
            elif self.rule == "adam":
                m[...] = m + one_minus_beta1 * (g - m)
                v[...] = x.dtype.type(0.999) * v + one_minus_beta2 * g * g
                correction = np.sqrt(1 - 0.999**self.t)
                factor = x.dtype.type(rate * correction / (1 - 0.9**self.t))
                p[...] = kept - factor * (m / (np.sqrt(v) + x.dtype.type(1e-8 * correction)))
            else:
                v[...] = x.dtype.type(0.9) * v + one_minus_beta1 * g * g
                p[...] = kept - rate * (g / (np.sqrt(v) + x.dtype.type(1e-7)))
        state = self.w + self.b + self.m + self.v
        return True, all(np.isfinite(a).all() for a in state)


def optimizer_of(rule, rate, decay):
    further = {"weight_decay": decay} if decay else {}
    if rule == "adam":
        return pynn.AdamW(rate, weight_decay=decay) if decay else pynn.Adam(rate)
    if rule == "rmsprop":
        return pynn.RMSprop(rate, rho=0.9, epsilon=1e-7)
    momentum = {} if rule == "sgd" else {"momentum": 0.9, "nesterov": rule == "nesterov"}
    return pynn.SGD(rate, **momentum, **further)


def is_finite(net, optimizer):
    state = optimizer._states.get(net)
    moments = [] if state is None else [a for a in (state.m, state.v) if a is not None]
    return all(np.isfinite(a).all() for a in [*net.weights, *net.biases, *moments])


CASES = [
    (rule, dtype, rate, scale, more)
    for dtype, exponent in (("float32", 1), ("float64", 8))
    for rule, rate, scale, more in (
        ("sgd", 1e8**exponent, 1.0, {}),
        ("sgd", 1e30**exponent, 1.0, {}),
        ("sgd", 1e2, 1e17**exponent, {}),
        ("sgd", 1e9**exponent, 1e9**exponent, {"decay": 1e28**exponent}),
        ("sgd", 1e16**exponent, 1.0, {"l2": 1e16**exponent}),
        ("momentum", 1e12**exponent, 1.0, {}),
        ("momentum", 1e30**exponent, 1e6**exponent, {}),
        ("nesterov", 1e12**exponent, 1.0, {}),
        ("nesterov", 1e30**exponent, 1e6**exponent, {}),
        ("adam", 1e-3, 1e14**exponent, {}),
        ("adam", 1e9**exponent, 1.0, {"decay": 1e20**exponent}),
        ("adam", 1e12**exponent, 1.0, {}),
        ("rmsprop", 1e-3, 1e14**exponent, {}),
        ("rmsprop", 1e12**exponent, 1.0, {}),
    )
]


@pytest.mark.parametrize("way", ["fit", "batches", "train_on_batch"])
@pytest.mark.parametrize(("rule", "dtype", "rate", "scale", "more"), CASES)
def test_the_step_is_numpy_s(rule, dtype, rate, scale, more, way):
    l2 = more.get("l2", 0.0)
    net = pynn.MLP([4, 5, 3], "identity", loss="mse", l2=l2, seed=0, dtype=dtype)
    x, y = (np.asarray(a * scale, dtype) for a in make_samples("mse", N, 4, 3))
    batches = [(x[i : i + BATCH], y[i : i + BATCH]) for i in range(0, N, BATCH)]
    reference = Reference(net, rule, x.dtype.type(rate), more.get("decay", 0.0), l2)
    with np.errstate(all="ignore"):
        for steps in range(100):
            applied, whole = reference.step(*batches[steps % len(batches)])
            if not (applied and whole):
                break
        else:
            pytest.fail("nothing overflows")
    optimizer = optimizer_of(rule, rate, more.get("decay", 0.0))
    before, done, caught = parameters_of(net), 0, None
    try:
        if way == "fit":
            net.fit(x, y, epochs=100, batch_size=BATCH, shuffle=False, optimizer=optimizer)
        elif way == "batches":
            net.fit(batches, epochs=100, optimizer=optimizer)
        else:
            while done < 100:
                before = parameters_of(net)
                net.train_on_batch(*batches[done % len(batches)], optimizer)
                assert is_finite(net, optimizer)
                done += 1
    except FloatingPointError as error:
        caught = error
    message = str(caught)
    assert caught is not None
    if way != "train_on_batch":
        found = re.search(r"epoch (\d+), mini-batch (\d+)", message)
        done = (int(found[1]) - 1) * len(batches) + int(found[2])
    assert done == steps, message
    if applied:
        assert f"update {steps} of the optimizer" in message
        assert "lost" in message or "the weights are those after it" in message
        assert "those before this mini-batch" not in message
        assert not is_finite(net, optimizer)
        assert "smaller learning rate" in message
    else:
        assert "The weights are those before this mini-batch" in message
        assert is_finite(net, optimizer)
        if way == "train_on_batch":
            assert_same_bits(net, before)


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("batch", [100, 600])
def test_whichever_thread_overflows(threads, batch):
    """One weight of each thread's part, whose feature alone is large; 600 rows: from memory."""
    for feature in (0, 99, 150, 199):
        net = pynn.MLP([200, 300, 10], "relu", loss="mse", seed=0)
        x, y = make_samples("mse", 1200, 200, 10)
        x[batch + 3, feature] = 1e17
        sgd = pynn.SGD(lambda step: 1e10 if step else 0.0)
        with pynn.threads(threads), pytest.raises(FloatingPointError) as caught:
            net.fit(x, y, batch_size=batch, shuffle=False, optimizer=sgd, epochs=2)
        assert re.search(LOST, str(caught.value))[2] == "1"
        bad = ~np.isfinite(net.weights[0])
        assert bad[feature].any()
        assert not np.delete(bad, feature, axis=0).any()


def test_only_a_bias_overflows():
    net = pynn.MLP([3, 2], loss="mse", seed=0)
    net.weights[0][...] = 0
    x, y = np.full((8, 3), 1e-30, np.float32), np.full((8, 2), 1e18, np.float32)
    with pytest.raises(FloatingPointError, match=r"the weights overflowed .* update 0 of"):
        net.train_on_batch(x, y, pynn.SGD(1e25))
    assert np.isfinite(net.weights[0]).all()
    assert np.isinf(net.biases[0]).all()


@pytest.mark.parametrize("optimizer", [pynn.SGD(1.0), pynn.Adam(), pynn.SGD(1.0, momentum=0.5)])
def test_a_gradient_is_refused_before_the_update(optimizer):
    """Deltas that overflow on the way back, where the loss and the outputs are finite."""
    net = pynn.MLP([2, 2, 2, 1], "identity", loss="mse", seed=0)
    net.set_weights(
        [np.full((2, 2), 1e-30), np.full((2, 2), 1e30), np.full((2, 1), 1e9)],
        [np.zeros(2), np.zeros(2), np.zeros(1)],
    )
    before = parameters_of(net)
    x, y = np.ones((4, 2), np.float32), np.zeros((4, 1), np.float32)
    with pytest.raises(FloatingPointError, match=r"^the gradient is not finite;") as caught:
        net.train_on_batch(x, y, optimizer)
    assert "The weights are those before this mini-batch" in str(caught.value)
    assert_same_bits(net, before)
    assert is_finite(net, optimizer)


def test_a_rate_is_refused_before_the_update():
    net = pynn.MLP([4, 3, 2], loss="mse", seed=0)
    x, y = make_samples("mse", 20, 4, 2)
    before = parameters_of(net)
    with pytest.raises(
        FloatingPointError, match="the learning rate or the decay overflows float32"
    ):
        net.train_on_batch(x, y, pynn.Adam(1e38, beta1=0.99, beta2=0.0))
    assert_same_bits(net, before)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("where", [(0, 0), (1, 99), (3, 127)])
def test_weights_that_are_not_finite_do_not_hide(value, where):
    """tanh(inf) is 1 and relu(-inf) 0: the loss does not show such a weight."""
    for activation in ("tanh", "relu"):
        net = pynn.MLP([4, 128, 3], activation, seed=0)
        net.weights[0][where] = value
        x, y = np.ones((8, 4)), np.zeros(8, int)
        before = parameters_of(net)
        calls = (
            lambda net=net, x=x, y=y: net.train_on_batch(x, y, pynn.SGD(1e-3)),
            lambda net=net, x=x, y=y: net.fit(x, y, epochs=2, optimizer=pynn.SGD(1e-3)),
        )
        for call in calls:
            with pytest.raises(FloatingPointError, match=r"weights .* not finite"):
                call()
            assert_same_bits(net, before)


@pytest.mark.parametrize("threads", [1, 2])
def test_further_infinite_biases_are_noticed(threads):
    """One that the user has set to switch a class off may stay; the step makes no other."""
    x, y = np.zeros((64, 4)), np.zeros(64, int)
    with pynn.threads(threads):
        net = pynn.MLP([4, 3], seed=0)
        net.biases[0][2] = -np.inf
        net.train_on_batch(x, y, pynn.SGD(1e-3))
        assert net.biases[0][2] == -np.inf
        assert np.isfinite(net.biases[0][:2]).all()
        net.biases[0][:2] = 3e38  # of two equal classes, the first one's goes up by half the rate
        with pytest.raises(FloatingPointError, match="lost"):
            net.train_on_batch(x, y, pynn.SGD(3e38))


def test_an_infinite_bias_is_not_blamed():
    net = pynn.MLP([4, 3], seed=0)
    net.biases[0][2] = -np.inf
    net.weights[0][:] = 3e38
    with pytest.raises(FloatingPointError, match="training diverges"):
        net.train_on_batch(np.full((8, 4), 3e38), np.zeros(8, int))


def test_lost_moments_are_not_used_again():
    net = pynn.MLP([2, 1], loss="mse", seed=0)
    x, y = np.full((4, 2), 1e14, np.float32), np.zeros((4, 1), np.float32)
    adam = pynn.Adam()
    with pytest.raises(FloatingPointError, match="the optimizer's moments overflowed"):
        net.train_on_batch(x, y, adam)
    ones = np.ones((4, 2), np.float32)
    net.optimizer = adam
    for other in (net, copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        with pytest.raises(FloatingPointError, match="moments of this network are not finite"):
            other.train_on_batch(ones, y)
        with pytest.raises(FloatingPointError, match="moments of this network are not finite"):
            other.fit(ones, y, epochs=1)
        assert np.isfinite(other.train_on_batch(ones, y, pynn.Adam()))


def test_a_file_of_lost_moments(tmp_path):
    net = pynn.MLP([2, 1], loss="mse", seed=0)
    ones, y = np.ones((4, 2), np.float32), np.zeros((4, 1), np.float32)
    net.train_on_batch(ones, y, pynn.Adam())
    net.optimizer._states[net].v[1] = np.inf
    net.save(tmp_path / "net.pynn")
    loaded = pynn.load(tmp_path / "net.pynn")
    with pytest.raises(FloatingPointError, match="moments of this network are not finite"):
        loaded.train_on_batch(ones, y)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("n", [1, 3000])
@pytest.mark.parametrize(("dtype", "large", "target"), [("f4", 1e30, 1e15), ("f8", 1e200, 1e150)])
def test_gradients_of_a_finite_loss_that_overflow(dtype, large, target, n, threads):
    """The loss is (0 - target)**2, the weights' gradient -2 target large."""
    net = pynn.MLP([n, 1], loss="mse", init="zeros", dtype=np.dtype(dtype))
    x, y = np.zeros((500, n), dtype), np.zeros(500, dtype)
    x[:, -1], y[:] = large, target
    with pynn.threads(threads), pytest.raises(FloatingPointError, match="gradient is not finite"):
        net.gradients(x, y)
    with np.errstate(over="ignore"):
        assert np.isneginf(x.T @ (-2 * y / 500))[-1]  # NumPy's gradient
    x[:, -1] = 2.0
    with pynn.threads(threads):
        loss, dW, db = net.gradients(x, y)
    np.testing.assert_allclose(dW[0][-1], -4 * target, rtol=1e-5)
    np.testing.assert_allclose(db[0], -2 * target, rtol=1e-5)
    np.testing.assert_allclose(loss, target**2, rtol=1e-5)


def test_gradients_of_a_penalty_that_overflows():
    net = pynn.MLP([2, 1], loss="mse", l2=1e38, init="zeros")
    net.weights[0][...] = [[1e-5], [0.0]]
    assert np.isfinite(net.gradients(np.zeros((1, 2)), [0.0])[0])
    net.weights[0][0, 0] = 9.0
    with pytest.raises(FloatingPointError):
        net.gradients(np.zeros((1, 2)), [0.0])


def test_a_sum_of_squares_may_overflow():
    """A norm above the root of the largest number: clipped, and limited, as by longdouble."""
    net = pynn.MLP([3, 2], loss="mse", seed=0, dtype="float64")
    x, y = make_samples("mse", 6, 3, 2)
    x = x * 1e170
    net.weights[0][...] *= 1e-170
    before = parameters_of(net)
    _, dW, db = net.gradients(x, y)
    norm = np.sqrt(sum((g.astype(np.longdouble) ** 2).sum() for g in (*dW, *db)))
    net.train_on_batch(x, y, pynn.SGD(1.0, clip_norm=2.0))
    expected = before[0] - (dW[0] * (2 / norm)).astype(np.float64)
    np.testing.assert_allclose(net.weights[0], expected, rtol=1e-12)

    for dtype, large in (("float32", 1e25), ("float64", 1e200)):
        net = pynn.MLP([5, 19], loss="mse", seed=0, dtype=dtype, max_norm=3.0)
        net.weights[0][:, ::2] *= large
        w = net.weights[0].astype(np.longdouble)
        net.train_on_batch(np.zeros((4, 5)), np.zeros((4, 19)), pynn.SGD(1e-3))
        norms = np.sqrt((w**2).sum(axis=0))
        expected = w * np.minimum(1, 3 / norms)
        np.testing.assert_allclose(net.weights[0], expected.astype(dtype), rtol=1e-5)


def test_the_history_keeps_the_epochs_before():
    net = pynn.MLP([4, 3, 2], "identity", loss="mse", seed=0)
    x, y = make_samples("mse", 16, 4, 2)
    rates = np.r_[np.full(10, 1e-3), 1e38]
    net.weights[1][...] *= 10
    y *= 1e3
    with pytest.raises(FloatingPointError) as caught:
        net.fit(
            x, y, epochs=9, batch_size=4, shuffle=False,
            optimizer=pynn.SGD(lambda step: float(rates[min(step, 10)])),
        )  # fmt: skip
    assert re.search(LOST, str(caught.value)).groups() == ("3", "2", "10")
    assert net.history.epoch == [1, 2]


def test_fit_many_is_told():
    X, y = make_samples("mse", 40, 4, 3)
    networks = [pynn.MLP([4, 6, 3], "tanh", loss="mse", seed=i) for i in range(3)]
    optimizers = [pynn.SGD(1e36), pynn.Adam(), pynn.SGD(1e36, momentum=0.9)]
    with pytest.warns(RuntimeWarning, match="2 of 3 models failed"):
        result = pynn.fit_many(networks, X, y * 1e9, optimizer=optimizers, epochs=2, refit=False)
    errors = [row["error"] for row in result.table]
    assert [bool(error) for error in errors] == [True, False, True]
    assert re.search(LOST, errors[0]).groups() == ("1", "0", "0")


@pytest.mark.parametrize("solver", ["sgd", "adam"])
def test_the_estimators_do_not_return(solver):
    pytest.importorskip("sklearn")
    from pynn.sklearn import MLPRegressor

    X, y = make_samples("mse", 40, 4, 1)
    X, y = X.astype(np.float32), (y.ravel() * 1e15).astype(np.float32)
    model = MLPRegressor(
        solver=solver, learning_rate_init=1e30, random_state=0, activation="tanh", max_iter=1
    )
    with pytest.raises(ValueError, match="non-finite parameter weights"):
        model.partial_fit(X * 1e10, y * 1e5)
