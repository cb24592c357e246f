"""Dropout, penalties, constraints, weights and clipping: steps of the NumPy MLP, and the same bits
on any number of threads and any instruction set."""

import hashlib
import json
import os

import numpy as np
import pytest
from numpy_mlp import (
    NumpyMLP,
    assert_close,
    assert_same_bits,
    kept,
    make_samples,
    parameters_of,
    philox,
    randomize_biases,
    run_python,
)

import pynn

SETTINGS = {
    "dropout": {"dropout": 0.4},
    "dropout of inputs": {"dropout": [0.2, 0.0, 0.7]},
    "l1": {"l1": 0.01},
    "l2": {"l2": 0.05},
    "l1 and l2 by layer": {"l1": [0.0, 0.01, 0.02], "l2": [0.1, 0.0, 0.2]},
    "max_norm": {"max_norm": 0.7},
    "max_norm by layer": {"max_norm": [0.0, 0.5, 0.9]},
    "all": {"dropout": [0.1, 0.3, 0.2], "l1": 0.001, "l2": 0.01, "max_norm": [2.0, 1.0, 0.0]},
}
settings = pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
STEPS = {
    "plain": {"learning_rate": 0.1},
    "momentum": {"learning_rate": 0.03, "momentum": 0.9},
    "nesterov": {"learning_rate": 0.03, "momentum": 0.9, "nesterov": True},
    "clipped": {"learning_rate": 0.1, "clip_norm": 0.3},
    "clipped momentum": {"learning_rate": 0.03, "momentum": 0.9, "clip_norm": 0.3},
}
steps = pytest.mark.parametrize("sgd", STEPS.values(), ids=STEPS)


def check_fit(net, x, y, sgd, *, weights=None, epochs=25, batch_size=8, relative=1e-10):
    numpy_net = NumpyMLP(net)
    before = parameters_of(net)
    history = net.fit(
        x, y, epochs=epochs, batch_size=batch_size, optimizer=pynn.SGD(**sgd), sample_weight=weights
    )
    losses = numpy_net.fit(x, y, epochs, batch_size, weights=weights, **sgd)
    assert_close(parameters_of(net), numpy_net, relative)
    np.testing.assert_allclose(history.loss, losses, rtol=10 * relative)
    assert any(np.abs(a - b).max() > 1e-3 for a, b in zip(parameters_of(net), before, strict=True))
    assert int(net._engine.rng_position[1]) == numpy_net.step


def test_philox_gives_the_known_words():
    """Of the authors' test vectors (Random123): counters and keys of zeros, of ones, of pi."""
    ones = 2**32 - 1
    pi = [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344]
    key = 0x299F31D0A4093822
    words = [
        philox(0, [[0, 0, 0, 0]], 10)[0],
        philox(2**64 - 1, [[ones] * 4], 10)[0],
        philox(key, [pi], 10)[0],
    ]
    assert [[f"{int(w):08x}" for w in row] for row in words] == [
        ["6627e8d5", "e169c58d", "bc57ac4c", "9b00dbd8"],
        ["408f276d", "41c83b0e", "a20bc7c6", "6d5451fd"],
        ["d16cfe09", "94fdcceb", "5001e420", "24126ea1"],
    ]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("rate", [0.1, 0.5, 0.95])
@pytest.mark.parametrize(("rows", "units"), [(1, 1), (3, 50), (130, 7), (9, 64), (40, 300)])
def test_what_dropout_lets_through(rows, units, rate, dtype):
    """Seen in the gradient of a linear network: dW is the dropped inputs' transpose times delta."""
    net = pynn.MLP([units, 1], loss="squared_error", dropout=[rate], dtype=dtype, seed=7)
    net.set_weights([np.zeros((units, 1))], [np.zeros(1)])
    for step in (0, 1, 5, 2**32 - 1, 2**32, 2**40 + 3):
        net._engine.rng_position[1] = step
        masks = kept(net._engine.rng_position[0], step, 0, (rows, units), rate)
        for row in {0, rows // 2, rows - 1}:
            y = np.zeros((rows, 1))
            y[row] = -rows
            _, dw, _ = net.gradients(np.ones((rows, units)), y, training=True)
            expected = masks[row] * net.dtype.type(1 / (1 - rate))
            np.testing.assert_allclose(dw[0][:, 0], expected, rtol=1e-6)
    assert 0 <= masks.mean() <= 1


def test_dropout_drops_as_often_as_it_should_and_keeps_the_mean():
    masks = kept(
        pynn.MLP([2, 1], loss="mse", dropout=[0.3], seed=1)._engine.rng_position[0],
        3,
        0,
        (200, 100),
        0.3,
    )
    assert abs(masks.mean() - 0.7) < 4 * np.sqrt(0.21 / masks.size)
    rows, columns = masks.mean(axis=1), masks.mean(axis=0)
    assert abs(rows.std() - np.sqrt(0.21 / 100)) < 0.01
    assert abs(columns.std() - np.sqrt(0.21 / 200)) < 0.01


@settings
@steps
def test_steps_of_the_numpy_mlp(settings, sgd):
    net = pynn.MLP([7, 12, 9, 4], ["tanh", "gelu"], dtype="float64", seed=0, **settings)
    x, y = make_samples(net.loss, 50, 7, 4, labels=True)
    check_fit(randomize_biases(net), x, y, sgd)


@settings
def test_steps_in_float32(settings):
    net = pynn.MLP([7, 12, 9, 4], ["relu", "silu"], seed=0, **settings)
    x, y = make_samples(net.loss, 50, 7, 4, labels=True)
    check_fit(randomize_biases(net), x, y, STEPS["momentum"], epochs=8, relative=5e-5)


@settings
@pytest.mark.parametrize("loss", ["softmax_cross_entropy", "mae", "poisson"])
def test_gradients_include_penalties_and_dropout(loss, settings):
    net = randomize_biases(
        pynn.MLP([5, 8, 7, 3], "tanh", loss, dtype="float64", seed=2, **settings)
    )
    x, y = make_samples(loss, 11, 5, 3)
    reference = NumpyMLP(net)
    for training in (False, True):
        value, dw, db = net.gradients(x, y, training=training)
        assert value == pytest.approx(reference.mean_loss(x, y, training=training), rel=1e-12)
        assert_close([*dw, *db], reference.gradients(x, y, training=training), 1e-12)
    assert int(net._engine.rng_position[1]) == 0


def test_predictions_and_evaluation_drop_nothing():
    plain, net = (pynn.MLP([4, 30, 3], seed=0, dropout=rate) for rate in (0.0, 0.5))
    x, y = make_samples(net.loss, 20, 4, 3, labels=True)
    assert net(x).tobytes() == plain(x).tobytes()
    assert net.hidden(x).tobytes() == plain.hidden(x).tobytes()
    assert net.evaluate(x, y) == plain.evaluate(x, y)


def test_adam_with_an_l2_penalty_is_torchs():
    torch = pytest.importorskip("torch")
    net = pynn.MLP([6, 8, 3], "tanh", dtype="float64", l2=0.03, bias=False, seed=0)
    weights = [torch.tensor(w, requires_grad=True) for w in net.get_weights()[0]]
    optimizer = torch.optim.Adam(weights, lr=0.01, weight_decay=0.03)
    x, y = make_samples(net.loss, 24, 6, 3, labels=True)
    net.fit(x, y, epochs=200, batch_size=24, shuffle=False, optimizer=pynn.Adam(0.01))
    for _ in range(200):
        optimizer.zero_grad()
        z = torch.tanh(torch.tensor(x) @ weights[0]) @ weights[1]
        torch.nn.functional.cross_entropy(z, torch.tensor(y)).backward()
        optimizer.step()
    assert_close(list(net.weights), [w.detach().numpy() for w in weights], 1e-10)


# ---------------------------------------------------------------- weights


@steps
@pytest.mark.parametrize(
    "loss",
    ["softmax_cross_entropy", "sigmoid_cross_entropy", "squared_error", "mse", "mae", "huber",
     "poisson", "pinball"],
)  # fmt: skip
def test_sample_weights(loss, sgd):
    net = pynn.MLP([7, 12, 4], "tanh", loss, dtype="float64", seed=0)
    x, y = make_samples(loss, 50, 7, 4)
    weights = np.random.default_rng(5).uniform(0, 3, 50)
    weights[::7] = 0
    check_fit(randomize_biases(net), x, y, sgd, weights=weights)


def test_samples_of_weight_zero_are_as_if_absent():
    x, y = make_samples("mse", 40, 5, 2)
    weights = np.tile([1.0, 0.0], 20)
    some = pynn.MLP([5, 6, 2], loss="mse", dtype="float64", seed=0)
    all_of_them = pynn.MLP([5, 6, 2], loss="mse", dtype="float64", seed=0)
    options = {"shuffle": False, "epochs": 5, "optimizer": pynn.SGD(0.1)}
    some.fit(x[::2], y[::2], batch_size=4, **options)
    all_of_them.fit(x, y, batch_size=8, sample_weight=weights, **options)
    assert_close(parameters_of(all_of_them), parameters_of(some), 1e-12)
    a = all_of_them.evaluate(x, y, weights)["loss"]
    assert a == pytest.approx(all_of_them.evaluate(x[::2], y[::2])["loss"], rel=1e-13)


def test_a_mini_batch_without_weight_changes_nothing_but_the_velocity():
    x, y = make_samples("mse", 8, 5, 2)
    net = pynn.MLP([5, 6, 2], loss="mse", seed=0)
    before = parameters_of(net)
    net.fit(
        x[:4],
        y[:4],
        epochs=1,
        sample_weight=[1, 0, 0, 0],
        batch_size=1,
        shuffle=False,
        optimizer=pynn.SGD(),
    )
    assert np.isfinite(net.history.loss[0])
    twin = pynn.MLP([5, 6, 2], loss="mse", seed=0)
    twin.fit(x[:1], y[:1], epochs=1, batch_size=1, optimizer=pynn.SGD())
    assert_same_bits(net, twin)
    assert any((a != b).any() for a, b in zip(parameters_of(net), before, strict=True))


@pytest.mark.parametrize("targets", ["labels", "rows", "one output"])
def test_class_weights(targets):
    x, y = make_samples("softmax_cross_entropy", 60, 5, 3, labels=True)
    loss, outputs, given = "softmax_cross_entropy", 3, y
    if targets == "rows":
        given = np.eye(3)[y]
    elif targets == "one output":
        y = (y == 2).astype(int)
        loss, outputs, given = "sigmoid_cross_entropy", 1, y

    def trained(**weights):
        net = pynn.MLP([5, 8, outputs], loss=loss, dtype="float64", seed=0)
        net.fit(x, given, epochs=4, optimizer=pynn.SGD(0.1), **weights)
        return net

    by_class = {0: 0.5, 1: 2.0} | ({2: 3.0} if outputs == 3 else {})
    chosen = np.array([by_class[label] for label in y])
    assert_same_bits(trained(class_weight=by_class), trained(sample_weight=chosen))
    assert_same_bits(
        trained(class_weight=by_class, sample_weight=chosen), trained(sample_weight=chosen**2)
    )
    utils = pytest.importorskip("sklearn.utils")
    balanced = utils.compute_sample_weight("balanced", y)
    assert_same_bits(trained(class_weight="balanced"), trained(sample_weight=balanced))


# ---------------------------------------------------------------- losses with parameters


@pytest.mark.parametrize("outputs", [1, 2, 4])
@pytest.mark.parametrize("labels", [True, False])
@pytest.mark.parametrize("cls", [pynn.SoftmaxCrossEntropy, pynn.SigmoidCrossEntropy])
def test_label_smoothing(cls, labels, outputs):
    if cls is pynn.SoftmaxCrossEntropy and outputs == 1:
        pytest.skip("one class")
    net = pynn.MLP([5, 8, outputs], "tanh", cls(label_smoothing=0.2), dtype="float64", seed=0)
    if labels and outputs > 1:
        x, y = make_samples(net._engine.loss.name, 30, 5, outputs, labels=True)
        y = y % outputs
    else:
        x, y = make_samples(net._engine.loss.name, 30, 5, outputs)
    check_fit(randomize_biases(net), x, y, STEPS["plain"])
    assert net.evaluate(x, y)["loss"] == pytest.approx(NumpyMLP(net).mean_loss(x, y), rel=1e-12)


def test_label_smoothing_is_torchs():
    torch = pytest.importorskip("torch")
    net = pynn.MLP([5, 4], loss=pynn.SoftmaxCrossEntropy(0.3), dtype="float64", seed=0)
    x, y = make_samples(net.loss, 30, 5, 4, labels=True)
    z = torch.tensor(x @ net.weights[0] + net.biases[0])
    expected = torch.nn.functional.cross_entropy(z, torch.tensor(y), label_smoothing=0.3)
    assert net.evaluate(x, y)["loss"] == pytest.approx(expected.item(), rel=1e-12)


@pytest.mark.parametrize(
    "loss", [pynn.Huber(0.3), pynn.Huber(2.0), pynn.Pinball(0.9), pynn.Pinball([0.1, 0.5, 0.8])]
)
def test_losses_with_parameters(loss):
    net = pynn.MLP([5, 8, 3], "tanh", loss, dtype="float64", seed=0)
    x, y = make_samples("mse", 30, 5, 3)
    check_fit(randomize_biases(net), x, y, STEPS["momentum"])


def test_pinball_finds_the_quantiles():
    y = np.random.default_rng(0).exponential(size=4001)
    net = pynn.MLP([1, 3], loss=pynn.Pinball([0.1, 0.5, 0.9]), dtype="float64", seed=0)
    x, targets = np.zeros((len(y), 1)), np.repeat(y[:, None], 3, axis=1)
    net.fit(x, targets, epochs=400, batch_size=len(y), optimizer=pynn.SGD(0.3))
    np.testing.assert_allclose(net.biases[0], np.quantile(y, [0.1, 0.5, 0.9]), atol=0.03)


@pytest.mark.parametrize("name", ["mae", "huber", "pinball", "poisson"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_losses_as_functions(name, dtype):
    rng = np.random.default_rng(0)
    z = rng.normal(size=(20, 7)).astype(dtype)
    t = rng.poisson(2.0, (20, 7)).astype(dtype)
    value, gradient = getattr(pynn, name)(z, t)
    net = pynn.MLP([7, 7], loss=name, bias=False, dtype=dtype, seed=0)
    net.set_weights([np.eye(7)])
    reference = NumpyMLP(net)
    tolerance = 1e-5 if dtype == np.float32 else 1e-13
    assert value == pytest.approx(reference.mean_loss(z, t), rel=tolerance)
    assert gradient.dtype == dtype
    _, rows = reference.row_losses(z.astype(float), t.astype(float))
    np.testing.assert_allclose(gradient, rows / 20, rtol=tolerance, atol=tolerance * 1e-2)


# ---------------------------------------------------------------- constraints


def test_max_norm_holds_after_every_step():
    net = pynn.MLP([30, 20, 4], max_norm=[0.8, 0.6], seed=0)
    x, y = make_samples(net.loss, 64, 30, 4, labels=True)
    for _ in range(20):
        net.train_on_batch(x, y, pynn.SGD(0.5))
        for weight, limit in zip(net.weights, net.max_norm, strict=True):
            lengths = np.linalg.norm(weight.astype(float), axis=0)
            assert lengths.max() <= limit * (1 + 1e-6)
            assert lengths.max() > limit * 0.99


def test_a_gradient_that_overflows_stops_a_clipped_fit():
    net = pynn.MLP([2, 1], loss="squared_error", init="zeros", seed=0)
    before = parameters_of(net)
    # The loss is 5e29, but the gradient 1e25 * 1e15.
    x, y = np.full((1, 2), 1e25), np.full((1, 1), 1e15)
    with pytest.raises(FloatingPointError, match="gradient is not finite"):
        net.fit(x, y, optimizer=pynn.SGD(1e-3, clip_norm=1.0))
    assert_same_bits(parameters_of(net), before)


# ---------------------------------------------------------------- bits

PROGRAM = """
import hashlib, json, sys
import numpy as np
import pynn

rng = np.random.default_rng(0)
x = rng.normal(size=(700, 80)).astype(np.float32)
y = rng.integers(5, size=700)
weights = rng.random(700)
out = {}
for threads in json.loads(sys.argv[1]):
    pynn.set_num_threads(threads)
    for dtype in ("float32", "float64"):
        for clip in (None, 0.5):
            net = pynn.MLP(
                [80, 300, 120, 5], ["silu", "elu"], pynn.SoftmaxCrossEntropy(0.1),
                dropout=[0.1, 0.5, 0.2], l1=1e-4, l2=1e-3, max_norm=[1.0, 0.0, 1.0], dtype=dtype,
                seed=1,
            )
            history = net.fit(
                x, y, epochs=2, batch_size=100, optimizer=pynn.Adam(0.01, clip_norm=clip),
                sample_weight=weights,
            )
            dx = net.input_gradient(x, y, weights)
            digest = hashlib.sha256(net._engine.parameters.tobytes() + dx.tobytes())
            digest.update(repr(history.loss).encode())
            out[f"{threads} {dtype} {clip}"] = digest.hexdigest()
print(json.dumps([pynn.show_config("dict")["fused_multiply_add"], out]))
"""


def test_the_bits_are_the_same_on_threads_and_instruction_sets(tmp_path):
    results = {}
    for isa in pynn.show_config("dict")["isas_usable"]:
        printed = run_python(
            PROGRAM, tmp_path, json.dumps([1, 2, 3]), environment={**os.environ, "PYNN_ISA": isa}
        )
        fused, digests = json.loads(printed)
        for name, digest in digests.items():
            results.setdefault((fused, name.split(maxsplit=1)[1]), set()).add(digest)
    assert {len(digests) for digests in results.values()} == {1}
    assert len({digest for digests in results.values() for digest in digests}) == len(results)
    assert hashlib.sha256(b"").hexdigest() not in {d for s in results.values() for d in s}
