"""Files, copies and texts of networks of layers: the same network again, and exact resumption."""

import copy
import io
import pickle

import layer_nets as nets
import numpy as np
import pytest
from model_files import SUFFIXES, header_of, load_bytes, members, with_header, zipped
from reference import FLOATS, assert_same_bits

import pynn
from pynn import layers as L
from pynn.layers import *  # noqa: F403  (what `eval` of a repr needs)

BIG = [
    L.Embedding(9, 6),
    L.PositionEmbedding(),
    L.Residual(
        [L.Dense(5, "gelu", name="inner"), L.Dropout(0.2), L.LayerNorm()], "relu", name="block"
    ),
    L.GlobalMaxPool1D(),
    L.BatchNorm(0.9),
    L.RBF(4),
    L.Dropout(0.1),
    L.Reshape((2, 2)),
    L.Flatten(),
    L.Dense(2, l2=0.01, max_norm=3),
]


def trained(dtype="float32", epochs=2, optimizer=None):
    net = pynn.Sequential(BIG, 5, dtype=dtype, seed=3)
    net.set_trainable("block.2.beta", False)
    fit(net, epochs, optimizer or pynn.Adam(0.01))
    return net


def data():
    rng = np.random.default_rng(0)
    return rng.integers(0, 9, (50, 5)), rng.integers(0, 2, 50)


def fit(net, epochs, optimizer=None):
    x, y = data()
    return net.fit(x, y, epochs=epochs, batch_size=16, optimizer=optimizer, metrics="accuracy")


def saved(net, suffix, folder):
    if suffix == ".safetensors":
        pytest.importorskip("safetensors")
    net.save(folder / f"net{suffix}")
    return pynn.load(folder / f"net{suffix}")


WAYS = {
    **{
        suffix: lambda net, folder, suffix=suffix: saved(net, suffix, folder) for suffix in SUFFIXES
    },
    "pickle": lambda net, folder: pickle.loads(pickle.dumps(net)),
    "copy": lambda net, folder: copy.copy(net),
    "deepcopy": lambda net, folder: copy.deepcopy(net),
}


def assert_same(a, b):
    assert repr(a) == repr(b)
    assert a.trainable_parameters == b.trainable_parameters
    assert list(a.parameters) == list(b.parameters)
    for name, array in a.parameters.items():
        assert_same_bits(array, b.parameters[name])


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_resuming_gives_the_bits_of_the_whole_fit(way, dtype, tmp_path):
    whole = trained(dtype, epochs=5)
    begun = trained(dtype, epochs=2)
    other = WAYS[way](begun, tmp_path)
    assert_same(other, begun)
    assert other.layers == begun.layers or way in SUFFIXES
    first = other.history.history["loss"]
    fit(other, 3)
    assert_same(other, whole)
    assert first == begun.history.history["loss"]
    assert other.history.history["loss"] == whole.history.history["loss"][2:]
    x, _ = data()
    assert_same_bits(other(x), whole(x))
    assert_same_bits(other(x, training=True), whole(x, training=True))
    # The copy has other arrays.
    fit(begun, 1)
    assert_same(other, whole)


@pytest.mark.parametrize("name", nets.NETS)
def test_each_layer_goes_through_a_file(name, tmp_path):
    for dtype in FLOATS:
        net = nets.make(name, dtype=np.dtype(dtype).name)
        x, y = nets.samples(net, 9), nets.values(net, 9)
        net.fit(x, y, epochs=1, batch_size=4)
        file = io.BytesIO()
        net.save(file)
        other = pynn.load(io.BytesIO(file.getvalue()))
        again = io.BytesIO()
        other.save(again)
        assert again.getvalue() == file.getvalue()
        assert_same(other, net)
        assert_same_bits(other(x), net(x))


def test_state_dict():
    net, other = trained(), pynn.Sequential(BIG, 5, seed=9)
    state = net.state_dict()
    assert not any(np.shares_memory(state[name], net.parameters[name]) for name in state)
    assert "4.moving_variance" in state
    other.load_state_dict(state)
    for name, array in other.parameters.items():
        assert_same_bits(array, net.parameters[name])
    x, _ = data()
    assert_same_bits(other(x), net(x))
    other.load_state_dict({name: array.tolist() for name, array in state.items()})
    for name, array in other.parameters.items():
        np.testing.assert_allclose(array, net.parameters[name], rtol=1e-7)


@pytest.mark.parametrize("name", nets.NETS)
def test_a_repr_makes_an_equal_network(name):
    net = nets.make(name)
    other = eval(repr(net).replace("Sequential(", "pynn.Sequential(", 1))
    assert repr(other) == repr(net)
    assert other.layers == net.layers
    assert hash(other.layers) == hash(net.layers)
    other.load_state_dict(net.state_dict())
    x = nets.samples(net, 4)
    assert_same_bits(other(x), net(x))
    for layer in net.layers:
        assert eval(repr(layer)) == layer
        assert pickle.loads(pickle.dumps(layer)) == layer
        assert copy.deepcopy(layer) == layer
        assert L.from_config(layer.config()) == layer


def as_bytes(net):
    file = io.BytesIO()
    net.save(file)
    return file.getvalue()


def test_damaged_bytes():
    """A flipped bit anywhere, or an end too early: a ValueError, or the very same network."""
    good = as_bytes(trained())
    rng = np.random.default_rng(0)
    net, refused = load_bytes(good), []
    for at in rng.integers(0, len(good), 150):
        bad = bytearray(good)
        bad[at] ^= 1 << int(rng.integers(8))
        try:
            other = load_bytes(bytes(bad))
        except ValueError as error:
            refused.append(str(error))
        else:
            assert_same(other, net)
    assert len(refused) > 50
    assert all("cannot be read as a network" in message for message in refused)
    for end in rng.integers(0, len(good), 30):
        with pytest.raises(ValueError, match="cannot be read as a network"):
            load_bytes(good[:end])


def change(path, value):
    def changed(config):
        *way, last = path
        for key in way:
            config = config[key]
        config[last] = value

    return changed


BAD_CONFIGS = {
    "units": (change(["layers", 9, "units"], 3), "shape"),
    "no units": (change(["layers", 9, "units"], None), "give a number"),
    "huge": (change(["layers", 9, "units"], 2**62), "its kernel would have the shape"),
    "unknown layer": (change(["layers", 9, "layer"], "Conv9D"), "there is no layer 'Conv9D'"),
    "a base class": (change(["layers", 9, "layer"], "Layer"), "there is no layer 'Layer'"),
    "a function": (change(["layers", 9, "layer"], "from_config"), "there is no layer"),
    "unknown setting": (change(["layers", 9, "colour"], 1), "unexpected keyword argument 'colour'"),
    "no list": (change(["layers"], 5), "config"),
    "no layers": (change(["layers"], []), "config"),
    "nested, no list": (change(["layers", 2, "layers"], "ab"), "layers must be a list"),
    "no dict": (change(["layers", 0], [1]), "a layer must be an object"),
    "input_shape": (change(["input_shape"], [6]), "shape"),
    "no shape": (change(["input_shape"], "a"), "input_shape"),
    "infinite shape": (change(["input_shape"], [1e999]), "input_shape"),
    "frozen": (change(["frozen"], ["9.weight"]), "frozen must name parameters"),
    "frozen, no list": (change(["frozen"], 3), "config"),
    "kind": (change(["kind"], "MLP"), "layer_sizes must be"),
    "loss": (change(["loss"], {"name": "none"}), "loss"),
    "dtype": (change(["dtype"], "float16"), "dtype must be one of"),
    "rate": (change(["layers", 6, "rate"], 1), r"rate must be in \[0, 1\)"),
    "order": (lambda config: config["layers"].reverse(), "config"),
}


@pytest.mark.parametrize("name", BAD_CONFIGS)
def test_damaged_configurations(name):
    damage, message = BAD_CONFIGS[name]
    good = as_bytes(trained())
    header = header_of(good)
    damage(header["config"])
    with pytest.raises(ValueError, match=f"cannot be read as a network.*{message}"):
        load_bytes(with_header(good, header))


def test_missing_and_unknown_arrays():
    good = members(as_bytes(trained()))
    name = "4.moving_mean.npy"
    assert name in good
    with pytest.raises(ValueError, match=r"cannot be read as a network.*there is no array"):
        load_bytes(zipped({key: value for key, value in good.items() if key != name}))
    with pytest.raises(ValueError, match="cannot be read as a network"):
        load_bytes(zipped({**good, "10.kernel.npy": good[name]}))
