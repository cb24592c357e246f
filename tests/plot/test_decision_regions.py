"""Decision regions, compared with the model's predictions."""

import numpy as np
import pytest
from numpy_mlp import NumpyMLP
from pictures import check_apart, check_nothing_is_cut, linear

import pynn.plot
from pynn.plot._common import PALETTE, class_color, class_marker

to_rgb = pytest.importorskip("matplotlib.colors").to_rgb

RNG = np.random.default_rng(0)
CENTERS = np.array([[0, 0], [4, 0], [0, 4], [4, 4]])


def make(classes, n=120):
    y = RNG.integers(classes, size=n)
    return CENTERS[y] + RNG.normal(size=(n, 2)), y


def trained(loss, classes):
    X, y = make(classes)
    net = pynn.MLP([2, 8, 1 if loss.startswith("sigmoid") else classes], "tanh", loss, seed=0)
    net.fit(X, y, epochs=20, optimizer=pynn.Adam(0.01))
    return net, X, y


def pixels(ax):
    """The picture's colors, and the points that they stand for."""
    image = ax.images[0]
    picture = np.asarray(image.get_array())
    left, right, bottom, top = image.get_extent()
    assert image.origin == "lower"
    assert not ax.yaxis_inverted()
    rows, columns = picture.shape[:2]
    x = left + (np.arange(columns) + 0.5) * (right - left) / columns
    y = bottom + (np.arange(rows) + 0.5) * (top - bottom) / rows
    return picture, np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)


def expected(probabilities, predicted):
    """White mixed with the class's color: from a tenth of it to 0.55, evenly."""
    count = probabilities.shape[1]
    highest = probabilities[np.arange(len(predicted)), predicted]
    certainty = (highest - 1 / count) / (1 - 1 / count)
    strength = 0.1 + 0.45 * certainty[:, None]
    return (1 - strength) + strength * np.array([to_rgb(c) for c in PALETTE])[predicted]


@pytest.mark.parametrize(
    ("loss", "classes"),
    [("softmax_cross_entropy", 4), ("softmax_cross_entropy", 2), ("sigmoid_cross_entropy", 2)],
)
def test_regions_of_a_network(loss, classes):
    net, X, y = trained(loss, classes)
    ax = pynn.plot.decision_regions(net, X, y, resolution=40)
    picture, points = pixels(ax)
    p = NumpyMLP(net)(points)
    if p.shape[1] == 1:
        p = np.hstack([1 - p, p])
    predicted = p.argmax(axis=1)
    assert len(np.unique(predicted)) == classes
    np.testing.assert_allclose(picture.reshape(-1, 3), expected(p, predicted), atol=1e-4)


def test_regions_of_an_estimator_with_probabilities():
    linear_model = pytest.importorskip("sklearn.linear_model")
    X, y = make(3)
    names = np.array(["ant", "bee", "cow"])[y]
    model = linear_model.LogisticRegression().fit(X, names)
    ax = pynn.plot.decision_regions(model, X, names, resolution=30)
    picture, points = pixels(ax)
    predicted = np.searchsorted(model.classes_, model.predict(points))
    wanted = expected(model.predict_proba(points), predicted)
    np.testing.assert_allclose(picture.reshape(-1, 3), wanted, atol=1e-9)
    assert [t.get_text() for t in ax.get_legend().get_texts()] == ["ant", "bee", "cow"]


def test_regions_of_an_estimator_without_probabilities():
    tree = pytest.importorskip("sklearn.svm")
    X, y = make(4)
    model = tree.SVC().fit(X, y * 10)
    ax = pynn.plot.decision_regions(model, X, y * 10, resolution=30)
    picture, points = pixels(ax)
    colors = np.array([to_rgb(c) for c in PALETTE])[model.predict(points) // 10]
    strength = (1 - picture.reshape(-1, 3)) / (1 - colors).clip(min=1e-9)
    assert np.allclose(strength[colors < 0.9], 0.325)


class Halves:
    """Says 7 left of x = 1, and 3 right of it."""

    def predict(self, X):
        return np.where(X[:, 0] < 1, 7, 3)


def test_any_object_with_predict():
    X, _ = make(2)
    ax = pynn.plot.decision_regions(Halves(), X)
    assert [t.get_text() for t in ax.get_legend().get_texts()] == ["3", "7"]
    (edge,) = ax.collections[:1]
    vertices = np.concatenate([path.vertices for path in edge.get_paths()])
    width = np.ptp(ax.get_xlim()) / 199
    assert np.abs(vertices[:, 0] - 1).max() <= width
    # Without y each region bears its name, within it.
    for text in ax.texts:
        assert text.get_text() == str(Halves().predict(np.array([text.get_position()]))[0])
    assert len(ax.texts) == 2


def test_edges_lie_where_two_classes_are_as_probable():
    net, X, y = trained("sigmoid_cross_entropy", 2)
    ax = pynn.plot.decision_regions(net, X, y)
    edge = ax.collections[0]
    vertices = np.concatenate([path.vertices for path in edge.get_paths()])
    assert len(vertices) > 100
    np.testing.assert_allclose(net(vertices), 0.5, atol=0.01)


def test_one_class_everywhere():
    class Always:
        def predict(self, X):
            return np.zeros(len(X), int)

    X, _ = make(2)
    for y in (None, np.zeros(len(X), int)):
        pynn.plot.decision_regions(Always(), X, y).figure.canvas.draw()
    net = pynn.MLP([2, 3], seed=0)
    net.biases[0][:] = [100, 0, 0]
    ax = pynn.plot.decision_regions(net, X)
    assert [text.get_text() for text in ax.texts] == ["0"]


def test_samples_have_their_classes_markers():
    net, X, y = trained("softmax_cross_entropy", 4)
    ax = pynn.plot.decision_regions(net, X, y)
    points = [c for c in ax.collections if len(c.get_offsets()) > 1]
    assert len(points) == 4
    for i, collection in enumerate(points):
        np.testing.assert_allclose(collection.get_offsets(), X[y == i])
        np.testing.assert_allclose(collection.get_facecolor()[0][:3], to_rgb(PALETTE[i]))
    assert len({c.get_paths()[0].vertices.tobytes() for c in points}) == 4
    assert ax.get_legend().get_title().get_text() == "class"
    low, high = X.min(axis=0), X.max(axis=0)
    room = 0.1 * (high - low)
    np.testing.assert_allclose(
        [ax.get_xlim(), ax.get_ylim()], np.stack([low - room, high + room]).T
    )


def test_names(pyplot):
    net, X, y = trained("softmax_cross_entropy", 2)
    ax = pynn.plot.decision_regions(
        net, X, y, class_names=["healthy", "ill"], feature_names=["age", "weight (kg)"]
    )
    assert [t.get_text() for t in ax.get_legend().get_texts()] == ["healthy", "ill"]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("age", "weight (kg)")
    check_nothing_is_cut(ax.figure)


def test_data_frames():
    pd = pytest.importorskip("pandas")
    neighbors = pytest.importorskip("sklearn.neighbors")
    X, y = make(3)
    frame = pd.DataFrame(X, columns=["height", "width"])
    model = neighbors.KNeighborsClassifier().fit(frame, y)
    ax = pynn.plot.decision_regions(model, frame, pd.Series(y), resolution=20)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("height", "width")


def test_many_classes():
    X = RNG.normal(size=(500, 2))
    angle = np.arctan2(X[:, 1], X[:, 0])

    class Sectors:
        def predict(self, X):
            return ((np.arctan2(X[:, 1], X[:, 0]) + np.pi) / (2 * np.pi) * 19.99).astype(int)

    for y in (None, ((angle + np.pi) / (2 * np.pi) * 19.99).astype(int)):
        ax = pynn.plot.decision_regions(Sectors(), X, y, resolution=300)
        assert len(ax.get_legend().get_texts()) == 20
        check_nothing_is_cut(ax.figure)
        check_apart(ax.get_legend().get_texts())


def test_constant_features():
    """A range of no width gets one, around its only value."""
    ax = pynn.plot.decision_regions(Halves(), [[5.0, 2.0]], margin=0.0)
    ax.figure.canvas.draw()
    for (low, high), value in ((ax.get_xlim(), 5.0), (ax.get_ylim(), 2.0)):
        assert low < value < high
        assert value - low == pytest.approx(high - value)


def test_given_axes(pyplot):
    _, ax = pyplot.subplots()
    X, _ = make(2)
    assert pynn.plot.decision_regions(Halves(), X, ax=ax) is ax
    assert len(pyplot.get_fignums()) == 1


# Machado, Oliveira, Fernandes, "A physiologically-based model for simulation of color vision
# deficiency", 2009: how linear RGB looks without one kind of cones.
BLINDNESS = {
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216],
                   [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413],
                     [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602],
                   [0.004733, 0.691367, 0.303900]],
}  # fmt: skip
XYZ = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]


def lab(rgb):
    """CIELAB, where distances are about as large as they look."""
    x, y, z = np.cbrt((np.array(XYZ) @ rgb.clip(0, 1)) / np.sum(XYZ, axis=1))
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("kind", BLINDNESS)
def test_colors_for_the_color_blind(kind):
    seen = [lab(np.array(BLINDNESS[kind]) @ linear(color)) for color in PALETTE]
    for i, a in enumerate(seen):
        for b in seen[:i]:
            assert np.linalg.norm(a - b) > 10  # 2.3 is just noticeable


def test_color_and_marker_tell_classes_apart():
    pairs = [(class_color(i), class_marker(i)) for i in range(77)]
    assert len(set(pairs)) == 77
    assert len({class_color(i) for i in range(21)}) == 21
    assert all(0 <= part <= 1 for i in range(77) for part in class_color(i))


class Says:
    def __init__(self, answer, probabilities=None):
        self.answer = answer
        if probabilities is not None:
            self.predict_proba = lambda X: np.broadcast_to(probabilities, (len(X), 2))
            self.classes_ = [0, 1]

    def predict(self, X):
        return np.full(len(X), self.answer) if np.ndim(self.answer) == 0 else self.answer


X, Y = make(2)


@pytest.mark.parametrize(
    ("arguments", "exception", "says"),
    [
        ({"model": 3}, TypeError, ["model", "predict", "int"]),
        ({"model": pynn.MLP([3, 2])}, ValueError, ["model", "2 inputs", "3"]),
        ({"model": pynn.MLP([2, 2], loss="mse")}, ValueError, ["model", "classifier", "mse"]),
        (
            {"model": pynn.MLP([2, 3], loss="sigmoid_cross_entropy")},
            ValueError,
            ["model", "3 independent outputs"],
        ),
        ({"model": Says(0.5)}, ValueError, ["model.predict", "fractions"]),
        ({"model": Says(np.zeros(3))}, ValueError, ["model.predict", "(3,)", "40000"]),
        ({"model": Says(2, [0.5, 0.5])}, ValueError, ["model.predict", "classes_"]),
        ({"model": Says(0, [np.nan, 0.5])}, ValueError, ["probabilities", "not finite"]),
        ({"X": X[:, :1]}, ValueError, ["X", "(120, 1)", "(n, 2)"]),
        ({"X": X[:0]}, ValueError, ["X", "no samples"]),
        ({"X": X.astype(str)}, TypeError, ["X", "<U"]),
        ({"X": X * np.nan}, ValueError, ["X", "not finite"]),
        ({"y": Y[:5]}, ValueError, ["y", "(5,)", "(120,)"]),
        ({"y": np.eye(2)[Y]}, ValueError, ["y", "(120, 2)", "argmax"]),
        ({"y": Y + 1}, ValueError, ["y", "2", "0, 1"]),
        ({"resolution": 1}, ValueError, ["resolution", "1"]),
        ({"resolution": 9.5}, TypeError, ["resolution", "9.5"]),
        ({"margin": -0.1}, ValueError, ["margin", "-0.1"]),
        ({"class_names": ["a"]}, ValueError, ["class_names", "1 names", "2"]),
        ({"feature_names": "xy"}, TypeError, ["feature_names", "'xy'"]),
        ({"ax": 3}, TypeError, ["ax", "int"]),
    ],
)
def test_errors(pyplot, arguments, exception, says):
    with pytest.raises(exception) as caught:
        pynn.plot.decision_regions(
            **{"model": pynn.MLP([2, 2], seed=0), "X": X, "y": Y, **arguments}
        )
    assert caught.type is exception
    for word in says:
        assert word in str(caught.value)
    assert not pyplot.get_fignums()


def test_tiny_samples_raise_no_flag(pyplot):
    samples = np.array([[0.0, 0.0], [1.0, 0.5]]) * np.finfo(float).tiny
    with np.errstate(all="raise"):
        ax = pynn.plot.decision_regions(pynn.MLP([2, 2], seed=0), samples, [0, 1])
    shown = [c.get_offsets() for c in ax.collections if len(c.get_offsets()) == 1]
    np.testing.assert_array_equal(np.concatenate(shown), samples)


def test_networks_of_layers():
    from pynn import layers as L

    X = np.random.default_rng(0).normal(size=(40, 2))
    y = (X[:, 0] * X[:, 1] > 0).astype(int)
    for last, loss in ((2, "softmax_cross_entropy"), (1, "sigmoid_cross_entropy")):
        layers = [L.Dense(8, "tanh"), L.LayerNorm(), L.Dense(last)]
        ax = pynn.plot.decision_regions(pynn.Sequential(layers, 2, loss=loss, seed=0), X, y)
        assert ax.images
    for shape, size in (((3,), "3"), ((2, 2), r"\(2, 2\)")):
        net = pynn.Sequential([L.Dense(2)], shape)
        with pytest.raises(ValueError, match=f"2 inputs, got a network of {size}"):
            pynn.plot.decision_regions(net, X, y)
