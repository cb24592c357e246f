"""The attributes of a network, and which of them may be set."""

import copy
import pickle

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy_mlp import assert_same_bits, make_samples, parameters_of

import pynn
from pynn.losses import LOSSES
from pynn.ops import ACTIVATIONS

X, Y = make_samples("softmax_cross_entropy", 12, 4, 3, labels=True)
FIXED = {
    "layer_sizes": (4, 5, 3),
    "activations": ("relu", "softmax"),
    "dtype": np.dtype("float32"),
    "loss": "softmax_cross_entropy",
    "dropout": (0.0, 0.0),
    "l1": (0.0, 0.0),
    "l2": (0.0, 0.0),
    "max_norm": (0.0, 0.0),
}


def make(**options):
    return pynn.MLP([4, 5, 3], seed=0, **options)


@pytest.mark.parametrize("name", FIXED)
@pytest.mark.parametrize("kind", ["as made", "copied", "unpickled", "half a copy"])
def test_read_only(name, kind):
    net = make()
    if kind == "copied":
        net = copy.deepcopy(net)
    elif kind == "unpickled":
        net = pickle.loads(pickle.dumps(net))
    elif kind == "half a copy":
        net = pynn.MLP.__new__(pynn.MLP)
        with pytest.raises(AttributeError, match=f"no attribute '{name}'"):
            getattr(net, name)
        return
    assert getattr(net, name) == FIXED[name]
    before, config = parameters_of(net), net._config()
    for value in (FIXED[name], 1e-3, None):
        with pytest.raises(AttributeError, match=rf"MLP\.{name} is read-only.*set_weights"):
            setattr(net, name, value)
    with pytest.raises((AttributeError, TypeError)):
        delattr(net, name)
    assert getattr(net, name) == FIXED[name]
    assert net._config() == config
    assert_same_bits(net, before)


@pytest.mark.parametrize("name", ["weights", "biases"])
def test_views(name):
    net = make()
    views = getattr(net, name)
    assert isinstance(views, tuple)
    with pytest.raises(AttributeError, match=rf"MLP\.{name} is read-only.*net\.{name}\[0\]"):
        setattr(net, name, views)
    with pytest.raises(TypeError, match="item assignment"):
        views[0] = views[0] * 2
    before = net(X)
    views[1][...] += 1.0
    assert (net(X) != before).any()
    assert all(np.shares_memory(a, b) for a, b in zip(views, getattr(net, name), strict=True))


def test_a_subclass_has_them_read_only_too():
    class Own(pynn.MLP):
        pass

    net = Own([4, 5, 3], seed=0)
    with pytest.raises(AttributeError, match=r"Own\.l2 is read-only"):
        net.l2 = 1e-3


LOSS_VALUES = [
    (pynn.SoftmaxCrossEntropy(), "softmax_cross_entropy"),
    (pynn.SoftmaxCrossEntropy(0.1), None),
    (pynn.SigmoidCrossEntropy(), "sigmoid_cross_entropy"),
    (pynn.SigmoidCrossEntropy(label_smoothing=0.2), None),
    (pynn.Huber(1.0), "huber"),
    (pynn.Huber(0.5), None),
    (pynn.Pinball(), "pinball"),
    (pynn.Pinball(0.9), None),
    (pynn.Pinball([0.1, 0.5, 0.9]), None),
    *((name, name) for name in LOSSES),
]


@pytest.mark.parametrize(("loss", "name"), LOSS_VALUES, ids=str)
def test_the_loss_is_its_name_or_has_its_parameters(loss, name):
    net = make(loss=loss)
    for each in (net, copy.copy(net), pickle.loads(pickle.dumps(net))):
        assert each.loss == (loss if name is None else name)
        assert type(each.loss) is (type(loss) if name is None else str)
    again = make(loss=net.loss)
    assert again._config() == net._config()


# ------------------------------------------------------------------------ repr

NAMESPACE = {"MLP": pynn.MLP, **{k: getattr(pynn, k) for k in
             ("SoftmaxCrossEntropy", "SigmoidCrossEntropy", "Huber", "Pinball")}}  # fmt: skip
rates = st.floats(0, 0.9)
sizes_of_numbers = st.floats(0, 1e6)


@st.composite
def configurations(draw):
    sizes = draw(st.lists(st.integers(1, 6), min_size=2, max_size=5))
    count, outputs = len(sizes) - 1, sizes[-1]
    one_or_each = {
        name: st.one_of(value, st.lists(value, min_size=count, max_size=count))
        for name, value in (
            ("dropout", rates),
            ("l1", sizes_of_numbers),
            ("l2", sizes_of_numbers),
            ("max_norm", sizes_of_numbers),
        )
    }
    smoothing = st.floats(0, 0.9)
    fraction = st.floats(0.01, 0.99)
    losses = [
        st.sampled_from([n for n in LOSSES if outputs > 1 or n != "softmax_cross_entropy"]),
        st.builds(pynn.SigmoidCrossEntropy, smoothing),
        st.builds(pynn.Huber, st.floats(0.01, 100)),
        st.builds(pynn.Pinball, fraction),
        st.builds(pynn.Pinball, st.lists(fraction, min_size=outputs, max_size=outputs)),
    ]
    if outputs > 1:
        losses.append(st.builds(pynn.SoftmaxCrossEntropy, smoothing))
    loss = draw(st.one_of(losses))
    name = loss if isinstance(loss, str) else loss.name
    fitting = [o for o in LOSSES[name].outputs if outputs > 1 or o != "softmax"]
    activation = st.sampled_from(ACTIVATIONS)
    return {
        "layer_sizes": sizes,
        "activation": draw(
            st.one_of(activation, st.lists(activation, min_size=count - 1, max_size=count - 1))
        ),
        "loss": loss,
        "output_activation": draw(st.one_of(st.none(), st.sampled_from(fitting))),
        "bias": draw(st.booleans()),
        "dtype": draw(st.sampled_from(["float32", "float64"])),
        **{name: draw(value) for name, value in one_or_each.items()},
    }


@settings(max_examples=200, deadline=None)
@given(configurations())
@example({"layer_sizes": [4, 3], "dropout": 0.5})
@example({"layer_sizes": [4, 3], "dropout": [0.5]})
@example({"layer_sizes": [4, 3, 2], "dropout": [0.5, 0.5]})
@example({"layer_sizes": [4, 3, 2], "dropout": [0.5, 0.0]})
@example({"layer_sizes": [4, 3, 2], "max_norm": None, "l2": 1 / 3})
def test_the_representation_makes_such_a_network_again(configuration):
    net = pynn.MLP(**configuration, seed=0)
    again = eval(repr(net), dict(NAMESPACE))
    assert again._config() == net._config()
    assert type(again) is pynn.MLP
    assert repr(again) == repr(net)
    for name in FIXED:
        assert getattr(again, name) == getattr(net, name)


def test_the_representation_says_only_what_is_no_default():
    assert repr(make()) == (
        "MLP([4, 5, 3], activation='relu', loss='softmax_cross_entropy', dtype='float32')"
    )
    net = pynn.MLP(
        [4, 5, 3], ["tanh"], pynn.Huber(0.5), "sigmoid", dropout=0.1, l2=0.25, max_norm=3,
        bias=False, dtype="float64", seed=0,
    )  # fmt: skip
    assert repr(net) == (
        "MLP([4, 5, 3], activation='tanh', loss=Huber(delta=0.5), output_activation='sigmoid', "
        "dropout=0.1, l2=0.25, max_norm=3.0, bias=False, dtype='float64')"
    )


# --------------------------------------------------------------------- setters

BAD = [
    ("rng", None, "must be a numpy.random.Generator"),
    ("rng", 3, "must be a numpy.random.Generator"),
    ("rng", np.random.RandomState(0), "must be a numpy.random.Generator"),
    ("history", {}, "must be a History or None"),
    ("history", [], "must be a History or None"),
    ("optimizer", 0.1, "optimizer must be a name such as 'adam'"),
    ("optimizer", pynn.Adam, r"pass an object, pynn\.Adam\(\)"),
]


@pytest.mark.parametrize(("name", "value", "message"), BAD)
def test_bad_values(name, value, message):
    net = make()
    net.fit(X, Y, epochs=1)
    before = getattr(net, name)
    with pytest.raises(TypeError, match=message):
        setattr(net, name, value)
    assert getattr(net, name) is before


def test_the_generator_that_is_set_draws_the_order():
    net, twin = make(), make()
    net.rng = np.random.default_rng(5)
    for epoch_order in [np.random.default_rng(5).permutation(len(X))]:
        twin.fit(X[epoch_order], Y[epoch_order], epochs=1, batch_size=4, shuffle=False)
    net.fit(X, Y, epochs=1, batch_size=4)
    assert_same_bits(net, twin)


def test_the_optimizer_that_is_set_goes_on():
    net, twin, sgd = make(), make(), pynn.SGD(0.1, momentum=0.9)
    net.optimizer = sgd
    assert net.optimizer is sgd
    net.fit(X, Y, epochs=2)
    twin.fit(X, Y, epochs=2, optimizer=pynn.SGD(0.1, momentum=0.9))
    assert_same_bits(net, twin)
    net.optimizer = "adam"
    assert repr(net.optimizer) == repr(pynn.Adam())
    net.optimizer = None
    net.fit(X, Y, epochs=1)
    twin.fit(X, Y, epochs=1, optimizer=pynn.Adam())
    assert_same_bits(net, twin)


def test_the_history_may_be_set():
    net = make()
    assert net.history is None
    history = net.fit(X, Y, epochs=2)
    assert net.history is history
    net.history = None
    assert net.history is None
    net.history = history
    assert pickle.loads(pickle.dumps(net)).history.loss == history.loss
