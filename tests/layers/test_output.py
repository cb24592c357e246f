"""The output of a network of layers is that of the same `MLP`, whatever the loss."""

import numpy as np
import pytest

import pynn
from pynn import layers as L

OUTPUTS = [
    ("softmax_cross_entropy", None),
    ("sigmoid_cross_entropy", None),
    ("squared_error", None),
    ("squared_error", "sigmoid"),
    ("mse", "softmax"),
    ("mae", "tanh"),
    ("poisson", None),
    ("poisson", "exp"),
    ("poisson", "softplus"),
]


@pytest.mark.parametrize("inside", [False, True])
@pytest.mark.parametrize(("loss", "output"), OUTPUTS)
def test_output_and_loss_are_those_of_an_mlp(loss, output, inside):
    """The function may also stand in the last layer."""
    mlp = pynn.MLP([4, 3], loss=loss, output_activation=output, dtype="float64", seed=0)
    layers = [L.Dense(3, output if inside else None)]
    given = None if inside else output
    net = pynn.Sequential(layers, 4, loss, given, dtype="float64", seed=1)
    net.parameters["0.kernel"] = mlp.weights[0]
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(9, 4)), rng.integers(0, 2, size=(9, 3)).astype(float)
    if loss == "softmax_cross_entropy":
        y = np.arange(9) % 3
    np.testing.assert_array_equal(net(X), mlp(X))
    expected, dW, db = mlp.gradients(X, y)
    result, gradients = net.gradients(X, y)
    assert result == expected
    np.testing.assert_array_equal(gradients["0.kernel"], dW[0])
    np.testing.assert_array_equal(gradients["0.bias"], db[0])
