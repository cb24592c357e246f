"""What serves every kind of network, with networks of layers: many fits, callbacks, data."""

import copy

import numpy as np
import pytest
from numpy_mlp import make_samples

import pynn
from pynn import layers as L
from pynn.many import fit_many

X, Y = make_samples("softmax_cross_entropy", 90, 4, 3, labels=True)
TOKENS = np.random.default_rng(0).integers(0, 9, size=(60, 5))


def network(seed=0):
    block = L.Residual([L.Dense(6, "relu"), L.Dense(6)], name="block")
    return pynn.Sequential(
        [L.Dense(6, name="first"), L.BatchNorm(0.9), block, L.Dropout(0.2), L.Dense(3)],
        input_shape=4,
        seed=seed,
    )


def tagger(seed=0):
    return pynn.Sequential([L.Embedding(9, 4), L.Dense(2)], input_shape=5, seed=seed)


def assert_same(net, twin):
    assert net.parameters.keys() == twin.parameters.keys()
    for name, array in net.parameters.items():
        np.testing.assert_array_equal(array, twin.parameters[name])


@pytest.mark.parametrize("make", [network, tagger])
def test_many_fits_have_the_bits_of_each_alone(make):
    data = (X, Y) if make is network else (TOKENS, (TOKENS > 4).astype(int))
    options = {"batch_size": 16, "metrics": "accuracy", "validation_split": 0.2}
    nets = [make(i) for i in range(3)]
    with pynn.threads(2):
        result = fit_many(nets, *data, epochs=3, **options)
        fit_many(nets, *data, epochs=2, **options)
    for i, net in enumerate(nets):
        twin = make(i)
        assert twin.fit(*data, epochs=3, **options)["val_loss"] == result.histories[i]["val_loss"]
        twin.fit(*data, epochs=2, **options)
        assert_same(net, twin)


def test_cross_validation_of_both_kinds():
    nets = [network(), pynn.MLP([4, 8, 3], seed=1)]
    before = copy.deepcopy(nets[0])
    result = fit_many(nets, X, Y, epochs=2, cv=3, seed=0)
    assert_same(nets[0], before)
    train, _ = result.folds[1]
    twin = network()
    twin.fit(X[train], Y[train], epochs=2)
    assert_same(result[0][1], twin)
    losses = [
        net.evaluate(X[test], Y[test])["loss"]
        for net, (_, test) in zip(result[0], result.folds, strict=True)
    ]
    assert result.table[0]["test_loss"] == pytest.approx(np.mean(losses))


def test_a_grid_of_layers():
    lists = [[L.Dense(5, "relu"), L.Dense(3)], [L.Dense(4), L.LayerNorm(), L.Dense(3)]]
    grid = {"layers": lists, "learning_rate": [0.1, 0.01], "dtype": ["float64"]}
    result = fit_many(grid, X, Y, epochs=2, seed=7)
    assert [row["layers"] for row in result.table] == [lists[0], lists[0], lists[1], lists[1]]
    for net, arguments in zip(result, result.arguments, strict=True):
        twin = pynn.Sequential(**arguments["model"])
        twin.fit(X, Y, **arguments["fit"])
        assert_same(net, twin)
    images = X[:, :, np.newaxis]
    points = [{"layers": [L.Flatten(), L.Dense(3)]}, {"hidden": 3}]
    with pytest.raises(ValueError, match=r"model 1.*X has shape \(90, 4, 1\)"):
        fit_many(points, images, Y, epochs=1)
    (net,) = fit_many(points[:1], images, Y, epochs=1)
    assert net.input_shape == (4, 1)


def test_arguments_of_given_networks_make_such_networks():
    (arguments,) = fit_many([network()], X, Y, epochs=1).arguments
    assert repr(pynn.Sequential(**arguments["model"])) == repr(network())


@pytest.mark.parametrize(
    ("models", "message"),
    [
        ({"layers": [[L.Dense(3)]], "hidden": [3]}, "models has the key 'hidden'"),
        ({"layers": [[L.Dense(3)]], "l2": [0.1]}, "models has the key 'l2'"),
        ({"hidden": [3], "input_shape": [(4,)]}, "models has the key 'input_shape'"),
        ({"layers": [[L.Dense(3), L.Flatten(), L.Reshape(4)]]}, r"model 0 .*layer 2 \(Reshape\)"),
        ([network(), {"hidden": 3}], r"models\[1\]"),
    ],
)
def test_grids_that_do_not_fit(models, message):
    with pytest.raises((TypeError, ValueError), match=message):
        fit_many(models, X, Y, epochs=1)


def test_layers_in_a_tuple_are_one_value():
    with pytest.raises(TypeError, match=r"must be a list of values to try"):
        fit_many({"layers": (L.Dense(5), L.Dense(3))}, X, Y, epochs=1)


def test_early_stopping_restores_all_parameters():
    """Those that are not trained too."""
    best = {}

    def note(net, history):
        if history["val_loss"][-1] == min(history["val_loss"]):
            best.update(net.state_dict())

    stop, net = pynn.EarlyStopping(patience=3), network()
    net.fit(X, Y, epochs=200, optimizer=pynn.SGD(0.5), validation_split=0.3, callbacks=[stop, note])
    assert stop.stopped_epoch == stop.best_epoch + 3
    assert best["1.moving_mean"].any()
    for name, array in net.parameters.items():
        np.testing.assert_array_equal(array, best[name])


def test_a_checkpoint_continues_with_the_same_bits(tmp_path):
    path, net = tmp_path / "net.npz", network()
    schedule = pynn.SGD(pynn.CosineDecay(0.1, steps=30), momentum=0.9)
    net.fit(X, Y, epochs=3, callbacks=pynn.Checkpoint(path), optimizer=schedule)
    loaded = pynn.load(path)
    assert net.fit(X, Y, epochs=2)["loss"] == loaded.fit(X, Y, epochs=2)["loss"]
    assert_same(net, loaded)


def test_data_of_other_kinds_have_the_same_bits(tmp_path):
    """A memory map, and an iterable of mini-batches with validation data."""
    options = {"epochs": 2, "shuffle": False, "validation_data": (X, Y), "metrics": "top_2"}
    nets = [network() for _ in range(3)]
    mapped = np.memmap(tmp_path / "x", np.float32, "w+", shape=X.shape)
    mapped[:] = X
    plain = nets[0].fit(X.astype(np.float32), Y, batch_size=30, **options)
    nets[1].fit(mapped, Y, batch_size=30, **options)
    batches = [(X[i : i + 30], Y[i : i + 30]) for i in range(0, 90, 30)]
    of_batches = nets[2].fit(batches, **{k: v for k, v in options.items() if k != "shuffle"})
    assert_same(nets[0], nets[1])
    assert_same(nets[0], nets[2])
    assert plain["val_top_2"] == of_batches["val_top_2"]


def test_hidden_by_name():
    net = network()
    h = net.hidden(X, layer="first")
    p = net.parameters
    expected = X @ p["first.kernel"].astype(float) + p["first.bias"]
    np.testing.assert_allclose(h, expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(net.hidden(X, 0), h)
    inner = net.hidden(X, layer="block.0")
    assert inner.shape == (90, 6)
    assert (inner >= 0).all()
    with pytest.raises(ValueError, match=r"one of first, 1, block\.0, block\.1, block.*'second'"):
        net.hidden(X, layer="second")


@pytest.mark.parametrize(
    ("name", "cure"),
    [
        ("weights", "net.parameters"),
        ("biases", "net.parameters"),
        ("get_weights", r"net.state_dict\(\)"),
        ("set_weights", "net.load_state_dict"),
        ("layer_sizes", "net.layers"),
    ],
)
def test_what_only_an_mlp_has_names_the_cure(name, cure):
    net = network()
    assert not hasattr(net, name)
    with pytest.raises(AttributeError, match=f"no attribute '{name}': {cure}"):
        getattr(net, name)
    with pytest.raises(AttributeError, match=f"no attribute '{name}': {cure}"):
        setattr(net, name, None)


def test_read_only_attributes_name_the_cure():
    with pytest.raises(AttributeError, match=r"other\.load_state_dict\(net\.state_dict\(\)\)"):
        network().dtype = "float64"
    with pytest.raises(TypeError, match="a layer Dropout"):
        network().fit(X, Y, dropout=0.5)
    with pytest.raises(TypeError, match="pass it to a layer"):
        pynn.Sequential([L.Dense(3)], 4, l2=0.5)
