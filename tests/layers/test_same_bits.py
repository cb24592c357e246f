"""Neither threads nor instruction sets nor the rest of a batch change a bit of any layer."""

import itertools
import os
import subprocess
import sys
from pathlib import Path

import layer_nets as nets
import numpy as np
import pytest
from reference import FLOATS, assert_same_bits
from sanitizers import PATIENCE

import pynn
from pynn import layers as L

TYPES = pytest.mark.parametrize("dtype", FLOATS)
PROGRAM = Path(__file__).with_name("every_layer.py")


def trained(layers, input_shape, threads, dtype, *, rows=(64, 21), dropout=True, **options):
    """Everything that a network computes, on some threads: outputs, gradients, steps."""
    found = {}
    with pynn.threads(threads):
        net = pynn.Sequential(layers, input_shape, loss="mse", dtype=dtype, seed=0)
        nets.randomize(net, scale=options.pop("scale", 0.3))
        n = sum(rows)
        x, y = nets.samples(net, n), nets.values(net, n)
        for training in (False, True):
            found["outputs", training] = net(x, training=training)
            dout = nets.values(net, n, seed=3)
            found["dX", training], gradients = net.backward(
                dout, x, training=training, parameters=True
            )
            found.update({("dP", training, key): value for key, value in gradients.items()})
        for optimizer in (pynn.SGD(0.01), pynn.Adam(0.01), pynn.SGD(0.01, clip_norm=0.1)):
            history = net.fit(x, y, epochs=2, batch_size=rows[0], optimizer=optimizer, **options)
            found["loss", str(optimizer)] = np.array(history.loss)
        found.update(net.state_dict())
    return {key: value for key, value in found.items() if value is not None}


def assert_threads_agree(layers, input_shape, dtype, **options):
    expected = trained(layers, input_shape, 1, dtype, **options)
    for threads in (2, 3, 4):
        actual = trained(layers, input_shape, threads, dtype, **options)
        assert actual.keys() == expected.keys()
        for key, value in expected.items():
            try:
                assert_same_bits(actual[key], value)
            except AssertionError as error:
                raise AssertionError(f"{key} with {threads} threads: {error}") from None


# Wide enough, or of enough positions, for threads to pay (csrc/threads/team.h: operations each).
WIDE = {
    "dense": ([L.Dense(150, "relu"), L.Dense(90, "tanh")], 100),
    "dense over time": ([L.Dense(80, "gelu"), L.Dense(70)], (7, 60)),
    "dropout": ([L.Dropout(0.2), L.Dense(150), L.Dropout(0.5), L.Dense(60)], 100),
    "residual": (
        [L.Dense(100, "relu"), L.Residual([L.Dense(90, "elu"), L.Dense(120)]), L.Dense(60)],
        80,
    ),
    "nested residual": (
        [L.Residual([L.Residual([L.Dense(90, "tanh")]), L.Dense(90)], "relu"), L.Dense(50)],
        90,
    ),
    "batch norm": (
        [L.BatchNorm(), L.Dense(120), L.BatchNorm(0.9), L.Activation("relu"), L.Dense(60)],
        (3, 70),
    ),
    "batch norm, the last": ([L.Dense(150), L.Residual([L.Dense(150), L.BatchNorm()])], 90),
    "layer norm": ([L.Dense(90), L.LayerNorm(), L.Dense(90, "silu"), L.LayerNorm()], (4, 60)),
    "rbf": ([L.RBF(90), L.Dense(80)], (2, 80)),
    "pools": ([L.Dense(100), L.GlobalMaxPool1D(), L.Dense(100)], (6, 50)),
    "average": ([L.Dense(100), L.GlobalAvgPool2D(), L.Dense(100)], (2, 3, 50)),
    "softmax": ([L.Dense(100, "softmax"), L.Dense(100)], (3, 80)),
    "embedding": (
        [L.Embedding(300, 64), L.PositionEmbedding(), L.Dense(90), L.Flatten(), L.Dense(9)],
        12,
    ),
    "embedding, sparse": (
        [L.Embedding(300, 64, sparse=True), L.Dense(90), L.GlobalAvgPool1D()],
        12,
    ),
}


@TYPES
@pytest.mark.parametrize("name", WIDE)
def test_threads(name, dtype):
    assert_threads_agree(*WIDE[name], dtype, scale=0.1)


# Parameters beyond the L2 cache: the threads divide each layer, with barriers between.
LARGE = {
    "dense": ([L.Dense(700, "relu"), L.Dense(600, "tanh")], 500),
    "residual": (
        [L.Dense(600, "tanh"), L.Residual([L.Dense(500, "elu"), L.Dense(600)]), L.Dense(300)],
        300,
    ),
    "readers of the input": (
        [L.Residual([L.Residual([L.Dense(500, "tanh")]), L.Dense(500)]), L.Dense(600)],
        500,
    ),
    "batch norm": (
        [
            L.BatchNorm(),
            L.Dense(700),
            L.BatchNorm(),
            L.Activation("relu"),
            L.Dense(600),
            L.BatchNorm(),
        ],
        400,
    ),
    "layer norm": ([L.Dense(600), L.LayerNorm(), L.Dense(600, "gelu"), L.Dropout(0.3)], (2, 300)),
    "rbf": ([L.Dense(400), L.RBF(700), L.Dense(600)], 300),
    "embedding": (
        [
            L.Embedding(3000, 200),
            L.PositionEmbedding(),
            L.Dense(500),
            L.GlobalMaxPool1D(),
            L.Dense(300),
        ],
        5,
    ),
}


@TYPES
@pytest.mark.parametrize("name", LARGE)
def test_threads_that_divide_layers(name, dtype):
    assert_threads_agree(*LARGE[name], dtype, rows=(40, 13), scale=0.05)


@TYPES
@pytest.mark.parametrize("name", nets.NETS)
def test_a_row_alone_or_in_any_batch(name, dtype):
    net = nets.make(name, dtype=dtype)
    x = nets.samples(net, 70)
    whole = net(x)
    for rows in (1, 2, 7, 33, 64):
        assert_same_bits(net(x[:rows]), whole[:rows])
        assert_same_bits(net(x[-rows:]), whole[-rows:])
    for i in (0, 31, 69):
        assert_same_bits(net(x[i]), whole[i])


@pytest.mark.parametrize("name", LARGE)
def test_a_row_of_a_large_network(name):
    layers, input_shape = LARGE[name]
    net = pynn.Sequential(layers, input_shape, loss="mse", seed=0)
    x = nets.samples(net, 40)
    with pynn.threads(1):
        expected = net(x)
    for threads in (2, 4):
        with pynn.threads(threads):
            assert_same_bits(net(x), expected)
            for rows in (1, 3, 17):
                assert_same_bits(net(x[:rows]), expected[:rows])


# ---------------------------------------------------------------- instruction sets


def run(isa, folder):
    process = subprocess.run(
        [sys.executable, "-W", "error", PROGRAM, f"{isa}.npz"],
        check=False,
        cwd=folder,
        env={**os.environ, "PYNN_ISA": isa},
        capture_output=True,
        text=True,
        timeout=120 * PATIENCE,
    )
    assert process.returncode == 0, process.stderr
    active, fused = process.stdout.split()
    assert active == isa
    with np.load(folder / f"{isa}.npz") as file:
        return fused == "True", dict(file)


def test_instruction_sets(tmp_path):
    """The fused ones agree bit for bit, the baseline within rounding."""
    usable = pynn.show_config("dict")["isas_usable"]
    found = [run(isa, tmp_path) for isa in usable]
    fused = [results for is_fused, results in found if is_fused]
    others = [results for is_fused, results in found if not is_fused]
    for first, second in itertools.pairwise(fused):
        assert first.keys() == second.keys()
        for name, expected in first.items():
            assert_same_bits(second[name], expected)
    for one, other in itertools.product(fused, others):
        for name, expected in one.items():
            scale = np.finfo(name.split()[-1]).eps * max(1, abs(expected).max())
            np.testing.assert_allclose(
                other[name], expected, rtol=0, atol=1e4 * scale, err_msg=name
            )
