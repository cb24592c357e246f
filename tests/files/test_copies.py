"""Copies by copy and pickle: their own parameters, and their optimizer without other networks."""

import copy
import gc
import pickle
import threading
import weakref

import numpy as np
import pytest
from model_files import trained
from numpy_mlp import assert_same_bits, make_samples, parameters_of

import pynn

X, Y = make_samples("mse", 30, 4, 3)
KINDS = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    **{
        f"pickle-{p}": lambda net, p=p: pickle.loads(pickle.dumps(net, protocol=p))
        for p in range(2, pickle.HIGHEST_PROTOCOL + 1)
    },
}


@pytest.fixture(params=KINDS.values(), ids=list(KINDS))
def copied(request):
    return request.param


OPTIMIZERS = [
    lambda: pynn.SGD(0.05),
    lambda: pynn.SGD(0.05, momentum=0.9),
    lambda: pynn.Adam(0.01),
    lambda: pynn.RMSprop(0.01),
]


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_training_goes_on_exactly(copied, optimizer):
    net = trained(optimizer())
    twin = copied(net)
    for each in (net, twin):
        each.fit(X, Y, epochs=2)
    assert_same_bits(twin, net)


def test_neither_trains_the_other(copied):
    net = trained(pynn.Adam(0.01))
    expected = trained(pynn.Adam(0.01))
    expected.fit(X, Y, epochs=3)
    twin = copied(net)
    before = [*parameters_of(twin), *twin.optimizer._states[twin].m]
    net.fit(X, Y, epochs=3)
    assert_same_bits(net, expected)
    assert_same_bits([*parameters_of(twin), *twin.optimizer._states[twin].m], before)
    net.optimizer.learning_rate = 0.5
    assert twin.optimizer.learning_rate == 0.01
    twin.fit(X, Y, epochs=3)
    assert_same_bits(twin, expected)


def test_one_network_does_not_bring_the_other(copied):
    adam = pynn.Adam(0.01)
    a, b = trained(adam), trained(adam, sizes=(4, 300, 300, 3))
    twin = copied(a)
    assert list(twin.optimizer._states) == [twin]
    assert set(adam._states) == {a, b}
    assert twin.optimizer is not adam
    assert len(pickle.dumps(a)) < len(pickle.dumps(b)) / 10


def test_an_optimizer_by_itself_still_brings_its_networks():
    adam = pynn.Adam(0.01)
    net = trained(adam)
    twin_net, twin = pickle.loads(pickle.dumps((net, adam)))
    assert list(twin._states) == [twin_net]


def test_a_network_and_its_optimizer_share_the_state(copied):
    """Copied together, either of the two continues the training."""
    if copied is copy.copy:
        pytest.skip("copies the pair itself")
    adam = pynn.Adam(0.01)
    net = trained(adam)
    for first in (True, False):
        twin, its = copied((net, adam)) if first else reversed(copied((adam, net)))
        twin.train_on_batch(X, Y, its)
        twin.fit(X, Y, epochs=1)
        expected = copy.deepcopy(net)
        expected.train_on_batch(X, Y, expected.optimizer)
        expected.fit(X, Y, epochs=1)
        assert_same_bits(twin, expected)


def test_networks_that_share_an_optimizer():
    adam = pynn.Adam(0.01)
    nets = [trained(adam), trained(adam, seed=1)]
    for twin, net in zip(copy.deepcopy(nets), nets, strict=True):
        expected = copy.deepcopy(net)
        for each in (twin, expected):
            each.fit(X, Y, epochs=1)
        assert_same_bits(twin, expected)


class Named(pynn.MLP):
    pass


def test_a_shallow_copy_shares_what_training_leaves_alone():
    net = Named([4, 3], loss="mse", seed=0)
    net.fit(X, Y, epochs=1)
    net.notes = ["made in autumn"]
    twin = copy.copy(net)
    assert type(twin) is Named
    assert twin.notes is net.notes
    assert copy.deepcopy(net).notes is not net.notes
    for name in ("rng", "history", "optimizer"):
        assert getattr(twin, name) is not getattr(net, name), name
    assert twin._engine.rng_position is not net._engine.rng_position
    assert not np.shares_memory(twin.weights[0], net.weights[0])


def test_copies_are_set_free(copied):
    net = trained(pynn.Adam(0.01))
    twin = copied(net)
    twin.fit(X, Y, epochs=1)
    reference, memory = weakref.ref(twin), weakref.ref(twin._engine.parameters)
    del twin
    gc.collect()
    assert reference() is None
    assert memory() is None


def test_a_network_in_a_cycle():
    net = trained(pynn.Adam(0.01))
    net._itself = [net]
    for twin in (pickle.loads(pickle.dumps(net)), copy.deepcopy(net)):
        assert twin._itself[0] is twin
        assert_same_bits(twin, net)


def test_a_loaded_rate_that_is_unknown_can_be_pickled(tmp_path):
    trained(pynn.SGD(lambda step: 0.1)).save(tmp_path / "net")
    twin = pickle.loads(pickle.dumps(pynn.load(tmp_path / "net")))
    with pytest.raises(ValueError, match="pass an optimizer"):
        twin.fit(X, Y)


def test_while_another_thread_trains(copied):
    """In a callback the state is that of a whole step, for other threads, too."""
    net = pynn.MLP([4, 3], loss="mse", seed=0)
    inside, done = threading.Event(), threading.Event()
    twins = []

    def pause(net, history):
        twins.append(copied(net))
        inside.set()
        done.wait(20)

    thread = threading.Thread(target=net.fit, args=(X, Y), kwargs={"callbacks": pause, "epochs": 1})
    thread.start()
    try:
        assert inside.wait(20)
        twins.append(copied(net))
    finally:
        done.set()
        thread.join()
    for twin in twins:
        assert_same_bits(twin, net)
