"""Gradients of each layer, alone and between others, against torch's autograd and differences."""

import layer_nets as nets
import numpy as np
import pytest
import reference

import pynn
from pynn import layers as L

torch = pytest.importorskip("torch")

# One row, two, ragged ones; 600 reach beyond the first piece of 512 samples.
ROWS = (1, 2, 7, 64, 600)


def assert_close(actual, expected, name):
    bound = 1e-10 * np.maximum(1, abs(expected))
    np.testing.assert_array_less(abs(actual - expected), bound, err_msg=name, strict=False)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("name", nets.NETS)
def test_torch_agrees(name, training):
    net = nets.make(name)
    tokens = isinstance(net.layers[0], L.Embedding)
    for n in ROWS:
        x, y = nets.samples(net, n), nets.values(net, n)
        parameters = nets.tensors(net)
        inputs = torch.tensor(x, requires_grad=not tokens)
        outputs = nets.forward(net, parameters, inputs, training=training)
        expected = outputs.detach().numpy()
        assert_close(net(x, training=training), expected, "outputs")
        loss = ((outputs - torch.tensor(y)) ** 2).mean()
        loss.backward()
        own_loss, gradients = net.gradients(x, y, training=training)
        assert own_loss == pytest.approx(loss.item(), rel=1e-12)
        assert tuple(gradients) == net.trainable_parameters
        for key, gradient in gradients.items():
            assert_close(gradient, parameters[key].grad.numpy(), key)
        if not tokens:
            dx = net.input_gradient(x, y, training=training)
            assert_close(dx, inputs.grad.numpy(), "input")
        check_backward(net, x, parameters, inputs, training)


def check_backward(net, x, parameters, inputs, training):
    """The gradient of any function of the outputs."""
    dout = nets.values(net, len(x), seed=2)
    for tensor in (*parameters.values(), inputs):
        tensor.grad = None
    nets.forward(net, parameters, inputs, training=training).backward(torch.tensor(dout))
    before = net.state_dict()
    dx, gradients = net.backward(dout, x, training=training, parameters=True)
    for key, gradient in gradients.items():
        assert_close(gradient, parameters[key].grad.numpy(), key)
    if inputs.requires_grad:
        assert_close(dx, inputs.grad.numpy(), "input")
        reference.assert_same_bits(dx, net.backward(dout, x, training=training))
    else:
        assert dx is None
    net.load_state_dict(before)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("name", nets.NETS)
def test_central_differences_agree(name, training):
    net = nets.make(name)
    x, y = nets.samples(net, 5), nets.values(net, 5)
    _, gradients = net.gradients(x, y, training=training)

    def loss_at(array, place):
        def loss(value):
            array[place] = value
            return net.gradients(x, y, training=training)[0]

        before = np.array(array[place])
        gradient = reference.central_difference(lambda v: loss(v[()]), before)
        array[place] = before
        return gradient

    rng = np.random.default_rng(0)
    places = [(net.parameters[key], gradients[key]) for key in gradients]
    if x.dtype.kind == "f":
        places.append((x, net.input_gradient(x, y, training=training)))
    for array, gradient in places:
        indices = list(np.ndindex(array.shape))
        for i in rng.permutation(len(indices))[:6]:
            np.testing.assert_allclose(
                gradient[indices[i]], loss_at(array, indices[i]), rtol=1e-6, atol=1e-6
            )


def test_dropout_has_its_masks_gradient():
    """Values dropped have no gradient, the others the factor; a residual's two ways add up."""
    net = pynn.Sequential(
        [L.Residual([L.Dropout(0.4)]), L.Dropout(0.25), L.Dense(1, bias=False)],
        6, loss="mse", dtype="float64", seed=0,
    )  # fmt: skip
    net.parameters["2.kernel"] = 1.0
    x = np.random.default_rng(0).standard_normal((600, 6))
    dx = net.backward(np.ones((600, 1)), x, training=True)
    factors = np.unique(dx.round(12))
    np.testing.assert_allclose(factors, [0, 4 / 3, 4 / 3 * (1 + 5 / 3)], atol=1e-12)
    np.testing.assert_allclose(net(x, training=True), (dx * x).sum(1, keepdims=True), atol=1e-12)
    np.testing.assert_allclose(net.backward(np.ones((600, 1)), x), np.full_like(x, 2.0))
