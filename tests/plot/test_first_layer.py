"""First-layer weights as images."""

import numpy as np
import pytest
from pictures import check_nothing_is_cut

import pynn.plot

pytest.importorskip("matplotlib")

NET = pynn.MLP([12, 10, 3], seed=0)


def images(ax, height, width):
    """Cut the mosaic at its lines of missing values."""
    mosaic = ax.images[0].get_array().filled(np.nan)
    rows = np.flatnonzero(~np.isnan(mosaic).all(axis=1))
    columns = np.flatnonzero(~np.isnan(mosaic).all(axis=0))
    tiles = mosaic[np.ix_(rows, columns)].reshape(
        len(rows) // height, height, len(columns) // width, width
    )
    return tiles.swapaxes(1, 2).reshape(-1, height, width)


@pytest.mark.parametrize("shape", [(3, 4), (4, 3), (12, 1), (1, 12)])
@pytest.mark.parametrize(("n", "count"), [(None, 10), (25, 10), (7, 7), (1, 1), (4, 4)])
def test_images_are_the_weights(shape, n, count):
    ax = pynn.plot.first_layer(NET, shape, n)
    drawn = images(ax, *shape)
    for unit in range(count):
        np.testing.assert_array_equal(drawn[unit].ravel(), NET.weights[0][:, unit])
    assert np.isnan(drawn[count:]).all()
    assert ax.get_title() == f"First-layer weights: {count} of 10 units"
    check_nothing_is_cut(ax.figure)


def test_zero_is_in_the_middle_of_the_colors(pyplot):
    net = pynn.MLP([400, 9, 2], seed=0)
    net.weights[0][0, 0] = 1000.0
    ax = pynn.plot.first_layer(net, (20, 20))
    low, high = ax.images[0].get_clim()
    assert low == -high
    assert high == pytest.approx(np.percentile(np.abs(net.weights[0]), 99.5))
    np.testing.assert_allclose(pyplot.get_cmap("RdBu_r")(0.5)[:3], 1, atol=0.05)
    assert ax.images[0].colorbar.extend == "both"
    assert ax.images[0].colorbar.ax.get_ylabel() == "weight"


def test_units_are_numbered():
    ax = pynn.plot.first_layer(NET, (3, 4), 6)
    columns = [t.get_text() for t in ax.get_xticklabels()]
    rows = [t.get_text() for t in ax.get_yticklabels()]
    assert sorted(int(r) + int(c) for r in rows for c in columns) == list(range(6))


@pytest.mark.parametrize("value", [0.0, np.nan, np.inf])
def test_strange_weights(value):
    net = pynn.MLP([12, 10, 3], seed=0)
    net.weights[0][...] = value
    ax = pynn.plot.first_layer(net, (3, 4))
    ax.figure.canvas.draw()
    assert ax.images[0].get_clim() == (-1, 1)
    drawn = ax.images[0].get_array()
    if value == 0:
        assert drawn.count() == 12 * 10
        assert not drawn.any()
    else:
        assert not np.isfinite(drawn.filled(np.nan)).any()


def test_what_is_not_finite_leaves_the_scale_to_the_others():
    net = pynn.MLP([12, 10, 3], seed=0)
    net.weights[0][:2, 0] = np.nan, -np.inf
    limit = pynn.plot.first_layer(net, (3, 4)).images[0].get_clim()[1]
    finite = net.weights[0][np.isfinite(net.weights[0])]
    assert limit == pytest.approx(np.percentile(np.abs(finite), 99.5))


def test_scikit_learns_networks():
    neural_network = pytest.importorskip("sklearn.neural_network")
    rng = np.random.default_rng(0)
    model = neural_network.MLPClassifier((5,), solver="lbfgs", max_iter=30, tol=1)
    model.fit(rng.normal(size=(20, 12)), rng.integers(2, size=20))
    drawn = images(pynn.plot.first_layer(model, (3, 4)), 3, 4)
    np.testing.assert_array_equal(drawn[2].ravel(), model.coefs_[0][:, 2])


def test_given_axes(pyplot):
    _, ax = pyplot.subplots()
    assert pynn.plot.first_layer(NET, (3, 4), ax=ax) is ax
    assert len(pyplot.get_fignums()) == 1


def test_subfigures(pyplot):
    figure = pyplot.figure(layout="constrained")
    ax = figure.subfigures(1, 2)[1].subplots()
    assert pynn.plot.first_layer(NET, (3, 4), ax=ax) is ax
    check_nothing_is_cut(figure)


@pytest.mark.parametrize(
    ("arguments", "exception", "says"),
    [
        ({"net": "net"}, TypeError, ["net", "str"]),
        ({"net": np.eye(3)}, TypeError, ["net", "ndarray"]),
        ({"shape": 12}, TypeError, ["shape", "12"]),
        ({"shape": (3, 4, 1)}, TypeError, ["shape", "(3, 4, 1)"]),
        ({"shape": "34"}, TypeError, ["shape", "'34'"]),
        ({"shape": (3.0, 4)}, TypeError, ["shape[0]", "3.0"]),
        ({"shape": (-3, -4)}, ValueError, ["shape[0]", "-3"]),
        ({"shape": (3, 5)}, ValueError, ["shape", "15 pixels", "12 inputs"]),
        ({"n": 0}, ValueError, ["n", "0"]),
        ({"n": 2.5}, TypeError, ["n", "2.5"]),
        ({"cmap": "nonsense"}, ValueError, ["cmap", "'nonsense'"]),
        ({"ax": "left"}, TypeError, ["ax", "str"]),
    ],
)
def test_errors(pyplot, arguments, exception, says):
    with pytest.raises(exception) as caught:
        pynn.plot.first_layer(**{"net": NET, "shape": (3, 4), **arguments})
    assert caught.type is exception
    for word in says:
        assert word in str(caught.value)
    assert not pyplot.get_fignums()


def test_of_layers():
    from pynn import layers as L

    dense = pynn.Sequential([L.Flatten(), L.Dropout(0.1), L.Dense(5), L.Dense(2)], (3, 4), seed=0)
    drawn = images(pynn.plot.first_layer(dense, (3, 4)), 3, 4)
    for unit in range(5):
        np.testing.assert_array_equal(drawn[unit].ravel(), dense.parameters["2.kernel"][:, unit])
    rbf = pynn.Sequential([L.Flatten(), L.RBF(5), L.Dense(2)], (3, 4), seed=0)
    drawn = images(pynn.plot.first_layer(rbf, (3, 4)), 3, 4)
    np.testing.assert_array_equal(drawn[1].ravel(), rbf.parameters["1.centers"][1])
