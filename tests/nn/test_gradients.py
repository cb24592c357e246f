"""Gradients against central differences, torch's autograd and the NumPy MLP."""

import numpy as np
import pytest
from numpy_mlp import LOSSES, NumpyMLP, assert_close, make_samples, randomize_biases

import pynn
from pynn.losses import LOSSES as LOSSES_INFO

NAMES = pynn.ops.ACTIVATIONS
ROWS, INPUTS, OUTPUTS = 7, 5, 3

CASES = [
    *((loss, (name, name), None) for loss in LOSSES for name in NAMES),
    *((loss, ("tanh", "relu", "sigmoid", "identity"), None) for loss in LOSSES),
    *(
        (loss, ("relu",), output)
        for loss in ("squared_error", "mse", "mae", "huber", "pinball")
        for output in (*NAMES, "exp", "softmax")
    ),
    ("poisson", ("silu",), "softplus"),
    *((loss, (), None) for loss in LOSSES),
]
cases = pytest.mark.parametrize(("loss", "hidden", "output"), CASES)
biased = pytest.mark.parametrize("bias", [True, False])


def make_net(loss, hidden, output, *, bias=True, outputs=OUTPUTS, dtype="float64"):
    sizes = [INPUTS, *(6 + i for i in range(len(hidden))), outputs]
    net = pynn.MLP(sizes, hidden, loss, output_activation=output, bias=bias, dtype=dtype, seed=3)
    return randomize_biases(net)


def check_by_differences(net, x, y):
    loss, dw, db = net.gradients(x, y)
    numpy_net, step = NumpyMLP(net), 1e-6
    np.testing.assert_allclose(loss, numpy_net.mean_loss(x, y), rtol=1e-12)
    for gradient, parameter in zip([*dw, *db], numpy_net.parameters, strict=True):
        expected = np.empty_like(parameter)
        for i, value in np.ndenumerate(parameter):
            parameter[i] = value + step
            above = numpy_net.mean_loss(x, y)
            parameter[i] = value - step
            expected[i] = (above - numpy_net.mean_loss(x, y)) / (2 * step)
            parameter[i] = value
        assert gradient.shape == expected.shape
        np.testing.assert_allclose(gradient, expected, rtol=1e-6, atol=2e-9)


@cases
@biased
def test_central_differences(loss, hidden, output, bias):
    net = make_net(loss, hidden, output, bias=bias)
    check_by_differences(net, *make_samples(loss, ROWS, INPUTS, OUTPUTS))


@pytest.mark.parametrize(
    ("loss", "outputs"),
    [("softmax_cross_entropy", 3), ("sigmoid_cross_entropy", 3), ("sigmoid_cross_entropy", 1)],
)
@pytest.mark.parametrize("name", NAMES)
def test_central_differences_with_labels(loss, outputs, name):
    net = make_net(loss, (name, "tanh"), None, outputs=outputs)
    check_by_differences(net, *make_samples(loss, ROWS, INPUTS, outputs, labels=True))


def test_rows_of_targets_need_not_sum_to_one():
    x, y = make_samples("sigmoid_cross_entropy", ROWS, INPUTS, OUTPUTS)
    check_by_differences(make_net("sigmoid_cross_entropy", ("tanh",), None), x, y * 0.7)


@pytest.mark.parametrize("loss", ["squared_error", "mse"])
def test_vector_of_values(loss):
    x, y = make_samples(loss, ROWS, INPUTS, 1)
    net = make_net(loss, ("tanh",), None, outputs=1)
    check_by_differences(net, x, y)
    np.testing.assert_equal(net.gradients(x, y[:, 0]), net.gradients(x, y))


@pytest.mark.parametrize("loss", ["softmax_cross_entropy", "sigmoid_cross_entropy"])
def test_one_hot_rows_equal_labels(loss):
    x, y = make_samples(loss, ROWS, INPUTS, OUTPUTS, labels=True)
    net = make_net(loss, ("relu",), None)
    by_labels, by_rows = net.gradients(x, y), net.gradients(x, np.eye(OUTPUTS)[y])
    for a, b in zip([*by_labels[1], *by_labels[2]], [*by_rows[1], *by_rows[2]], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-13, atol=1e-16)


def torch_loss(functional, net, z, t):
    """The loss of outputs z; of logits or log-rates where the loss has the last activation."""
    sums = {"reduction": "sum"}
    if net.loss == "softmax_cross_entropy":
        return functional.cross_entropy(z, t)
    if net.loss == "sigmoid_cross_entropy":
        return functional.binary_cross_entropy_with_logits(z, t, **sums) / len(z)
    if net.loss == "poisson":
        log = net.activations[-1] == "exp"
        total = functional.poisson_nll_loss(z, t, log_input=log, eps=0.0, **sums)
        return (total + (t.xlogy(t) - t).sum()) / len(z)
    if net.loss == "squared_error":
        return functional.mse_loss(z, t, **sums) / (2 * len(z))
    if net.loss == "pinball":
        return (0.5 * (t - z).abs()).mean()
    names = {"mse": "mse_loss", "mae": "l1_loss", "huber": "huber_loss"}
    return getattr(functional, names[net.loss])(z, t)


def torch_gradients(torch, net, x, y):
    functional = torch.nn.functional
    functions = {
        "identity": lambda z: z,
        "leaky_relu": functional.leaky_relu,
        "softmax": lambda z: z.softmax(dim=1),
        **{name: getattr(functional, name) for name in ("elu", "gelu", "silu", "softplus")},
        **{name: getattr(torch, name) for name in ("relu", "sigmoid", "tanh", "exp")},
    }
    weights, biases = (
        [torch.tensor(a, requires_grad=True) for a in arrays] for arrays in net.get_weights()
    )
    z, t = torch.tensor(x, requires_grad=True), torch.tensor(y)
    samples = z
    own = net.activations[-1] in LOSSES_INFO[net.loss].inner
    for i, weight in enumerate(weights):
        z = z @ weight
        if biases:
            z = z + biases[i]
        if not (own and i == len(weights) - 1):
            z = functions[net.activations[i]](z)
    loss = torch_loss(functional, net, z, t)
    loss.backward()
    return loss.item(), [p.grad.numpy() for p in (*weights, *biases, samples)]


@pytest.fixture(scope="module")
def torch():
    return pytest.importorskip("torch")


@cases
@biased
def test_torch_autograd(torch, loss, hidden, output, bias):
    net = make_net(loss, hidden, output, bias=bias)
    x, y = make_samples(loss, ROWS, INPUTS, OUTPUTS)
    value, dw, db = net.gradients(x, y)
    expected, gradients = torch_gradients(torch, net, x, y)
    np.testing.assert_allclose(value, expected, rtol=1e-12)
    assert_close([*dw, *db, net.input_gradient(x, y)], gradients, 1e-11)


def test_torch_autograd_with_labels(torch):
    net = make_net("softmax_cross_entropy", ("relu", "tanh"), None)
    x, y = make_samples(net.loss, ROWS, INPUTS, OUTPUTS, labels=True)
    value, dw, db = net.gradients(x, y)
    expected, gradients = torch_gradients(torch, net, x, y)
    np.testing.assert_allclose(value, expected, rtol=1e-12)
    assert_close([*dw, *db, net.input_gradient(x, y)], gradients, 1e-11)


@pytest.mark.parametrize(("dtype", "relative"), [("float64", 1e-12), ("float32", 1e-5)])
@pytest.mark.parametrize("rows", [1, 17, 512, 513, 1100])
@pytest.mark.parametrize("loss", LOSSES)
def test_many_rows(loss, rows, dtype, relative):
    net = make_net(loss, ("tanh", "sigmoid"), None, dtype=dtype)
    x, y = make_samples(loss, rows, INPUTS, OUTPUTS)
    value, dw, db = net.gradients(x, y)
    numpy_net = NumpyMLP(net)
    assert value == pytest.approx(numpy_net.mean_loss(x, y), rel=relative)
    assert all(g.dtype == net.dtype for g in (*dw, *db))
    assert_close([*dw, *db], numpy_net.gradients(x, y), relative)


def test_derivative_of_relu_at_its_kink_is_zero():
    net = pynn.MLP([2, 4, 1], loss="mse", dtype="float64", seed=0)
    _, dw, db = net.gradients(np.zeros((3, 2)), np.ones(3))  # every hidden unit is exactly at 0
    assert not dw[0].any()
    assert not db[0].any()
    assert db[1][0] == -2


def test_gradients_change_nothing_and_are_new_arrays():
    net = make_net("mse", ("relu",), None)
    x, y = make_samples("mse", ROWS, INPUTS, OUTPUTS)
    before, state = net.get_weights(), net.rng.bit_generator.state
    first = net.gradients(x, y)
    first[1][0][...] = np.nan
    second = net.gradients(x, y)
    assert np.isfinite(second[1][0]).all()
    np.testing.assert_equal(net.get_weights(), before)
    assert net.rng.bit_generator.state == state
