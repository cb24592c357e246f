"""Every optimizer takes the steps of its formulas in NumPy, and those of torch's of its name."""

import contextlib
import copy
import gc
import json
import os
import pickle
import threading

import numpy as np
import pytest
from numpy_mlp import (
    NumpyMLP,
    assert_close,
    assert_same_bits,
    make_samples,
    parameters_of,
    run_python,
)

import pynn
from pynn import _core
from pynn.optimizers import OPTIMIZERS as CLASSES
from pynn.optimizers import Optimizer, optimizer_from_settings, settings_of
from pynn.schedules import CosineDecay, ReduceOnPlateau, Schedule, StepDecay, WarmUp

STEPS = 200


def sgd(p, g, state, t, learning_rate, momentum=0.0, nesterov=False, weight_decay=0.0):
    decay = learning_rate * weight_decay * p
    v = state["v"] = momentum * state.get("v", 0) - learning_rate * g
    return p - decay + (momentum * v - learning_rate * g if nesterov else v)


def adam(p, g, state, t, learning_rate=1e-3, beta1=0.9, beta2=0.999, epsilon=1e-8, weight_decay=0):
    m = state["m"] = beta1 * state.get("m", 0) + (1 - beta1) * g
    v = state["v"] = beta2 * state.get("v", 0) + (1 - beta2) * g**2
    ratio = m / (1 - beta1**t) / (np.sqrt(v / (1 - beta2**t)) + epsilon)
    return p - learning_rate * (ratio + weight_decay * p)


def rmsprop(p, g, state, t, learning_rate=1e-3, rho=0.9, momentum=0.0, epsilon=1e-8):
    v = state["v"] = rho * state.get("v", 0) + (1 - rho) * g**2
    m = state["m"] = momentum * state.get("m", 0) + g / (np.sqrt(v) + epsilon)
    return p - learning_rate * m


# pynn's optimizer, its formula, its settings, and torch's name and settings.
CASES = {
    "SGD": (pynn.SGD, sgd, {"learning_rate": 0.1}, ("SGD", {"lr": 0.1})),
    "momentum": (
        pynn.SGD,
        sgd,
        {"learning_rate": 0.03, "momentum": 0.9},
        ("SGD", {"lr": 0.03, "momentum": 0.9}),
    ),
    "Nesterov": (
        pynn.SGD,
        sgd,
        {"learning_rate": 0.03, "momentum": 0.9, "nesterov": True},
        ("SGD", {"lr": 0.03, "momentum": 0.9, "nesterov": True}),
    ),
    "SGD, decay": (  # without momentum, decoupled and coupled are the same
        pynn.SGD,
        sgd,
        {"learning_rate": 0.1, "weight_decay": 0.05},
        ("SGD", {"lr": 0.1, "weight_decay": 0.05}),
    ),
    "Nesterov, decay": (
        pynn.SGD,
        sgd,
        {"learning_rate": 0.03, "momentum": 0.8, "nesterov": True, "weight_decay": 0.1},
        None,
    ),
    "momentum, decay": (
        pynn.SGD,
        sgd,
        {"learning_rate": 0.03, "momentum": 0.8, "weight_decay": 0.1},
        None,
    ),
    "Adam": (pynn.Adam, adam, {}, ("Adam", {})),
    "Adam, settings": (
        pynn.Adam,
        adam,
        {"learning_rate": 0.02, "beta1": 0.8, "beta2": 0.95, "epsilon": 1e-3},
        ("Adam", {"lr": 0.02, "betas": (0.8, 0.95), "eps": 1e-3}),
    ),
    "AdamW": (
        pynn.AdamW,
        adam,
        {"learning_rate": 0.01, "weight_decay": 0.2},
        ("AdamW", {"lr": 0.01, "weight_decay": 0.2}),
    ),
    "RMSprop": (
        pynn.RMSprop,
        rmsprop,
        {"learning_rate": 0.003, "rho": 0.99},
        ("RMSprop", {"lr": 0.003, "alpha": 0.99}),
    ),
    "RMSprop, momentum": (
        pynn.RMSprop,
        rmsprop,
        {"learning_rate": 0.001, "rho": 0.9, "momentum": 0.9, "epsilon": 1e-4},
        ("RMSprop", {"lr": 0.001, "alpha": 0.9, "momentum": 0.9, "eps": 1e-4}),
    ),
}
RELATIVE = {"float64": 1e-10, "float32": 2e-4}


def make_net(dtype, sizes=(7, 12, 9, 4)):
    return pynn.MLP(sizes, "tanh", dtype=dtype, seed=0)


def train(net, optimizer, x, y, batch_size=10, steps=STEPS):
    net.fit(x, y, epochs=steps * batch_size // len(x), batch_size=batch_size, shuffle=False,
            optimizer=optimizer)  # fmt: skip


def numpy_steps(net, x, y, update, batch_size=10, steps=STEPS):
    """The parameters after `steps` steps of `update(p, gradient, index)`."""
    twin = NumpyMLP(net)
    for t in range(steps):
        rows = slice(t * batch_size % len(x), t * batch_size % len(x) + batch_size)
        update(twin.parameters, twin.gradients(x[rows], y[rows]), t + 1)
    return twin


@pytest.mark.parametrize("dtype", RELATIVE)
@pytest.mark.parametrize("case", CASES)
def test_200_steps_of_the_formula(case, dtype):
    make, formula, settings, _ = CASES[case]
    net = make_net(dtype)
    x, y = make_samples(net.loss, 50, 7, 4, labels=True)
    states = [{} for _ in parameters_of(net)]

    def update(parameters, gradients, t):
        for p, g, state in zip(parameters, gradients, states, strict=True):
            p[...] = formula(p, g, state, t, **settings)

    expected = numpy_steps(net, x, y, update)
    before = parameters_of(net)
    train(net, make(**settings), x, y)
    assert_close(parameters_of(net), expected, RELATIVE[dtype])
    assert any(np.abs(a - b).max() > 1e-3 for a, b in zip(parameters_of(net), before, strict=True))


@pytest.mark.parametrize("case", [name for name, parts in CASES.items() if parts[3]])
def test_200_steps_of_torch(case):
    torch = pytest.importorskip("torch")
    make, _, settings, (name, torch_settings) = CASES[case]
    net = make_net("float64")
    x, y = make_samples(net.loss, 50, 7, 4, labels=True)
    tensors = []

    def update(parameters, gradients, t):
        if t == 1:
            tensors.extend(torch.from_numpy(p) for p in parameters)  # of the same memory
            update.optimizer = getattr(torch.optim, name)(tensors, **torch_settings)
        for tensor, g in zip(tensors, gradients, strict=True):
            tensor.grad = torch.from_numpy(np.ascontiguousarray(g))
        update.optimizer.step()

    expected = numpy_steps(net, x, y, update)
    train(net, make(**settings), x, y)
    assert_close(parameters_of(net), expected, 1e-10)


OPTIMIZERS = {name: (make, settings) for name, (make, _, settings, _) in CASES.items()}


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize(
    ("sizes", "batch_size"),
    [
        ((40, 70, 10), 100),  # tiles of every epilogue
        ((33, 1), 20),  # a product that is turned
        ((45, 46, 3), 20),  # ragged; the last layer's gradient is a narrow product
        ((6, 20, 3), 600),  # sums over more rows than one chunk
    ],
)
def test_gradients_in_the_epilogue_or_not(sizes, batch_size, optimizer):
    """The first step, from the gradients that `MLP.gradients` gives, by the formula."""
    make, settings = OPTIMIZERS[optimizer]
    formula = CASES[optimizer][1]
    loss = "squared_error"
    net = pynn.MLP(sizes, "tanh", loss, dtype="float64", seed=0)
    x, y = make_samples(loss, batch_size, sizes[0], sizes[-1])
    _, dw, db = net.gradients(x, y)
    expected = [
        formula(p, g, {}, 1, **settings)
        for p, g in zip(parameters_of(net), [*dw, *db], strict=True)
    ]
    net.train_on_batch(x, y, make(**settings))
    for p, e in zip(parameters_of(net), expected, strict=True):
        np.testing.assert_allclose(p, e, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("case", ["momentum", "Adam", "RMSprop, momentum"])
def test_the_state_goes_on_from_call_to_call(case):
    make, settings = OPTIMIZERS[case]
    nets, optimizer = [make_net("float32") for _ in range(3)], make(**settings)
    x, y = make_samples(nets[0].loss, 50, 7, 4, labels=True)
    train(nets[0], make(**settings), x, y, steps=50)
    for _ in range(10):  # one optimizer, two networks in turn
        for net in nets[1:]:
            train(net, optimizer, x, y, steps=5)
    for net in nets[1:]:
        assert_same_bits(net, nets[0])


def test_a_stopped_fit_has_counted_its_steps():
    """Adam's correction follows from the number of steps done, whatever ended the fit."""
    x, y = make_samples("softmax_cross_entropy", 50, 7, 4, labels=True)
    whole, stopped = make_net("float64"), make_net("float64")
    adam_whole, adam_stopped = pynn.Adam(), pynn.Adam()
    train(whole, adam_whole, x[:20], y[:20], steps=2)
    train(whole, adam_whole, x[20:], y[20:], steps=3)
    bad = x.copy()
    bad[25] = np.nan
    with pytest.raises(FloatingPointError, match="mini-batch 2"):
        train(stopped, adam_stopped, bad, y, steps=5)
    train(stopped, adam_stopped, x[20:], y[20:], steps=3)
    assert_same_bits(stopped, whole)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("case", ["momentum", "Nesterov", "Adam", "RMSprop, momentum"])
def test_moments_do_not_end_as_denormals(case, dtype):
    """An input is 0 except in the first step: its moment is 0.9**t, then 0."""
    make, settings = OPTIMIZERS[case]
    net, optimizer = make_net(dtype), make(**(settings | {"learning_rate": 1e-3}))
    x, y = make_samples(net.loss, 20, 7, 4, labels=True)
    net.train_on_batch(x, y, optimizer)
    x[:, 3] = 0
    if case == "Adam":
        optimizer.beta2 = 0.9
    net.fit(x, y, epochs=10_000, batch_size=20, optimizer=optimizer)
    state = optimizer._states[net]
    for moment in (state.m, state.v):
        if moment is not None:
            of_the_input = net._engine.named(moment)["weights_0"][3]
            assert np.all(of_the_input == 0)
            assert np.all((moment == 0) | (np.abs(moment) > 1000 * np.finfo(dtype).tiny))
            assert np.any(moment)


# Inputs of all sizes: second moments beyond the range in which AVX-512 computes roots by itself.
TRAINED = """
import hashlib
import numpy as np
import pynn

rng = np.random.default_rng(0)
x = rng.normal(size=(300, 61)) * 10.0 ** rng.uniform(-18, 1, 61)
y = rng.integers(5, size=300)
for dtype in ("float32", "float64"):
    for optimizer in (pynn.SGD(0.01, 0.9), pynn.AdamW(), pynn.RMSprop(momentum=0.5)):
        net = pynn.MLP([61, 45, 5], "tanh", dtype=dtype, seed=0)
        net.fit(x, y, epochs=3, batch_size=64, optimizer=optimizer)
        print(hashlib.sha256(b"".join(w.tobytes() for w in net.weights + net.biases)).hexdigest())
"""


def test_every_fused_instruction_set_gives_the_same_bits(tmp_path):
    sets = [name for name in pynn.show_config("dict")["isas_usable"] if name != "baseline"]
    if len(sets) < 2:
        pytest.skip("there is one instruction set only")
    printed = {
        run_python(TRAINED, tmp_path, environment={**os.environ, "PYNN_ISA": name}) for name in sets
    }
    assert len(printed) == 1
    assert len(set(printed.pop().split())) == 6


def test_epsilon_out_of_the_dtype_s_range():
    net = make_net("float32")
    with pytest.raises(ValueError, match="epsilon 1e-50 is out of range for float32"):
        net.fit(np.zeros((3, 7)), [0, 1, 2], optimizer=pynn.Adam(epsilon=1e-50))
    make_net("float64").fit(
        np.zeros((3, 7)), [0, 1, 2], epochs=1, optimizer=pynn.Adam(epsilon=1e-50)
    )


def test_settings_may_change_between_calls():
    net, x, y = make_net("float64"), *make_samples("softmax_cross_entropy", 50, 7, 4, labels=True)
    twin = NumpyMLP(net)
    optimizer, states = pynn.Adam(0.01), [{} for _ in parameters_of(net)]
    for t, rate in enumerate((0.01, 0.02, 0.005), 1):
        optimizer.learning_rate = rate
        gradients = twin.gradients(x, y)
        net.train_on_batch(x, y, optimizer)
        for p, g, state in zip(twin.parameters, gradients, states, strict=True):
            p[...] = adam(p, g, state, t, learning_rate=rate)
    assert_close(parameters_of(net), twin, 1e-12)


@pytest.mark.parametrize(
    ("make", "settings", "word"),
    [
        (pynn.SGD, {"weight_decay": -1}, "weight_decay"),
        (pynn.Adam, {"learning_rate": 0}, "learning_rate"),
        (pynn.Adam, {"beta1": 1}, "beta1"),
        (pynn.Adam, {"beta2": -0.1}, "beta2"),
        (pynn.Adam, {"epsilon": 0}, "epsilon"),
        (pynn.AdamW, {"weight_decay": float("nan")}, "weight_decay"),
        (pynn.RMSprop, {"rho": 1.5}, "rho"),
        (pynn.RMSprop, {"momentum": 1}, "momentum"),
        (pynn.RMSprop, {"epsilon": -1}, "epsilon"),
    ],
)
def test_settings_out_of_range(make, settings, word):
    with pytest.raises(ValueError, match=word):
        make(**settings)
    optimizer, net = make(), make_net("float32")
    setattr(optimizer, word, settings[word])
    before = parameters_of(net)
    with pytest.raises(ValueError, match=word):
        net.fit(np.ones((3, 7)), [0, 1, 2], optimizer=optimizer)
    for a, b in zip(parameters_of(net), before, strict=True):
        np.testing.assert_array_equal(a, b)


# ------------------------------------------------------------------ clip_norm


def clipped(gradients, clip_norm):
    norm = np.sqrt(sum(np.sum(np.square(g)) for g in gradients))
    return [g * min(1, clip_norm / norm) for g in gradients]


def test_clipping_of_torch():
    """The reference itself; torch adds 1e-6 to the norm."""
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    gradients = [rng.normal(size=shape) for shape in ((3, 4), (5,))]
    for clip_norm in (0.1, 1, 100):
        tensors = [torch.zeros(g.shape, dtype=torch.float64) for g in gradients]
        for tensor, g in zip(tensors, gradients, strict=True):
            tensor.grad = torch.from_numpy(g.copy())
        torch.nn.utils.clip_grad_norm_(tensors, clip_norm)
        for tensor, g in zip(tensors, clipped(gradients, clip_norm), strict=True):
            np.testing.assert_allclose(tensor.grad, g, rtol=1e-6)


@pytest.mark.parametrize("clip_norm", [0.05, 0.7, 1e6])
@pytest.mark.parametrize("dtype", RELATIVE)
@pytest.mark.parametrize("case", CASES)
def test_200_clipped_steps(case, dtype, clip_norm):
    make, formula, settings, _ = CASES[case]
    net = make_net(dtype)
    x, y = make_samples(net.loss, 50, 7, 4, labels=True)
    states = [{} for _ in parameters_of(net)]
    scales = []

    def update(parameters, gradients, t):
        scaled = clipped(gradients, clip_norm)
        scales.append(scaled[0].ravel()[0] / gradients[0].ravel()[0])
        for p, g, state in zip(parameters, scaled, states, strict=True):
            p[...] = formula(p, g, state, t, **settings)

    expected = numpy_steps(net, x, y, update)
    train(net, make(**settings, clip_norm=clip_norm), x, y)
    assert_close(parameters_of(net), expected, RELATIVE[dtype])
    assert min(scales) == 1 if clip_norm == 1e6 else min(scales) < 0.9


def test_the_core_hears_of_clip_norm_and_of_rates(monkeypatch):
    calls = []
    monkeypatch.setattr(_core, "optimizer_F64", lambda *a, **k: calls.append((a, k)))
    net = make_net("float64")
    pynn.Adam(0.01)._bind(net, 5)
    pynn.Adam(StepDecay(0.8, 2, 0.5), clip_norm=3)._bind(net, 5)
    (plain, nothing), (scheduled, further) = calls
    assert (plain[4], nothing) == ([0.01], {})
    assert (scheduled[4], further) == ([0.8, 0.8, 0.4, 0.4, 0.2], {"clip_norm": 3.0})


# ----------------------------------------------------------------------- rates


def test_rates_go_on_with_the_network():
    nets = [make_net("float64") for _ in range(2)]
    x, y = make_samples(nets[0].loss, 50, 7, 4, labels=True)
    schedule = CosineDecay(0.1, 20)
    for sgd in (pynn.SGD(schedule), pynn.SGD(lambda t: float(schedule(t))), pynn.SGD(0.1)):
        train(nets[0], sgd, x, y, steps=15)
        constant = sgd.learning_rate == 0.1
        for net, first in zip(nets, (15, 0), strict=True):
            expected = np.full(8, 0.1) if constant else schedule(np.arange(first, first + 8))
            rates = sgd.rates(net, 8)
            assert rates.dtype == np.float64
            np.testing.assert_array_equal(rates, expected)
            assert sgd.current_rate(net) == expected[0]
            assert type(sgd.current_rate(net)) is float
        assert sgd.rates(nets[0], 0).shape == (0,)


def test_a_callable_is_asked_with_an_int_per_update():
    net, asked = make_net("float64"), []
    x, y = make_samples(net.loss, 50, 7, 4, labels=True)

    def rate(step):
        asked.append(step)
        return 0.1

    sgd = pynn.SGD(rate)
    net.train_on_batch(x, y, sgd)
    net.train_on_batch(x, y, sgd)
    sgd.rates(net, 3)
    assert asked == [0, 1, 2, 3, 4]
    assert all(type(step) is int for step in asked)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_rate_of_0_changes_nothing(dtype):
    net = make_net(dtype)
    x, y = make_samples(net.loss, 50, 7, 4, labels=True)
    before = parameters_of(net)
    train(net, pynn.SGD(lambda _: 0), x, y, steps=5)
    assert_same_bits(net, before)
    train(net, pynn.Adam(CosineDecay(1e-60, 3)), x, y, steps=5)  # in float32: 0


class Negative(Schedule):
    def _rates(self, steps):
        return 2.0 - steps


@pytest.mark.parametrize(
    ("rate", "exception", "says"),
    [
        (lambda t: 0.1 if t < 3 else np.nan, ValueError, ["update 3", "nan", "[0, inf)"]),
        (lambda t: 0.1 if t < 3 else np.inf, ValueError, ["update 3", "inf"]),
        (lambda t: 2 - t, ValueError, ["update 3", "-1"]),
        (Negative(), ValueError, ["update 3", "-1"]),
        (lambda t: None if t > 2 else 0.1, TypeError, ["update 3", "None"]),
        (lambda t: "0.1" if t > 2 else 0.1, TypeError, ["update 3", "'0.1'"]),
        (lambda t: 1e39 if t > 2 else 0.1, ValueError, ["1e+39", "float32"]),
        (1e39, ValueError, ["1e+39", "float32"]),
        (1e-50, ValueError, ["1e-50", "float32"]),
    ],
)
def test_rates_that_are_none(rate, exception, says):
    net, adam = make_net("float32"), pynn.Adam()
    x, y = make_samples(net.loss, 50, 7, 4, labels=True)
    net.train_on_batch(x, y, adam)
    before, state = parameters_of(net), copy.deepcopy(adam._states[net])
    adam.learning_rate = rate
    with pytest.raises(exception) as caught:
        net.fit(x, y, batch_size=10, optimizer=adam)
    for word in says:
        assert word in str(caught.value)
    assert_same_bits(net, before)
    after = adam._states[net]
    for name in ("steps", "m", "v"):
        np.testing.assert_array_equal(getattr(after, name), getattr(state, name))


@pytest.mark.parametrize("value", [StepDecay, CosineDecay, float, "0.1", None, True, [0.1]])
def test_what_is_no_learning_rate(value):
    for make in CLASSES.values():
        with pytest.raises(TypeError, match="learning_rate must be"):
            make(value)


# -------------------------------------------------------------------- settings

RATES = {
    "number": 0.03,
    "schedule": WarmUp(CosineDecay(0.1, 100), 10),
    "plateau": ReduceOnPlateau(0.2, monitor="loss"),
}
ALL_SETTINGS = {
    "SGD": {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1, "clip_norm": 2.0},
    "Adam": {"beta1": 0.8, "beta2": 0.9, "epsilon": 1e-4, "clip_norm": 2.0},
    "AdamW": {
        "beta1": 0.8,
        "beta2": 0.9,
        "epsilon": 1e-4,
        "weight_decay": 0.3,
        "clip_norm": 2.0,
    },
    "RMSprop": {"rho": 0.8, "momentum": 0.1, "epsilon": 1e-4, "clip_norm": 2.0},
}


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("name", ALL_SETTINGS)
def test_settings_round_trip(name, rate):
    make, further = CLASSES[name], ALL_SETTINGS[name]
    for settings in ({}, further):
        optimizer = make(RATES[rate], **settings)
        written = json.loads(json.dumps(settings_of(optimizer), allow_nan=False))
        assert written["name"] == name
        twin = optimizer_from_settings(written)
        assert type(twin) is make
        assert twin._checked() == optimizer._checked()
        assert repr(twin) == repr(optimizer)
        assert settings_of(twin) == settings_of(optimizer)
    for key, value in further.items():
        assert getattr(twin, key) == value
        assert f"{key}=" in repr(twin)


def test_every_argument_is_a_setting():
    import inspect

    for make in CLASSES.values():
        assert list(inspect.signature(make).parameters) == list(make._CHECKS)


def test_settings_are_the_present_ones():
    sgd = pynn.SGD(0.1, 0.5)
    sgd.learning_rate, sgd.momentum = np.float32(0.25), 0
    assert settings_of(sgd) == {
        "name": "SGD",
        "learning_rate": 0.25,
        "momentum": 0.0,
        "nesterov": False,
        "weight_decay": 0.0,
        "clip_norm": None,
    }
    sgd.momentum = 1
    assert "momentum=1" in repr(sgd)  # also of what is out of range
    with pytest.raises(ValueError, match="momentum"):
        settings_of(sgd)


@pytest.mark.parametrize("rate", [lambda t: 0.1, Negative(), WarmUp(Negative(), 3)])
def test_a_function_is_not_written(rate):
    written = json.loads(json.dumps(settings_of(pynn.RMSprop(rate))))
    assert written["learning_rate"] is None
    with pytest.raises(ValueError, match="function, which is not saved: pass learning_rate"):
        optimizer_from_settings(written)
    assert optimizer_from_settings(written, rate).learning_rate is rate


@pytest.mark.parametrize(
    ("settings", "exception", "says"),
    [
        (None, TypeError, ["dict", "None"]),
        ({}, TypeError, ["name", "None"]),
        ({"name": "Adagrad"}, ValueError, ["name", "RMSprop", "'Adagrad'"]),
        ({"name": "SGD"}, ValueError, ["learning_rate"]),
        ({"name": "SGD", "learning_rate": -1}, ValueError, ["learning_rate", "-1"]),
        ({"name": "SGD", "learning_rate": 1, "beta1": 0}, ValueError, ["SGD", "'beta1'"]),
        ({"name": "SGD", "learning_rate": {"rate": 1}}, ValueError, ["learning_rate", "rate"]),
        (
            {"name": "SGD", "learning_rate": {"schedule": {"name": "Constant"}}},
            ValueError,
            ["Constant", "'rate'"],
        ),
        ({"name": "Adam", "learning_rate": 1, "epsilon": 0}, ValueError, ["epsilon", "0"]),
    ],
)
def test_settings_that_are_none(settings, exception, says):
    with pytest.raises(exception) as caught:
        optimizer_from_settings(settings)
    for word in says:
        assert word in str(caught.value)


@pytest.mark.parametrize("make", CLASSES.values())
@pytest.mark.parametrize("value", [0, -1, np.nan, np.inf])
def test_clip_norm_out_of_range(make, value):
    with pytest.raises(ValueError, match=r"clip_norm must be in \(0, inf\)"):
        make(clip_norm=value)


def test_a_failed_check_sets_nothing():
    adam = pynn.Adam()
    adam.learning_rate, adam.beta1, adam.epsilon = 1, 0, "small"
    with pytest.raises(TypeError, match="epsilon"):
        adam._bind(make_net("float32"))
    assert (adam.learning_rate, adam.beta1, adam.epsilon) == (1, 0, "small")
    assert type(adam.learning_rate) is int
    adam.epsilon, adam.learning_rate = 1, lambda t: 1e39
    with pytest.raises(ValueError, match="float32"):
        adam._bind(make_net("float32"))
    assert type(adam.epsilon) is int
    assert len(adam._states) == 0


# ------------------------------------------------------- several networks, copies


def test_one_optimizer_and_many_networks_in_threads():
    x, y = make_samples("softmax_cross_entropy", 20, 7, 4, labels=True)
    expected = make_net("float32")
    train(expected, pynn.Adam(0.01), x, y, steps=2)
    shared, errors, kept = pynn.Adam(0.01), [], []
    start = threading.Barrier(6)

    def work():
        try:
            start.wait()
            for i in range(60):
                net = make_net("float32")  # and the one before goes away, in the midst of all
                train(net, shared, x, y, steps=2)
                assert_same_bits(net, expected)
                if i % 20 == 0:
                    kept.append(net)
                    # (It takes its networks along, of which another thread may train one.)
                    with contextlib.suppress(RuntimeError):
                        pickle.dumps(shared)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    gc.collect()
    assert {id(net) for net in shared._states} == {id(net) for net in kept}


def test_copies_keep_the_schedule_and_the_state():
    x, y = make_samples("softmax_cross_entropy", 50, 7, 4, labels=True)
    net = make_net("float64")
    adam = pynn.Adam(ReduceOnPlateau(0.05, 0.5, 0, 10, monitor="loss"))
    net.fit(x, y, epochs=3, batch_size=10, optimizer=adam)
    assert adam.learning_rate.current_rate == 0.0125
    for copied in (copy.deepcopy, lambda pair: pickle.loads(pickle.dumps(pair))):
        twin, twin_adam = copied((net, adam))
        assert twin_adam.learning_rate == adam.learning_rate
        assert twin_adam.current_rate(twin) == adam.current_rate(net)
        twin.fit(x, y, epochs=1, batch_size=10, optimizer=twin_adam)
        assert twin_adam.learning_rate.current_rate == 0.00625
        assert adam.learning_rate.current_rate == 0.0125


def test_the_optimizer_is_abstract():
    with pytest.raises(TypeError, match="abstract"):
        Optimizer()


def test_a_fit_that_is_refused_leaves_the_learning_rate():
    x, y = make_samples("mse", 30, 4, 3)
    net = pynn.MLP([4, 3], loss="mse", seed=0)
    refused = []

    def elsewhere():
        for call in (net.fit, net.train_on_batch):
            with pytest.raises(RuntimeError, match="already being trained"):
                call(x, y, learning_rate=5.0)
            refused.append(call)

    def callback(net, history):
        if not refused:
            thread = threading.Thread(target=elsewhere)
            thread.start()
            thread.join()

    net.fit(x, y, epochs=1)
    history = net.fit(x, y, epochs=3, callbacks=callback)
    assert (len(refused), history["learning_rate"]) == (2, [0.001] * 3)
    x[3] = np.nan
    with pytest.raises(FloatingPointError):
        net.train_on_batch(x, y, learning_rate=5.0)
    assert net.optimizer.learning_rate == 0.001
    net.train_on_batch(x[:3], y[:3], learning_rate=0.01)
    assert net.optimizer.learning_rate == 0.01


@pytest.mark.parametrize("begun", [False, True])
def test_the_state_goes_on_with_another_learning_rate(begun):
    """As with the same optimizer whose rate is set between the fits."""
    x, y = make_samples("mse", 30, 4, 3)
    a, b = (pynn.MLP([4, 3], loss="mse", seed=0) for _ in range(2))
    own, given = pynn.SGD(0.1, momentum=0.9), pynn.SGD(0.1, momentum=0.9)
    if begun:
        a.fit(x, y, epochs=1, optimizer=own)
        b.fit(x, y, epochs=1, optimizer=given)
    for rate in (0.05, 0.02):
        own.learning_rate = rate
        a.fit(x, y, epochs=2, optimizer=own)
        b.fit(x, y, epochs=2, optimizer=given, learning_rate=rate)
    b.train_on_batch(x, y, given, learning_rate=0.01)
    own.learning_rate = 0.01
    a.train_on_batch(x, y, own)
    assert_same_bits(a, b)
    assert given.learning_rate == 0.1
