"""Copies of networks and optimizers, by pickle and by copy."""

import copy
import pickle

import numpy as np
import pytest
from numpy_mlp import LOSSES, assert_same_bits, make_samples, parameters_of

import pynn

COPIES = {
    "deepcopy": copy.deepcopy,
    **{
        f"pickle-{p}": lambda x, p=p: pickle.loads(pickle.dumps(x, protocol=p))
        for p in range(2, pickle.HIGHEST_PROTOCOL + 1)
    },
}
copies = pytest.mark.parametrize("copied", COPIES.values(), ids=list(COPIES))
OPTIONS = {"epochs": 2, "batch_size": 7}


def make(loss="mse", dtype="float32", **options):
    net = pynn.MLP([4, 6, 5, 3], ["relu", "tanh"], loss, dtype=dtype, seed=0, **options)
    x, y = make_samples(loss, 30, 4, 3)
    net.fit(x, y, **OPTIONS)
    return net, x, y


@copies
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("bias", [True, False])
def test_round_trip(copied, loss, dtype, bias):
    net, x, y = make(loss, dtype, bias=bias)
    twin = copied(net)
    assert repr(twin) == repr(net)
    assert (twin.layer_sizes, twin.activations) == (net.layer_sizes, net.activations)
    assert twin.history.to_dict() == net.history.to_dict()
    assert_same_bits(twin, net)
    np.testing.assert_array_equal(twin(x), net(x))
    for each in (net, twin):  # the same order of the mini-batches too
        each.fit(x, y, **OPTIONS)
    assert_same_bits(twin, net)


@pytest.mark.parametrize("copied", [*COPIES.values(), copy.copy], ids=[*COPIES, "copy"])
def test_the_copys_weights_are_its_own_and_live(copied):
    net, x, y = make()
    twin, before, outputs = copied(net), parameters_of(net), net(x)
    assert all(w.ctypes.data % 8 == 0 for w in twin.weights)
    view = twin.weights[0]
    twin.fit(x, y, epochs=1)
    view[...] += 1
    assert_same_bits(net, before)
    np.testing.assert_array_equal(net(x), outputs)
    assert np.abs(twin(x) - outputs).max() > 1e-3
    assert np.shares_memory(view, twin.weights[0])


def test_a_copy_survives_its_original():
    net, x, _ = make()
    expected, twin = net(x), copy.copy(net)
    del net
    np.testing.assert_array_equal(twin(x), expected)


def test_attributes_of_subclasses_go_along():
    net = Named([4, 3], seed=0)
    net.name = "first"
    twin = pickle.loads(pickle.dumps(net))
    assert type(twin) is Named
    assert twin.name == "first"
    assert_same_bits(twin, net)


class Named(pynn.MLP):
    pass


@pytest.mark.parametrize("copied", [*COPIES.values(), copy.copy], ids=[*COPIES, "copy"])
def test_optimizers(copied):
    net, x, y = make()
    sgd = pynn.SGD(0.05, momentum=0.5, nesterov=True)
    net.fit(x, y, epochs=1, optimizer=sgd)
    twin = copied(sgd)
    assert repr(twin) == repr(sgd)
    net.train_on_batch(x, y, twin)


@copies
def test_a_network_and_its_optimizer_together(copied):
    net, x, y = make()
    sgd = pynn.SGD(0.05, momentum=0.5)
    net.fit(x, y, **OPTIONS, optimizer=sgd)
    twin, twin_sgd = copied((net, sgd))
    for each, optimizer in ((net, sgd), (twin, twin_sgd)):
        each.fit(x, y, **OPTIONS, optimizer=optimizer)
    assert_same_bits(twin, net)


def test_what_earlier_versions_pickled():
    """They kept the samples of the last call, and of the loss only the name."""
    net = pynn.MLP([4, 6, 3], loss=pynn.Huber(0.5), seed=0)
    x, y = make_samples("huber", 30, 4, 3)
    net.fit(x, y, **OPTIONS)
    state = net.__getstate__()
    state |= {"loss": "huber", "_last_input": x}
    del state["_targets_1d"]
    other = pynn.MLP.__new__(pynn.MLP)
    other.__setstate__(state)
    assert (other.loss, repr(other)) == (pynn.Huber(0.5), repr(net))
    assert not any(value is x for value in vars(other).values())
    assert_same_bits(net, other)
    assert_same_bits(net, copy.deepcopy(other))
