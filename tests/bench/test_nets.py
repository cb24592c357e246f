"""The networks of layers in bench: their operations, and the same numbers from every library."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

BENCH = Path(__file__).resolve().parents[2] / "bench"

pytestmark = pytest.mark.skipif(not BENCH.is_dir(), reason="the programs are not beside the tests")
NAMES = [
    "rbf",
    "dqn_cartpole",
    "mlp_batch_norm",
    "mlp_layer_norm",
    "residual_mlp",
    "text_sgd",
    "text_adam",
    "text_sparse_adam",
]
each = pytest.mark.parametrize("name", NAMES)


@pytest.fixture
def nets(monkeypatch):
    """The module with the networks, without a trace of it afterwards."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(str(BENCH))
    import nets

    yield nets
    for name in set(sys.modules) - before:
        if str(BENCH) in str(getattr(sys.modules[name], "__file__", None)):
            del sys.modules[name]


def net_of(nets, name):
    return next(net for net in nets.NETS if net.name == name)


def test_the_names_are_those_of_the_table(nets):
    assert [net.name for net in nets.NETS] == NAMES


@pytest.mark.parametrize(
    ("name", "multiply_adds"),
    [
        ("rbf", (8 * 100 + 100) + (8 * 100 + 2 * 100)),
        # Forward through the network and its target; the first layer has no input gradient.
        ("dqn_cartpole", 2 * (4 * 128 + 128 * 130) + (4 * 128 + 2 * 128 * 130)),
        ("mlp_batch_norm", 2 * 64 * 128 + 3 * 128 * 138),
        ("mlp_layer_norm", 2 * 64 * 128 + 3 * 128 * 138),
        ("residual_mlp", 2 * 784 * 256 + 3 * (8 * 256 * 256 + 256 * 10)),
        # The embedding has parameters, so that the first product has an input gradient.
        ("text_sgd", 3 * (64 * 16 + 16 * 2)),
    ],
)
def test_operations_of_a_step(nets, name, multiply_adds):
    net = net_of(nets, name)
    assert nets.operations(net) == 2 * net.batch * multiply_adds


def test_operations_of_a_projection(nets):
    from pynn import layers as L

    block = L.Residual([L.Dense(4, "relu"), L.Dense(6)])
    first = 3 * 4 + 3 * 6  # the products that read the input, inside and beside the block
    assert nets.multiply_adds([block], (3,)) == (first + 4 * 6, first + 2 * 4 * 6)
    assert nets.multiply_adds([block], (3,), True) == (first + 4 * 6, 2 * (first + 4 * 6))


@each
def test_pynn_and_torch_have_the_same_losses(nets, name):
    pytest.importorskip("torch")
    from peers import pynn_layers, torch_layers

    net = net_of(nets, name)
    model, batches = nets.model(net), nets.mini_batches(net, 4, np.random.default_rng(0))
    ours = pynn_layers.STEPS[net.step](model, batches).losses(4)
    theirs = torch_layers.TorchLayers(model, batches).losses(4)
    np.testing.assert_allclose(ours, theirs, rtol=1e-4)
    assert len(set(ours)) == 4


@each
def test_training_continues_where_it_stopped(nets, name):
    from peers import pynn_layers

    net = net_of(nets, name)
    model, batches = nets.model(net), nets.mini_batches(net, 4, np.random.default_rng(0))
    whole, parts = (pynn_layers.STEPS[net.step](model, batches) for _ in range(2))
    whole.train(0, 4)
    parts.train(0, 1)
    parts.train(1, 3)
    for key, value in whole.model.parameters.items():
        np.testing.assert_array_equal(parts.model.parameters[key], value)


@each
def test_predictions_are_the_same(nets, name):
    net = net_of(nets, name)
    model, x = nets.model(net), nets.inputs(net, 3, np.random.default_rng(0))
    rng = np.random.default_rng(1)
    for key, value in model.parameters.items():  # statistics that show
        if "moving" in key or "gamma" in key or "beta" in key:
            model.parameters[key] = value + rng.uniform(0, 0.5, value.shape).astype(np.float32)
    from peers import pynn_layers

    ours = pynn_layers.predictor(model, x)()
    assert ours.shape == (3, *nets.output_shape(net))
    if onnx_runs():
        from peers import onnxruntime_peer

        theirs = onnxruntime_peer.OnnxRuntimePeer(1).layers_predictor(model, x)()
        np.testing.assert_allclose(theirs, ours, rtol=1e-4, atol=1e-5)


def onnx_runs():
    try:
        import onnx
        import onnxruntime
    except ImportError:
        return False
    return bool(onnx and onnxruntime)


def test_the_program_prints_a_table():
    """With JAX where it is installed, in another process: JAX forbids forks."""
    command = [sys.executable, str(BENCH / "compare.py"), "--quick", "--nets", "rbf"]
    command += ["--only", "layers,layers_prediction", "--peers", "jax,onnxruntime"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "Networks of layers: one training step" in done.stdout
    assert "rbf b32" in done.stdout
    assert "rbf, 1 row" in done.stdout
