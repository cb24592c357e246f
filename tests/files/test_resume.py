"""Three epochs, a copy and three more epochs give the bits of six."""

import copy
import pickle

import numpy as np
import pytest
from model_files import as_bytes, load_bytes
from numpy_mlp import assert_same_bits, make_samples, run_python

import pynn

OPTIMIZERS = {
    "default": lambda: None,
    "sgd": lambda: pynn.SGD(0.05),
    "momentum": lambda: pynn.SGD(0.05, momentum=0.9),
    "nesterov": lambda: pynn.SGD(0.05, momentum=0.9, nesterov=True, weight_decay=0.01),
    "adam": lambda: pynn.Adam(0.01),
    "adamw": lambda: pynn.AdamW(0.01),
    "rmsprop": lambda: pynn.RMSprop(0.01, momentum=0.9),
    "step decay": lambda: pynn.SGD(pynn.StepDecay(0.1, every=11, factor=0.5), momentum=0.9),
    "one cycle": lambda: pynn.Adam(pynn.OneCycle(0.05, steps=40)),
    "warm-up": lambda: pynn.Adam(pynn.WarmUp(pynn.CosineDecay(0.05, 25), steps=8)),
    "plateau": lambda: pynn.SGD(
        pynn.ReduceOnPlateau(0.1, monitor="loss", factor=0.5, patience=0, min_delta=0.2)
    ),
    "clipped": lambda: pynn.Adam(0.01, clip_norm=0.5),
}
# What a network may have.
OPTIONS = {
    "plain": {},
    "no bias": {"bias": False},
    "dropout": {"dropout": 0.3},
    "dropout by layer": {"dropout": [0.1, 0.5, 0.0]},
    "regularized": {"l1": 1e-3, "l2": [1e-2, 0.0, 1e-3], "max_norm": 2.0},
    "MT19937": {"seed": np.random.MT19937},
    "Philox": {"seed": np.random.Philox},
}


def saved(folder, suffix):
    def again(net):
        net.save(folder / f"net{suffix}")
        return pynn.load(folder / f"net{suffix}")

    return again


@pytest.fixture(params=[".npz", ".safetensors", "pickle", "deepcopy", "copy"])
def again(request, tmp_path):
    """A copy of a network by a file or pickle; the original is trained further and dropped."""
    if request.param == ".safetensors":
        pytest.importorskip("safetensors")
    kinds = {
        "pickle": lambda net: pickle.loads(pickle.dumps(net)),
        "deepcopy": copy.deepcopy,
        "copy": copy.copy,
    }
    return kinds.get(request.param) or saved(tmp_path, request.param)


def make(options, dtype="float32", loss="mse"):
    options = dict(options)
    kind = options.pop("seed", np.random.PCG64)
    rng = np.random.Generator(kind(8))
    return pynn.MLP([5, 9, 8, 3], ["relu", "tanh"], loss, dtype=dtype, seed=rng, **options)


def check(again, optimizer, options, dtype="float32", loss="mse", **fit):
    optimizers = [optimizer(), optimizer()]
    x, y = make_samples(loss, 41, 5, 3)
    fit = {"batch_size": 8, **fit}
    whole, half = make(options, dtype, loss), make(options, dtype, loss)
    expected = whole.fit(x, y, epochs=6, optimizer=optimizers[0], **fit)
    first = half.fit(x, y, epochs=3, optimizer=optimizers[1], **fit)
    twin = again(half)
    half.fit(x, y, epochs=1, **fit)  # what becomes of the original does not matter
    second = twin.fit(x, y, epochs=3, **fit)
    assert_same_bits(twin, whole)
    assert first.loss + second.loss[-3:] == expected.loss
    assert first["learning_rate"] + second["learning_rate"][-3:] == expected["learning_rate"]
    np.testing.assert_array_equal(twin._engine.rng_position, whole._engine.rng_position)
    assert twin.rng.bit_generator.random_raw() == whole.rng.bit_generator.random_raw()


@pytest.mark.parametrize("optimizer", OPTIMIZERS.values(), ids=list(OPTIMIZERS))
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_optimizers(again, optimizer, dtype):
    check(again, optimizer, {}, dtype)


@pytest.mark.parametrize("options", OPTIONS.values(), ids=list(OPTIONS))
@pytest.mark.parametrize("optimizer", ["momentum", "adam"])
@pytest.mark.parametrize("loss", ["mse", "softmax_cross_entropy"])
def test_networks(again, options, optimizer, loss):
    check(again, OPTIMIZERS[optimizer], options, loss=loss)


def test_without_shuffling(again):
    check(again, OPTIMIZERS["adam"], {}, shuffle=False)


def test_single_steps(again):
    whole, half = make({}), make({})
    x, y = make_samples("mse", 40, 5, 3)
    adams = pynn.Adam(0.01), pynn.Adam(0.01)
    for net, adam in zip((whole, half), adams, strict=True):
        net.fit(x, y, epochs=1, batch_size=8, optimizer=adam)
        net.train_on_batch(x[:10], y[:10], adam)
    twin = again(half)
    for net, adam in ((whole, adams[0]), (twin, twin.optimizer)):
        net.train_on_batch(x[10:], y[10:], adam)
    assert_same_bits(twin, whole)


def test_from_each_epochs_file():
    """Saved within a fit, by a callback."""
    x, y = make_samples("mse", 41, 5, 3)
    files = []
    options = {"batch_size": 8, "validation_data": (x, y)}
    net = make({})
    net.fit(
        x,
        y,
        epochs=5,
        optimizer=pynn.Adam(0.01),
        callbacks=[lambda net, history: files.append(as_bytes(net))],
        **options,
    )
    for epoch, file in enumerate(files[:-1], start=1):
        twin = load_bytes(file)
        assert len(twin.history) == epoch
        assert twin.history.loss == net.history.loss[:epoch]
        twin.fit(x, y, epochs=5 - epoch, **options)
        assert_same_bits(twin, net)


TRAIN = """
import sys
import numpy as np
import pynn

rng = np.random.default_rng(3)
x = rng.normal(size=(60, 5))
y = np.sin(x[:, :2])
if sys.argv[1] == "begin":
    net = pynn.MLP([5, 30, 2], "tanh", "mse", seed=1)
    net.fit(x, y, epochs=3, batch_size=8, optimizer=pynn.Adam(0.01))
    net.save(sys.argv[2])
else:
    net = pynn.load(sys.argv[2])
    net.fit(x, y, epochs=3, batch_size=8)
    print(net.weights[0].tobytes().hex())
"""
WHOLE = TRAIN.replace("epochs=3", "epochs=6").replace(
    "net.save(sys.argv[2])", "print(net.weights[0].tobytes().hex())"
)


@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
def test_in_another_process(tmp_path, suffix):
    if suffix == ".safetensors":
        pytest.importorskip("safetensors")
    path = tmp_path / f"net{suffix}"
    run_python(TRAIN, tmp_path, "begin", path)
    expected = run_python(WHOLE, tmp_path, "begin", path)
    assert run_python(TRAIN, tmp_path, "end", path) == expected
