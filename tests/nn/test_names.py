"""Names that users of Keras, torch and scikit-learn type. Those with the same meaning train to the
bits of pynn's names; the others are errors that name the right one."""

import numpy as np
import pytest
from numpy_mlp import assert_same_bits, make_samples

import pynn

VALUES = make_samples("mse", 24, 4, 3)


def trained(loss="mse", outputs=3, fit=None, **options):
    """A network after a few steps, which every part of its definition shapes."""
    net = pynn.MLP([4, 5, 6, outputs], **{"activation": "tanh", "seed": 0, **options}, loss=loss)
    name = net._engine.loss.name
    if name == "sigmoid_cross_entropy" and outputs == 1:
        x, y = make_samples(name, 24, 4, 1, labels=True)
    else:
        x, y = make_samples(name, 24, 4, outputs)
    net.fit(x, y, **{"epochs": 2, "batch_size": 8, "optimizer": pynn.SGD(0.05), **(fit or {})})
    return net


# ------------------------------------------------------------------ accepted

ACTIVATIONS = {
    "identity": ["linear", "Identity", "LINEAR"],
    "relu": ["ReLU", "RELU", "Relu", "re_lu", pynn.relu],
    "leaky_relu": ["LeakyReLU", "leaky-relu", "leakyrelu", pynn.leaky_relu],
    "elu": ["ELU", pynn.elu],
    "gelu": ["GELU", pynn.gelu],
    "silu": ["swish", "SiLU", "Swish", pynn.silu],
    "softplus": ["Softplus", "soft_plus", pynn.softplus],
    "sigmoid": ["logistic", "Sigmoid", pynn.sigmoid],
    "tanh": ["Tanh", "TANH", pynn.tanh],
}
OUTPUTS = {
    **ACTIVATIONS,
    "exp": ["exponential", "Exp", pynn.ops.__dict__.get("exp", "EXP")],
    "softmax": ["Softmax", "soft_max", pynn.softmax],
}
# Of several outputs.
LOSSES = {
    "softmax_cross_entropy": [
        "SoftmaxCrossEntropy",
        "softmax-cross-entropy",
        "categorical_crossentropy",
        "CategoricalCrossentropy",
        "sparse_categorical_crossentropy",
        "SparseCategoricalCrossentropy",
        "CrossEntropyLoss",
        "cross_entropy",
        "log_loss",
    ],
    "sigmoid_cross_entropy": ["SigmoidCrossEntropy", "sigmoid_crossentropy"],
    "squared_error": ["SquaredError", "squared-error"],
    "mse": ["MSE", "mean_squared_error", "MeanSquaredError", "MSELoss", "mse_loss", pynn.mse],
    "mae": [
        "MAE",
        "mean_absolute_error",
        "MeanAbsoluteError",
        "L1Loss",
        "l1_loss",
        "absolute_error",
        pynn.mae,
    ],
    "huber": ["Huber", "HuberLoss", "huber_loss", "SmoothL1Loss", pynn.huber, pynn.Huber(1.0)],
    "poisson": ["Poisson", pynn.poisson],
    "pinball": ["quantile", "pinball_loss", pynn.pinball, pynn.Pinball(0.5)],
}
BINARY = ["binary_crossentropy", "BinaryCrossentropy", "BCELoss", "BCEWithLogitsLoss", "bce"]
INITIALIZERS = {
    "he_normal": ["he", "HeNormal", "kaiming", "kaiming_normal", "kaiming-normal"],
    "he_uniform": ["HeUniform", "kaiming_uniform"],
    "glorot_normal": ["GlorotNormal", "xavier_normal"],
    "glorot_uniform": ["glorot", "GlorotUniform", "xavier", "xavier_uniform", None],
    "lecun_normal": ["lecun", "LecunNormal"],
    "lecun_uniform": ["LecunUniform"],
    "orthogonal": ["Orthogonal"],
    "zeros": ["Zeros"],
}
OPTIMIZERS = {
    pynn.SGD: ["sgd", "SGD", "Sgd"],
    pynn.Adam: ["adam", "Adam", "ADAM", None],
    pynn.AdamW: ["adamw", "AdamW", "adam_w"],
    pynn.RMSprop: ["rmsprop", "RMSprop", "RMSProp", "rms_prop"],
}


def rows(table):
    return [
        pytest.param(name, other, id=f"{other}")
        for name, others in table.items()
        for other in others
    ]


@pytest.mark.parametrize(("name", "other"), rows(ACTIVATIONS))
def test_activations(name, other):
    own, net = trained(activation=name), trained(activation=other)
    assert net.activations == (name, name, "identity")
    assert_same_bits(net, own)
    mixed = trained(activation=[other, "relu"])
    assert mixed.activations == (name, "relu", "identity")


@pytest.mark.parametrize(("name", "other"), rows(OUTPUTS))
def test_output_activations(name, other):
    own, net = trained(output_activation=name), trained(output_activation=other)
    assert net.activations[-1] == name
    assert_same_bits(net, own)


@pytest.mark.parametrize(("name", "other"), rows(LOSSES))
def test_losses(name, other):
    own, net = trained(name), trained(other)
    assert net.loss == name
    assert_same_bits(net, own)


@pytest.mark.parametrize("other", BINARY)
def test_binary_cross_entropy_of_one_output(other):
    own, net = trained("sigmoid_cross_entropy", 1), trained(other, 1)
    assert net.loss == "sigmoid_cross_entropy"
    assert_same_bits(net, own)


@pytest.mark.parametrize(("name", "other"), rows(INITIALIZERS))
def test_initializers(name, other):
    assert_same_bits(trained(init=other), trained(init=name))


@pytest.mark.parametrize(
    ("make", "other"), [(m, o) for m, others in OPTIMIZERS.items() for o in others]
)
def test_optimizers(make, other):
    own, net = trained(fit={"optimizer": make()}), trained(fit={"optimizer": other})
    assert repr(net.optimizer) == repr(make())
    assert_same_bits(net, own)


def test_names_are_the_libraries_of_today():
    """What Keras and torch call these; a name that they do not have would test nothing."""
    torch = pytest.importorskip("torch")
    for name in ("ReLU", "LeakyReLU", "ELU", "GELU", "SiLU", "Softplus", "Sigmoid", "Tanh",
                 "Identity", "CrossEntropyLoss", "MSELoss", "L1Loss", "HuberLoss", "BCELoss",
                 "SmoothL1Loss", "BCEWithLogitsLoss"):  # fmt: skip
        assert hasattr(torch.nn, name)
    for name in ("SGD", "Adam", "AdamW", "RMSprop"):
        assert hasattr(torch.optim, name)
    for name in ("kaiming_normal_", "kaiming_uniform_", "xavier_normal_", "xavier_uniform_"):
        assert hasattr(torch.nn.init, name)


# ------------------------------------------------------------------- refused


class Foreign:
    """A module of another library, such as ``torch.nn.ReLU()``."""

    def __call__(self, x):
        return x


def named(name):
    return type(name, (Foreign,), {})


def relu(x):
    return x


def of_fit(**options):
    return lambda: pynn.MLP([4, 5, 3], seed=0).fit(*VALUES, **options)


def of_network(outputs=3, **options):
    return lambda: pynn.MLP([4, 5, outputs], **options)


REFUSED = {
    "selu": (of_network(activation="selu"), ValueError, ["activation", "elu", "'selu'"]),
    "mish": (of_network(activation="mish"), ValueError, ["activation", "'mish'", "silu"]),
    "softmax in between": (of_network(activation="softmax"), ValueError, ["'softmax'"]),
    "a typing error": (of_network(activation="rleu"), ValueError, ["did you mean 'relu'?"]),
    "a module": (of_network(activation=named("ReLU")()), TypeError, ["pass the name 'relu'"]),
    "a module's class": (of_network(activation=named("SiLU")), TypeError, ["the name 'silu'"]),
    "a function of others": (of_network(activation=relu), TypeError, ["pass the name 'relu'"]),
    "another function": (of_network(activation=np.sin), TypeError, ["activation", "sin"]),
    "one of a list": (
        of_network(activation=[named("GELU")()]),
        TypeError,
        ["activation[0]", "pass the name 'gelu'"],
    ),
    "a matrix product": (of_network(activation=pynn.matmul), TypeError, ["activation", "relu"]),
    "an output's module": (
        of_network(loss="mse", output_activation=named("Sigmoid")()),
        TypeError,
        ["output_activation", "pass the name 'sigmoid'", "loss='mse'"],
    ),
    "an output that does not fit": (
        of_network(output_activation="logistic"),
        ValueError,
        ["output_activation", "softmax", "'logistic'", "softmax_cross_entropy"],
    ),
    "binary of several": (
        of_network(loss="binary_crossentropy"),
        ValueError,
        ["mean over the outputs", "3", "'sigmoid_cross_entropy'", "'softmax_cross_entropy'"],
    ),
    "BCE of several": (of_network(loss="BCEWithLogitsLoss"), ValueError, ["of which there are 3"]),
    "hinge": (of_network(loss="hinge"), ValueError, ["loss", "softmax_cross_entropy", "'hinge'"]),
    "a loss's class": (of_network(loss=pynn.Pinball), TypeError, ["pass Pinball()"]),
    "a loss's module": (of_network(loss=named("MSELoss")()), TypeError, ["pass the name 'mse'"]),
    "another loss's class": (
        of_network(loss=named("MeanSquaredError")),
        TypeError,
        ["pass the name 'mse'"],
    ),
    "random_normal": (of_network(init="random_normal"), ValueError, ["init", "he_normal"]),
    "an initializer": (
        of_network(init=named("HeUniform")),
        TypeError,
        ["init", "pass the name 'he_uniform'"],
    ),
    "nadam": (of_fit(optimizer="nadam"), ValueError, ["optimizer", "adam, adamw", "'nadam'"]),
    "adagrad": (of_fit(optimizer="adagrad"), ValueError, ["optimizer", "rmsprop", "'adagrad'"]),
    "lbfgs": (of_fit(optimizer="lbfgs"), ValueError, ["adam", "'lbfgs'", "pynn.sklearn"]),
    "L-BFGS": (of_fit(optimizer="L-BFGS"), ValueError, ["pynn.sklearn"]),
    "an optimizer's class": (of_fit(optimizer=pynn.AdamW), TypeError, ["pynn.AdamW()"]),
    "torch's class": (of_fit(optimizer=named("Adam")), TypeError, ["pass pynn.Adam(...)"]),
    "torch's object": (of_fit(optimizer=named("RMSprop")()), TypeError, ["pynn.RMSprop(...)"]),
    "a number": (of_fit(optimizer=0.01), TypeError, ["optimizer", "'adam'", "0.01"]),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_something_else(case):
    call, exception, says = REFUSED[case]
    with pytest.raises(exception) as caught:
        call()
    for word in says:
        assert word in str(caught.value)


def test_objects_of_torch():
    torch = pytest.importorskip("torch")
    for value in (torch.nn.ReLU(), torch.nn.ReLU, torch.relu, torch.nn.functional.relu):
        with pytest.raises(TypeError, match="pass the name 'relu'"):
            pynn.MLP([4, 5, 3], value)
    for value in (torch.nn.MSELoss(), torch.nn.functional.mse_loss):
        with pytest.raises(TypeError, match="pass the name 'mse'"):
            pynn.MLP([4, 5, 3], loss=value)
    for value in (torch.optim.Adam, torch.optim.Adam([torch.zeros(1, requires_grad=True)])):
        with pytest.raises(TypeError, match=r"pass pynn\.Adam\(\.\.\.\)"):
            pynn.MLP([4, 5, 3]).fit(*VALUES, optimizer=value)


def test_names_of_a_type_of_their_own_become_strings():
    net = pynn.MLP([4, 5, 3], np.str_("tanh"), np.str_("mse"), np.str_("relu"))
    assert repr(net) == repr(pynn.MLP([4, 5, 3], "tanh", "mse", "relu"))
    assert {type(name) for name in (net.loss, *net.activations)} == {str}
