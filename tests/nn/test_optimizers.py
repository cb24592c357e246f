"""Every optimiser takes the steps of its formulas in NumPy, and those of torch's of its name."""

import os

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


# pynn's optimiser, its formula, its settings, and torch's name and settings.
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
    for _ in range(10):  # one optimiser, two networks in turn
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
    with pytest.raises(FloatingPointError, match="mini-batch 3"):
        train(stopped, adam_stopped, bad, y, steps=5)
    train(stopped, adam_stopped, x[20:], y[20:], steps=3)
    assert_same_bits(stopped, whole)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("case", ["momentum", "Nesterov", "Adam", "RMSprop, momentum"])
def test_moments_do_not_end_as_denormals(case, dtype):
    """Those of an input that is 0 but for the first step: 0.9**t, then nothing."""
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
            of_the_input = net._views(moment)[0][0][3]
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
    make_net("float64").fit(np.zeros((3, 7)), [0, 1, 2], optimizer=pynn.Adam(epsilon=1e-50))


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
