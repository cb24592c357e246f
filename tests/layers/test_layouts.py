"""Samples of several axes in any layout: nothing is copied as a whole."""

import tracemalloc

import numpy as np
import pytest

import pynn
from pynn import layers as L

N, SHAPE = 40, (6, 5, 3)


def layouts():
    """The same samples in several layouts, by name."""
    rng = np.random.default_rng(0)
    X = rng.integers(0, 200, (N, *SHAPE))
    first = np.ascontiguousarray(np.moveaxis(X, -1, 1))
    wide = np.zeros((N, 2 * SHAPE[0], SHAPE[1], 2 * SHAPE[2]), X.dtype)
    wide[:, ::2, :, ::2] = X
    by_column = np.asfortranarray(X)
    return {
        "channels last": X,
        "channels first": np.moveaxis(first, 1, -1),
        "every other": wide[:, ::2, :, ::2],
        "reversed": X[:, ::-1, :, ::-1].copy()[:, ::-1, :, ::-1],
        "Fortran's order": by_column,
    }


def network(**options):
    layers = [L.Dense(4, "relu"), L.Flatten(), L.Dense(3)]
    return pynn.Sequential(layers, SHAPE, seed=0, **options)


@pytest.mark.parametrize("dtype", ["uint8", "int16", "float16", "float32", "float64"])
@pytest.mark.parametrize("layout", list(layouts()))
def test_every_layout_gives_the_same_bits(layout, dtype):
    plain, X = (layouts()[name].astype(dtype, order="K") for name in ("channels last", layout))
    y = np.arange(N) % 3
    net, twin = network(), network()
    np.testing.assert_array_equal(net(X), twin(plain))
    for each, samples in ((net, X), (twin, plain)):
        each.fit(samples, y, epochs=2, batch_size=7, validation_split=0.2)
    for name, array in net.parameters.items():
        np.testing.assert_array_equal(array, twin.parameters[name])
    np.testing.assert_array_equal(net.input_gradient(X, y), twin.input_gradient(plain, y))


def test_nothing_is_copied_as_a_whole():
    rng = np.random.default_rng(0)
    first = rng.integers(0, 255, (20_000, 3, 16, 16), np.uint8)
    X = np.moveaxis(first, 1, -1)
    net = pynn.Sequential([L.Flatten(), L.Dense(2)], (16, 16, 3), seed=0)
    y = np.arange(len(X)) % 2
    net.fit(X[:100], y[:100], epochs=1)
    tracemalloc.start()
    net.fit(X, y, epochs=1, batch_size=64)
    net.predict(X)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < X.nbytes / 4
