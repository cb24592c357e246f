"""Frozen parameters by layer, index, nested name and parameter."""

import numpy as np
import pytest
from reference import assert_same_bits

import pynn
from pynn import layers as L

rng = np.random.default_rng(0)
X, Y = rng.standard_normal((40, 3, 4)), rng.standard_normal((40, 3, 2))
LAYERS = [
    L.Dense(6, max_norm=0.5, l2=0.1),
    L.BatchNorm(0.5, name="norm"),
    L.Residual([L.Dense(5, "tanh", name="inner"), L.LayerNorm(), L.Dense(3)], name="block"),
    L.RBF(4),
    L.PositionEmbedding(),
    L.Dense(2),
]
CHOICES = {
    0: ("0.kernel", "0.bias"),
    "0": ("0.kernel", "0.bias"),
    "0.kernel": ("0.kernel",),
    "0.bias": ("0.bias",),
    "norm": ("norm.gamma", "norm.beta"),
    "norm.gamma": ("norm.gamma",),
    "norm.beta": ("norm.beta",),
    "block.inner": ("block.inner.kernel", "block.inner.bias"),
    "block.1": ("block.1.gamma", "block.1.beta"),
    "block.1.gamma": ("block.1.gamma",),
    "block.1.beta": ("block.1.beta",),
    "block.projection": ("block.projection.kernel", "block.projection.bias"),
    3: ("3.centers", "3.widths"),
    "3.centers": ("3.centers",),
    "3.widths": ("3.widths",),
    4: ("4.embeddings",),
    5: ("5.kernel", "5.bias"),
}


def make(dtype="float64"):
    return pynn.Sequential(LAYERS, (3, 4), loss="mse", dtype=dtype, seed=0)


def optimizers():
    return [
        pynn.SGD(0.1),
        pynn.Adam(0.01),
        pynn.AdamW(0.01),
        pynn.RMSprop(0.01, momentum=0.5),
        pynn.SGD(0.1, clip_norm=0.1),
    ]


@pytest.mark.parametrize("name", CHOICES)
def test_frozen_parameters_keep_their_bits(name):
    """The others move, by every optimizer, in a fit and by gradients that are applied."""
    for optimizer in optimizers():
        net = make()
        net.set_trainable(name, False)
        trained = [key for key in make().trainable_parameters if key not in CHOICES[name]]
        assert list(net.trainable_parameters) == trained
        before = net.state_dict()
        for step in range(2):
            if step == 0:
                net.fit(X, Y, epochs=1, batch_size=16, optimizer=optimizer)
            else:
                _, gradients = net.gradients(X, Y, training=True)
                assert list(gradients) == trained
                optimizer.apply_gradients(net, gradients)
            for key in CHOICES[name]:
                assert_same_bits(net.parameters[key], before[key])
            for key in trained:
                assert (net.parameters[key] != before[key]).any(), key
        net.set_trainable(name, True)
        assert net.trainable_parameters == make().trainable_parameters
        net.fit(X, Y, epochs=1, optimizer=optimizer)
        for key in CHOICES[name]:
            assert (net.parameters[key] != before[key]).any(), key


def test_gradients_of_the_others_do_not_change():
    whole = make().gradients(X, Y)[1]
    for name, frozen in CHOICES.items():
        net = make()
        net.set_trainable(name, False)
        for key, gradient in net.gradients(X, Y)[1].items():
            assert key not in frozen
            assert_same_bits(gradient, whole[key])


def test_a_frozen_batch_norm_uses_its_running_statistics():
    net = make()
    net.fit(X, Y, epochs=2)
    net.set_trainable("norm", False)
    before = net.state_dict()
    assert_same_bits(net(X, training=True), net(X))
    assert_same_bits(
        net.gradients(X, Y, training=True)[1]["0.kernel"], net.gradients(X, Y)[1]["0.kernel"]
    )
    net.fit(X, Y, epochs=2)
    for of in ("gamma", "beta", "moving_mean", "moving_variance"):
        assert_same_bits(net.parameters[f"norm.{of}"], before[f"norm.{of}"])
    # With one of the two it still normalizes by the mini-batch.
    net.set_trainable("norm.beta", True)
    assert (net(X, training=True) != net(X)).any()


def test_frozen_layers_survive_copies_and_files(tmp_path):
    import copy
    import pickle

    net = make()
    net.set_trainable("norm", False)
    net.set_trainable("block.inner.bias", False)
    net.save(tmp_path / "net.npz")
    others = [copy.deepcopy(net), pickle.loads(pickle.dumps(net)), pynn.load(tmp_path / "net.npz")]
    for other in others:
        assert other.trainable_parameters == net.trainable_parameters
        before = other.state_dict()
        other.fit(X, Y, epochs=1)
        for key in ("norm.gamma", "norm.moving_mean", "block.inner.bias"):
            assert_same_bits(other.parameters[key], before[key])


def test_everything_frozen():
    """There are no gradients then, and training, which would change nothing, is an error."""
    net = make()
    for i in ("0", "norm", "block", "3", "4", "5"):
        net.set_trainable(i, False)
    before = net.state_dict()
    assert net.trainable_parameters == ()
    assert net.gradients(X, Y)[1] == {}
    for train in (net.fit, net.train_on_batch):
        with pytest.raises(ValueError, match="all parameters are frozen"):
            train(X, Y)
    for key, array in net.parameters.items():
        assert_same_bits(array, before[key])
    net.set_trainable("5", True)
    net.fit(X, Y, epochs=1)


def test_max_norm_binds_each_layer_by_itself():
    net = pynn.Sequential(
        [L.Dense(6, max_norm=0.3), L.Dense(5, max_norm=0.9), L.Dense(2)], 4, loss="mse", seed=0
    )
    net.fit(X[:, 0], 50 * Y[:, 0], epochs=3, optimizer=pynn.SGD(0.01))
    lengths = [np.linalg.norm(net.parameters[f"{i}.kernel"], axis=0) for i in range(3)]
    assert (lengths[0] <= 0.3 * (1 + 1e-6)).all()
    assert (lengths[1] <= 0.9 * (1 + 1e-6)).all()
    assert lengths[1].max() > 0.85
    assert lengths[2].max() > 0.9


@pytest.mark.parametrize("penalties", [{"l1": 0.3}, {"l2": 0.2}, {"l1": 0.1, "l2": 0.4}])
def test_penalties_of_each_layer(penalties):
    layers = [L.Dense(6, "tanh", **penalties), L.Residual([L.Dense(6, **penalties)]), L.Dense(2)]
    plain = [L.Dense(6, "tanh"), L.Residual([L.Dense(6)]), L.Dense(2)]
    net, other = (
        pynn.Sequential(each, 4, loss="mse", dtype="float64", seed=0) for each in (layers, plain)
    )
    l1, l2 = penalties.get("l1", 0), penalties.get("l2", 0)
    loss, gradients = net.gradients(X[:, 0], Y[:, 0])
    expected, plain_gradients = other.gradients(X[:, 0], Y[:, 0])
    for key in ("0.kernel", "1.0.kernel"):
        w = net.parameters[key]
        expected += l1 * abs(w).sum() + l2 / 2 * (w**2).sum()
        plain_gradients[key] = plain_gradients[key] + l1 * np.sign(w) + l2 * w
    assert loss == pytest.approx(expected)
    for key, gradient in gradients.items():
        np.testing.assert_allclose(gradient, plain_gradients[key], rtol=0, atol=1e-13)


@pytest.mark.parametrize(
    "name", ["nrom", 9, -7, "0.weight", "block.9", "", "norm.moving_mean", 1.5, None]
)
def test_unknown_names(name):
    net = make()
    with pytest.raises((ValueError, TypeError), match=r"parameter|index"):
        net.set_trainable(name, False)
    assert net.trainable_parameters == make().trainable_parameters


def test_indices_from_the_end():
    net = make()
    net.set_trainable(-1, False)
    assert "5.kernel" not in net.trainable_parameters
