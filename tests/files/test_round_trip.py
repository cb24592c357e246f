"""Loading returns what was saved, and NumPy and safetensors read the files too."""

import io
import json
import pathlib
import sys
import threading

import numpy as np
import pytest
from model_files import SUFFIXES, as_bytes, load_bytes, members, trained
from numpy_mlp import LOSSES, assert_same_bits, make_samples

import pynn
from pynn.files import npz

OPTIMIZERS = {
    "none": lambda: None,
    "sgd": lambda: pynn.SGD(0.05),
    "momentum": lambda: pynn.SGD(0.05, momentum=0.9, nesterov=True),
    "adam": lambda: pynn.Adam(0.01),
    "adamw": lambda: pynn.AdamW(0.01, weight_decay=0.1),
    "rmsprop": lambda: pynn.RMSprop(0.01, momentum=0.5),
}
GENERATORS = ("PCG64", "PCG64DXSM", "MT19937", "Philox", "SFC64")


@pytest.fixture(params=SUFFIXES)
def suffix(request):
    if request.param == ".safetensors":
        pytest.importorskip("safetensors")
    return request.param


def again(net, folder, suffix=".npz"):
    net.save(folder / f"net{suffix}")
    return pynn.load(folder / f"net{suffix}")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("bias", [True, False])
def test_a_network(tmp_path, suffix, loss, dtype, bias):
    net = trained(loss=loss, dtype=dtype, bias=bias)
    twin = again(net, tmp_path, suffix)
    assert type(twin) is pynn.MLP
    assert repr(twin) == repr(net)
    assert twin._config() == net._config()
    assert twin.history.to_dict() == net.history.to_dict()
    assert_same_bits(twin, net)
    x, _ = make_samples(loss, 50, 4, 3)
    assert twin(x).tobytes() == net(x).tobytes()


@pytest.mark.parametrize("sizes", [(1, 1), (3, 2), (4, 1, 5, 1), (70, 33, 17)])
def test_sizes(tmp_path, suffix, sizes):
    net = pynn.MLP(sizes, loss="mse", seed=3)
    twin = again(net, tmp_path, suffix)
    assert twin.layer_sizes == sizes
    assert_same_bits(twin, net)
    assert twin.history is None
    assert twin.optimizer is None


@pytest.mark.parametrize("optimizer", OPTIMIZERS.values(), ids=list(OPTIMIZERS))
def test_optimizers(tmp_path, suffix, optimizer):
    net = trained(optimizer())
    twin = again(net, tmp_path, suffix)
    assert repr(twin.optimizer) == repr(net.optimizer)
    mine, its = net.optimizer._states[net], twin.optimizer._states[twin]
    assert its.steps.tolist() == mine.steps.tolist() == [10]
    for moment in ("m", "v"):
        a, b = getattr(mine, moment), getattr(its, moment)
        assert (a is None) == (b is None)
        assert a is None or a.tobytes() == b.tobytes()


def test_members_beyond_2_gib(tmp_path, monkeypatch):
    """They have another layout in a zip file; here all members have it."""
    net = trained(pynn.Adam())
    plain = as_bytes(net)
    monkeypatch.setattr(npz, "ZIP64_BYTES", -1)
    large = as_bytes(net)
    assert len(large) > len(plain)
    assert_same_bits(load_bytes(large), net)
    with np.load(io.BytesIO(large)) as file:
        np.testing.assert_array_equal(file["weights_0"], net.weights[0])


def test_numpy_reads_it(tmp_path):
    net = trained(pynn.Adam())
    net.save(tmp_path / "net.npz")
    with np.load(tmp_path / "net.npz", allow_pickle=False) as file:
        for i, (weight, bias) in enumerate(zip(net.weights, net.biases, strict=True)):
            np.testing.assert_array_equal(file[f"weights_{i}"], weight)
            np.testing.assert_array_equal(file[f"biases_{i}"], bias)
        np.testing.assert_array_equal(file["history_0"], net.history.loss)
        header = json.loads(file["pynn.json"])
    assert header["format"] == 1
    assert header["written_by"] == f"pynn {pynn.__version__}"


def test_safetensors_reads_it(tmp_path):
    package = pytest.importorskip("safetensors.numpy")
    net = trained(pynn.Adam())
    net.save(tmp_path / "net.safetensors")
    arrays = package.load_file(tmp_path / "net.safetensors")
    for i, (weight, bias) in enumerate(zip(net.weights, net.biases, strict=True)):
        np.testing.assert_array_equal(arrays[f"weights_{i}"], weight)
        np.testing.assert_array_equal(arrays[f"biases_{i}"], bias)


def test_the_same_model_gives_the_same_bytes(tmp_path, suffix):
    net = trained(pynn.Adam())
    first = as_bytes(net, suffix, tmp_path)
    assert as_bytes(net, suffix, tmp_path) == first
    twin = pynn.load(io.BytesIO(first))
    assert as_bytes(twin, suffix, tmp_path) == first


@pytest.mark.parametrize("kind", GENERATORS)
@pytest.mark.parametrize("halves", [0, 1, 3])
def test_generators(tmp_path, suffix, kind, halves):
    rng = np.random.Generator(getattr(np.random, kind)(5))
    net = pynn.MLP([3, 2], seed=rng)
    rng.integers(2**31, size=halves, dtype=np.uint32)  # leaves half a word behind
    twin = again(net, tmp_path, suffix)
    assert type(twin.rng.bit_generator) is type(rng.bit_generator)
    expected = [rng.integers(2**31, size=5, dtype=np.uint32), rng.random(1000), rng.permutation(99)]
    got = [
        twin.rng.integers(2**31, size=5, dtype=np.uint32),
        twin.rng.random(1000),
        twin.rng.permutation(99),
    ]
    for a, b in zip(got, expected, strict=True):
        np.testing.assert_array_equal(a, b)


class PCG64(np.random.PCG64):
    """Of a known name, and something else."""


class Xoshiro(np.random.PCG64):
    pass


@pytest.mark.parametrize("kind", [PCG64, Xoshiro])
def test_other_generators_are_refused(tmp_path, kind):
    net = pynn.MLP([3, 2], seed=np.random.Generator(kind(1)))
    with pytest.raises(ValueError, match=f"net.rng is one of the kind {kind.__name__}"):
        net.save(tmp_path / "net.npz")
    assert list(tmp_path.iterdir()) == []


class Mine(pynn.SGD):
    pass


def test_other_optimizers_are_refused(tmp_path):
    net = trained(Mine(0.1))
    with pytest.raises(ValueError, match=r"net\.optimizer is a Mine: set net\.optimizer = None"):
        net.save(tmp_path / "net.npz")
    net.optimizer = None
    assert_same_bits(again(net, tmp_path), net)


def test_a_plateau_that_has_seen_infinity(tmp_path, suffix):
    plateau = pynn.ReduceOnPlateau(0.1, monitor="val_r2", mode="max")
    net = pynn.MLP([4, 3], loss="mse")
    net.optimizer = pynn.SGD(plateau)
    plateau._state.best = float("inf")
    twin = again(net, tmp_path, suffix)
    assert twin.optimizer.learning_rate._state == plateau._state


def falling(step):
    return 0.1 / (1 + step)


def test_a_rate_that_is_a_function(tmp_path, suffix):
    net = trained(pynn.SGD(falling, momentum=0.9))
    twin = again(net, tmp_path, suffix)
    x, y = make_samples("mse", 30, 4, 3)
    before, state = as_bytes(twin), twin.rng.bit_generator.state
    with pytest.raises(ValueError, match="was a function, which no file holds: pass an optimizer"):
        twin.fit(x, y)
    assert as_bytes(twin) == before
    assert twin.rng.bit_generator.state == state
    twin.optimizer.learning_rate = falling
    for each in (net, twin):
        each.fit(x, y, epochs=2)
    assert_same_bits(twin, net)
    load_bytes(before).fit(x, y, epochs=1, optimizer=pynn.Adam())


def test_infinite_and_other_figures(tmp_path, suffix):
    net = trained()
    net.history.history["odd ☃ {name}"] = [float("nan"), float("-inf")]
    net.history.history["none"] = []
    twin = again(net, tmp_path, suffix)
    assert list(twin.history.history) == list(net.history.history)
    np.testing.assert_array_equal(twin.history["odd ☃ {name}"], net.history.history["odd ☃ {name}"])
    assert twin.history["none"] == []
    assert all(type(value) is float for value in twin.history.loss)
    assert all(type(epoch) is int for epoch in twin.history.epoch)


def test_weights_that_are_not_finite(tmp_path, suffix):
    net = pynn.MLP([3, 2], seed=0)
    net.weights[0][:2, 0] = np.nan, -np.inf
    assert_same_bits(again(net, tmp_path, suffix), net)


@pytest.mark.parametrize(
    ("given", "written"),
    [
        ("net.npz", "net.npz"),
        ("net", "net.npz"),
        ("net.v1", "net.v1.npz"),
        ("NET.NPZ", "NET.NPZ"),
        (".npz", ".npz"),
        ("näme ☃.npz", "näme ☃.npz"),
        ("x" * 250 + ".npz", "x" * 250 + ".npz"),
    ],
)
@pytest.mark.parametrize("kind", [str, pathlib.Path, lambda p: str(p).encode()])
def test_paths(tmp_path, given, written, kind):
    net = pynn.MLP([3, 2], seed=0)
    net.save(kind(tmp_path / given))
    assert [file.name for file in tmp_path.iterdir()] == [written]
    np.load(tmp_path / written).close()
    assert_same_bits(pynn.load(kind(tmp_path / given)), net)


def test_relative_paths(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    net = pynn.MLP([3, 2], seed=0)
    net.save("net")
    assert_same_bits(pynn.load("net"), net)
    assert_same_bits(pynn.load("./net.npz"), net)


def test_a_file_with_another_name_can_be_read(tmp_path, suffix):
    net = pynn.MLP([3, 2], seed=0)
    net.save(tmp_path / f"net{suffix}")
    (tmp_path / f"net{suffix}").rename(tmp_path / "other")
    assert_same_bits(pynn.load(tmp_path / "other"), net)
    with pytest.raises(FileNotFoundError, match=r"missing\.npz"):
        pynn.load(tmp_path / "missing")


def test_file_objects(tmp_path):
    net = trained(pynn.Adam())
    with open(tmp_path / "file", "wb") as file:
        net.save(file)
    with open(tmp_path / "file", "rb") as file:
        assert_same_bits(pynn.load(file), net)
    assert (tmp_path / "file").read_bytes() == as_bytes(net)


class Pipe:
    """What only reads or writes."""

    def __init__(self, data=b""):
        self.data = data

    def write(self, data):
        self.data += bytes(data)
        return len(data)

    def flush(self):
        pass

    def read(self):
        return self.data


def test_file_objects_that_cannot_seek():
    net, pipe = trained(pynn.Adam()), Pipe()
    net.save(pipe)
    assert_same_bits(pynn.load(pipe), net)


def test_wrong_paths(tmp_path):
    net = pynn.MLP([3, 2], seed=0)
    for path in (None, 3, ["net.npz"], object()):
        with pytest.raises(TypeError, match="path must be a path or a binary file object, got"):
            net.save(path)
        with pytest.raises(TypeError, match="path must be a path or a binary file object, got"):
            pynn.load(path)
    with pytest.raises(TypeError, match="path must be opened for binary writing"):
        net.save(io.StringIO())
    with pytest.raises(TypeError, match="path must be opened for binary reading"):
        pynn.load(io.StringIO("text"))
    with pytest.raises(FileNotFoundError):
        pynn.load(tmp_path / "missing.npz")
    with pytest.raises(IsADirectoryError):
        pynn.load(tmp_path)


def test_without_safetensors(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "safetensors", None)
    net = pynn.MLP([3, 2], seed=0)
    with pytest.raises(ImportError, match="pip install safetensors"):
        net.save(tmp_path / "net.safetensors")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "net.safetensors").write_bytes(b"\x02\0\0\0\0\0\0\0{}")
    with pytest.raises(ImportError, match="pip install safetensors"):
        pynn.load(tmp_path / "net.safetensors")
    net.save(tmp_path / "net.npz")
    pynn.load(tmp_path / "net.npz")


def test_saving_while_another_thread_trains(tmp_path):
    net = pynn.MLP([3, 2], seed=0)
    inside, done = threading.Event(), threading.Event()

    def pause(net, history):
        net.save(tmp_path / "own.npz")  # the thread that trains may
        inside.set()
        done.wait(20)

    x, y = make_samples("softmax_cross_entropy", 20, 3, 2)
    given = {"callbacks": pause, "epochs": 1}
    thread = threading.Thread(target=net.fit, args=(x, y), kwargs=given)
    thread.start()
    try:
        assert inside.wait(20)
        net.save(tmp_path / "other.npz")  # so may others: the state is that of a whole step
    finally:
        done.set()
        thread.join()
    for name in ("own.npz", "other.npz"):
        assert_same_bits(pynn.load(tmp_path / name), net)


def test_the_loaded_network_is_its_own():
    data = as_bytes(trained(pynn.Adam()))
    a, b = load_bytes(data), load_bytes(data)
    x, y = make_samples("mse", 30, 4, 3)
    a.fit(x, y, epochs=1)
    assert as_bytes(b) == data
    view = a.weights[0]
    view[...] = 7
    assert (a.weights[0] == 7).all()


def test_members_are_plain():
    assert set(members(as_bytes(pynn.MLP([3, 2], seed=0)))) == {
        "pynn.json",
        "weights_0.npy",
        "biases_0.npy",
        "noise.npy",
    }
