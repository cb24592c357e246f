"""Networks as diagrams."""

import numpy as np
import pytest
from pictures import check_apart, check_nothing_is_cut

import pynn.plot

collections = pytest.importorskip("matplotlib.collections")
to_rgb = pytest.importorskip("matplotlib.colors").to_rgb

BLUE, VERMILION = to_rgb("#0072B2"), to_rgb("#D55E00")


def lines(ax):
    """Of each connection: where from, where to, width, color, dashed."""
    found = []
    for collection in ax.collections:
        if isinstance(collection, collections.LineCollection) and collection.get_segments():
            dashed = collection.get_linestyles()[0][1] is not None
            for segment, width, color in zip(
                collection.get_segments(),
                collection.get_linewidths(),
                collection.get_colors(),
                strict=True,
            ):
                found.append((*map(tuple, segment), width, tuple(color), dashed))
    return found


def circles(ax):
    """The centers of the units, and of the dots that stand for others."""
    units, dots = [], []
    for collection in ax.collections:
        if isinstance(collection, collections.PatchCollection):
            for path in collection.get_paths():
                box = path.get_extents()
                (units if box.width > 0.3 else dots).append(
                    ((box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2)
                )
    return units, dots


def texts(ax):
    legend = ax.get_legend()
    return [*ax.texts, ax.title, *legend.get_texts(), legend.get_title()]


def layers(ax):
    """The heights of the units of each layer, from the top."""
    units, _ = circles(ax)
    xs = sorted({round(x, 6) for x, _ in units})
    return xs, [sorted((y for x, y in units if abs(x - at) < 1e-3), reverse=True) for at in xs]


def test_lines_are_the_weights():
    net = pynn.MLP([3, 4, 2], seed=0)
    net.weights[1][0, 0] = 0.0
    ax = pynn.plot.network(net)
    xs, heights = layers(ax)
    assert [len(h) for h in heights] == [3, 4, 2]
    drawn = {(start, end): rest for start, end, *rest in lines(ax)}
    count = 0
    for layer, weights in enumerate(net.weights):
        largest = np.abs(weights).max()
        order = []
        for (i, j), weight in np.ndenumerate(weights):
            if weight == 0:
                continue
            width, color, dashed = next(
                rest
                for (start, end), rest in drawn.items()
                if np.allclose(start, (xs[layer], heights[layer][i]))
                and np.allclose(end, (xs[layer + 1], heights[layer + 1][j]))
            )
            count += 1
            np.testing.assert_allclose(color[:3], BLUE if weight > 0 else VERMILION)
            assert dashed is bool(weight < 0)
            order.append((abs(weight) / largest, width, color[3]))
        # Width and opacity rise with the magnitude, evenly, to the same largest in each layer.
        share, width, opacity = np.array(sorted(order)).T
        assert share[-1] == 1
        np.testing.assert_allclose(np.interp(share, [0, 1], [0.15, 2.4]), width, rtol=1e-6)
        np.testing.assert_allclose(np.interp(share, [0, 1], [0.12, 0.9]), opacity, rtol=1e-6)
    assert count == len(drawn) == 3 * 4 + 4 * 2 - 1


@pytest.mark.parametrize(("most", "shown"), [(12, [12, 10, 3]), (5, [5, 5, 3]), (2, [2, 2, 2])])
def test_wide_layers_are_shortened(most, shown):
    ax = pynn.plot.network(pynn.MLP([784, 10, 3], seed=0), max_units=most)
    xs, heights = layers(ax)
    assert [len(h) for h in heights] == shown
    _, dots = circles(ax)
    assert len(dots) == 3 * sum(n < size for n, size in zip(shown, (784, 10, 3), strict=True))
    # Units lie 1 apart, and 2 where dots are between.
    for x, ys in zip(xs, heights, strict=True):
        steps = -np.diff(ys)
        mine = [y for at, y in dots if abs(at - x) < 1e-3]
        np.testing.assert_allclose(np.sort(steps)[: len(steps) - bool(mine)], 1)
        for y in mine:
            assert min(abs(y - other) for other in ys) > 0.5
    assert len(lines(ax)) == shown[0] * shown[1] + shown[1] * shown[2]


def test_the_last_units_of_a_wide_layer_are_its_last():
    net = pynn.MLP([9, 1], loss="mse", seed=0)
    net.weights[0][:, 0] = [1, 0, 0, 0, 0, 0, 0, 0, -0.5]
    ax = pynn.plot.network(net, max_units=4)
    drawn = sorted(lines(ax), key=lambda line: line[0][1])
    assert [line[4] for line in drawn] == [True, False]
    assert drawn[1][2] == pytest.approx(2.4)


def test_captions():
    net = pynn.MLP([4, 6, 1], ["tanh"], "sigmoid_cross_entropy", seed=0)
    ax = pynn.plot.network(
        net, input_names=["a", "b", "c", "d"], output_names=np.array(["probability"])
    )
    assert ax.get_title() == "4-6-1 network"
    written = [text.get_text() for text in ax.texts]
    for text in ("input", "hidden 1", "output", "a", "d", "probability"):
        assert text in written
    assert "6 units\ntanh" in written
    assert "1 unit\nsigmoid" in written
    assert "4 inputs\n" in written


@pytest.mark.parametrize(
    "sizes", [[1, 1], [3, 1], [64, 40, 10], [2, 32, 32, 2], [784, 256, 128, 64, 32, 10]]
)
def test_texts_are_inside_and_apart(sizes):
    names = [f"feature {i}" for i in range(sizes[0])]
    ax = pynn.plot.network(pynn.MLP(sizes, loss="mse", seed=0), input_names=names)
    check_nothing_is_cut(ax.figure)
    check_apart(texts(ax))


def test_texts_are_inside_and_apart_in_given_axes(pyplot):
    figure, axes = pyplot.subplots(1, 2, figsize=(12, 4))
    net = pynn.MLP([4, 5, 3], seed=0)
    assert pynn.plot.network(net, axes[0]) is axes[0]
    assert len(pyplot.get_fignums()) == 1
    check_nothing_is_cut(figure)
    check_apart(texts(axes[0]))


def test_units_are_round(pyplot):
    for given in (None, pyplot.subplots(figsize=(9, 3))[1]):
        ax = pynn.plot.network(pynn.MLP([4, 5, 3], seed=0), given)
        ax.figure.canvas.draw()
        (x0, y0), (x1, y1) = ax.transData.transform([(0, 0), (1, 1)])
        assert x1 - x0 == pytest.approx(y1 - y0, rel=1e-3)


def test_scikit_learns_networks():
    neural_network = pytest.importorskip("sklearn.neural_network")
    rng = np.random.default_rng(0)
    model = neural_network.MLPClassifier((5,), "tanh", solver="lbfgs", max_iter=30, tol=1)
    model.fit(rng.normal(size=(20, 3)), rng.integers(3, size=20))
    ax = pynn.plot.network(model)
    written = [text.get_text() for text in ax.texts]
    assert "5 units\ntanh" in written
    assert "3 units\nsoftmax" in written
    assert len(lines(ax)) == 3 * 5 + 5 * 3


@pytest.mark.parametrize("value", [0.0, np.nan, np.inf])
def test_strange_weights(value):
    net = pynn.MLP([4, 5, 3], seed=0)
    net.weights[0][1] = value
    net.weights[1][...] = value
    ax = pynn.plot.network(net)
    ax.figure.canvas.draw()
    # A weight of 0, or none, has no line; an infinite one is as thick as the largest.
    drawn = lines(ax)
    assert len(drawn) == 3 * 5 + (5 + 5 * 3 if np.isinf(value) else 0)
    if np.isinf(value):
        assert [line[2] for line in drawn if line[0][0] > 0] == pytest.approx([2.4] * 15)


def test_subfigures(pyplot):
    figure = pyplot.figure(layout="constrained")
    ax = figure.subfigures(1, 2)[1].subplots()
    assert pynn.plot.network(pynn.MLP([4, 5, 3], seed=0), ax) is ax
    check_nothing_is_cut(figure)


@pytest.mark.parametrize(
    ("arguments", "exception", "says"),
    [
        ({"net": [np.eye(3)]}, TypeError, ["net", "list"]),
        ({"max_units": 1}, ValueError, ["max_units", "2", "1"]),
        ({"max_units": None}, TypeError, ["max_units", "None"]),
        ({"input_names": ["a"]}, ValueError, ["input_names", "1 names", "4"]),
        ({"output_names": "abc"}, TypeError, ["output_names", "'abc'"]),
        ({"output_names": 3}, TypeError, ["output_names", "3"]),
        ({"ax": np.array([None])}, TypeError, ["ax", "ndarray", "pass one"]),
    ],
)
def test_errors(pyplot, arguments, exception, says):
    with pytest.raises(exception) as caught:
        pynn.plot.network(**{"net": pynn.MLP([4, 5, 3], seed=0), **arguments})
    assert caught.type is exception
    for word in says:
        assert word in str(caught.value)
    assert not pyplot.get_fignums()


@pytest.mark.parametrize("weights", [[], [np.ones(3)], [np.ones((3, 4)), np.ones((5, 2))]])
def test_what_is_no_chain_of_matrices(weights):
    class Network:
        pass

    net = Network()
    net.weights = weights
    with pytest.raises(ValueError, match="net must have a matrix of shape"):
        pynn.plot.network(net)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_weights_of_all_sizes_raise_no_flag(pyplot, dtype):
    info = np.finfo(dtype)
    net = pynn.MLP([6, 5, 3], dtype=dtype, seed=0)
    for weight in net.weights:
        sizes = np.array([info.max, -info.max, info.tiny, -info.smallest_subnormal, 1, 0], dtype)
        weight[...] = np.resize(sizes, weight.shape)
    with np.errstate(all="raise"):
        ax = pynn.plot.network(net)
        ax.figure.canvas.draw()
    net.weights[0][...] = np.resize(np.array([1, info.smallest_subnormal], dtype), (6, 5))
    with np.errstate(all="raise"):
        ax = pynn.plot.network(net)
        ax.figure.canvas.draw()
    first = sorted(line[2] for line in lines(ax) if line[0][0] == 0)
    assert first == pytest.approx([0.15] * 15 + [2.4] * 15)


def test_a_sequential_of_dense_layers_is_drawn_as_an_mlp():
    L = pynn.layers
    net = pynn.Sequential([L.Dense(4, "tanh"), L.Dropout(0.1), L.Dense(2)], 3, seed=0)
    ax = pynn.plot.network(net, input_names=["a", "b", "c"])
    assert ax.get_title() == "3-4-2 network"
    assert len(lines(ax)) == 3 * 4 + 4 * 2
    assert {"4 units\ntanh", "2 units\nsoftmax"} <= {text.get_text() for text in ax.texts}
    check_nothing_is_cut(ax.figure)


def test_other_layers_are_boxes():
    L = pynn.layers
    inner = L.Residual([L.Dense(8)], "relu")
    layers = [
        L.Embedding(9, 8),
        L.Residual([L.LayerNorm(), inner]),
        L.GlobalAvgPool1D(),
        L.Dense(2),
    ]
    net = pynn.Sequential(layers, 6, seed=0)
    ax = pynn.plot.network(net)
    assert ax.get_title() == "network of 4 layers"
    words = [text.get_text() for text in ax.texts if text.get_text()]
    assert words[::2] == [
        *("input", "Embedding(9, 8)", "LayerNorm", "Dense(8)", "+, relu", "+"),
        *("GlobalAvgPool1D", "Dense(2)"),
    ]
    assert words[1::2] == ["(n, 6)", *["(n, 6, 8)"] * 5, "(n, 8)", "(n, 2)"]
    assert len(ax.patches) == len(words) / 2
    assert len(ax.lines) == 2
    left = [line.get_xdata()[1] for line in ax.lines]
    assert left[1] < left[0] < 0
    check_nothing_is_cut(ax.figure)
    with pytest.raises(ValueError, match="input_names must be None for a network of other layers"):
        pynn.plot.network(net, input_names=["a"] * 6)
