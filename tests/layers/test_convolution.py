"""Convolutions and pools beside torch in float64, with Keras' padding."""

import numpy as np
import pytest

import pynn
from pynn import layers as L

torch = pytest.importorskip("torch")
F = torch.nn.functional

CONVOLUTIONS = {1: L.Conv1D, 2: L.Conv2D, 3: L.Conv3D}
TORCH = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
FUNCTIONS = {None: lambda v: v, "relu": torch.relu, "tanh": torch.tanh, "gelu": F.gelu}


def channels_first(x):
    return x.movedim(-1, 1)


def same_padding(sizes, spans, strides):
    """Keras' padding before and after each axis, the last one first, as torch takes it."""
    padding = []
    for size, span, stride in zip(sizes, spans, strides, strict=True):
        total = max((-(-size // stride) - 1) * stride + span - size, 0)
        padding = [total // 2, total - total // 2, *padding]
    return padding


def settings(rank, seed):
    """A random convolution: its arguments, and the shape of its input."""
    rng = np.random.default_rng([rank, seed])
    groups = int(rng.choice([1, 1, 2, 3]))
    channels, filters = groups * int(rng.integers(1, 4)), groups * int(rng.integers(1, 5))
    if rng.random() < 0.2:  # depthwise
        groups, filters = channels, channels * int(rng.integers(1, 3))
    kernel, strides, dilation = (
        tuple(int(n) for n in rng.integers(1, most, rank)) for most in (4, 3, 3)
    )
    spans = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
    sizes = tuple(int(n) + span for n, span in zip(rng.integers(0, 5, rank), spans, strict=True))
    padding = str(rng.choice(["valid", "same", "causal"] if rank == 1 else ["valid", "same"]))
    function = [None, "relu", "tanh", "gelu"][int(rng.integers(4))]
    arguments = (filters, kernel, strides, padding, dilation, groups, function)
    return arguments, (*sizes, channels), spans, rng


def torch_convolution(x, kernel, bias, arguments, sizes, spans):
    _, _, strides, padding, dilation, groups, function = arguments
    x = channels_first(x)
    if padding == "same":
        x = F.pad(x, same_padding(sizes, spans, strides))
    elif padding == "causal":
        x = F.pad(x, [spans[0] - 1, 0])
    rank = len(sizes)
    weight = kernel.permute(rank + 1, rank, *range(rank))
    y = TORCH[rank](x, weight, bias, strides, 0, dilation, groups)
    return FUNCTIONS[function](y).movedim(1, -1)


def compare(net, reference, X, rng):
    """Compare outputs, and gradients of parameters and inputs."""
    y = rng.normal(size=(len(X), *net.output_shape))
    values = {
        name: torch.tensor(a.copy(), requires_grad=True) for name, a in net.parameters.items()
    }
    x = torch.tensor(X, requires_grad=True)
    outputs = reference(x, values)
    loss = (((outputs - torch.tensor(y)) ** 2).sum(dim=1) / 2).mean()
    loss.backward()
    np.testing.assert_allclose(net(X), outputs.detach().numpy(), rtol=1e-10, atol=1e-10)
    mine, gradients = net.gradients(X, y)
    assert mine == pytest.approx(loss.item(), rel=1e-12)
    for name, gradient in gradients.items():
        expected = values[name].grad.numpy()
        scale = max(1.0, abs(expected).max())
        assert abs(gradient - expected).max() <= 1e-10 * scale, name
    np.testing.assert_allclose(net.input_gradient(X, y), x.grad.numpy(), rtol=1e-10, atol=1e-10)


# 600 samples: beyond a piece of 512 of the gradient's sums.
@pytest.mark.parametrize("rows", [1, 5, 600])
@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_a_convolution_is_torchs(rank, seed, rows):
    if rank == 3 and rows == 600 and seed > 1:
        pytest.skip("two are enough of what takes long")
    arguments, shape, spans, rng = settings(rank, seed)
    channels = shape[-1]
    net = pynn.Sequential(
        [L.Dense(channels, "tanh"), CONVOLUTIONS[rank](*arguments), L.Flatten(), L.Dense(3)],
        shape, loss="squared_error", dtype="float64", seed=0,
    )  # fmt: skip
    for array in net.parameters.values():
        array[...] = rng.normal(scale=0.5, size=array.shape)

    def reference(x, p):
        hidden = torch.tanh(x @ p["0.kernel"] + p["0.bias"])
        y = torch_convolution(hidden, p["1.kernel"], p["1.bias"], arguments, shape[:-1], spans)
        return y.reshape(len(x), -1) @ p["3.kernel"] + p["3.bias"]

    compare(net, reference, rng.normal(size=(rows, *shape)), rng)


POOLS = {
    (L.MaxPool1D, 1): F.max_pool1d, (L.MaxPool2D, 2): F.max_pool2d, (L.MaxPool3D, 3): F.max_pool3d,
    (L.AvgPool1D, 1): F.avg_pool1d, (L.AvgPool2D, 2): F.avg_pool2d, (L.AvgPool3D, 3): F.avg_pool3d,
}  # fmt: skip


# (Values of one decimal: maxima occur several times, and the first takes the gradient.)
@pytest.mark.parametrize("window", [(2, None), (3, 2), (2, 1)])
@pytest.mark.parametrize("kind", list(POOLS), ids=lambda kind: kind[0].__name__)
def test_a_pool_is_torchs(kind, window):
    pool, rank = kind
    rng = np.random.default_rng(rank)
    net = pynn.Sequential(
        [pool(*window), L.Flatten(), L.Dense(2)], (*(7,) * rank, 3),
        loss="squared_error", dtype="float64", seed=0,
    )  # fmt: skip

    def reference(x, p):
        y = POOLS[kind](channels_first(x), *window).movedim(1, -1)
        return y.reshape(len(x), -1) @ p["2.kernel"] + p["2.bias"]

    compare(net, reference, np.round(rng.normal(size=(5, *(7,) * rank, 3)), 1), rng)


def test_pools_over_the_edge_leave_the_padding_out():
    x = np.array([[[1.0], [2.0], [6.0]]])
    for pool, expected in ((L.AvgPool1D, [1.5, 6]), (L.MaxPool1D, [2, 6])):
        net = pynn.Sequential([L.Dense(1), pool(2, padding="same")], (3, 1), loss="mse")
        net.load_state_dict({"0.kernel": [[1.0]], "0.bias": [0.0]})
        np.testing.assert_allclose(net(x)[0, :, 0], expected)
    net.load_state_dict({"0.kernel": [[1.0]], "0.bias": [0.0]})
    x[0, 0] = np.nan
    assert np.isnan(net(x)[0, 0, 0])
    assert net(x)[0, 1, 0] == 6


LENET = [
    L.Conv2D(6, 5, activation="relu"), L.MaxPool2D(), L.Conv2D(16, 3, padding="same", groups=2),
    L.BatchNorm(), L.Activation("relu"), L.AvgPool2D(), L.Flatten(), L.Dense(10),
]  # fmt: skip


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_bits_do_not_depend_on_threads_or_the_batch(dtype):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(70, 16, 16, 4)).astype(dtype), rng.integers(10, size=70)
    states = []
    for threads in (1, 2, 3):
        with pynn.threads(threads):
            net = pynn.Sequential(LENET, X.shape[1:], dtype=dtype, seed=0)
            net.fit(X, y, epochs=2, batch_size=33)
            states.append((net.state_dict(), net(X)))
    (state, outputs), *others = states
    for other, same_outputs in others:
        np.testing.assert_array_equal(same_outputs, outputs)
        for name, array in state.items():
            np.testing.assert_array_equal(other[name], array, err_msg=name)
    for i in (0, 33, 69):
        np.testing.assert_array_equal(net(X[i]), outputs[i])


def test_any_length_where_the_padding_keeps_it():
    net = pynn.Sequential(
        [L.Conv1D(4, 3, padding="causal", dilation=2), L.Conv1D(5, 4, padding="same"),
         L.GlobalMaxPool1D(), L.Dense(2)],
        (None, 3), seed=0,
    )  # fmt: skip
    for length in (1, 5, 9):
        X = np.random.default_rng(length).normal(size=(6, length, 3)).astype(np.float32)
        fixed = pynn.Sequential(net.layers, (length, 3), seed=1)
        fixed.load_state_dict(net.state_dict())
        np.testing.assert_array_equal(net(X), fixed(X))


@pytest.mark.parametrize(
    ("layer", "shape", "message"),
    [
        (L.Conv2D(3, 3), (5, 5), r"it takes inputs of shape \(height, width, channels\)"),
        (L.Conv2D(3, 6), (5, 5, 1), "its window of 6 is larger than the input of 5"),
        (L.Conv1D(4, 3, groups=4), (5, 6), "groups=4 does not divide its 6 channels"),
        (L.Conv1D(4, 3), (None, 6), "it needs a fixed length, or padding that keeps it"),
        (L.MaxPool1D(3), (2, 6), "its window of 3 is larger than the input of 2"),
    ],
)
def test_what_does_not_fit_is_said(layer, shape, message):
    with pytest.raises(ValueError, match=rf"layer 0 \({type(layer).__name__}\): {message}"):
        pynn.Sequential([layer, L.Flatten(), L.Dense(2)], shape)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: L.Conv2D(3, (3, 3, 3)), "kernel_size must be an integer or 2 of them"),
        (lambda: L.Conv2D(3, 0), "kernel_size must be at least 1"),
        (lambda: L.Conv2D(3, 3, padding="causal"), "padding must be one of valid, same"),
        (lambda: L.Conv2D(3, 3, groups=2), "groups=2 does not divide filters=3"),
    ],
)
def test_wrong_settings(make, message):
    with pytest.raises(ValueError, match=message):
        make()
