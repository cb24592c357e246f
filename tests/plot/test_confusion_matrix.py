"""Confusion matrices, compared with scikit-learn's."""

import numpy as np
import pytest
from pictures import check_apart, check_nothing_is_cut, contrast

import pynn.plot

pytest.importorskip("matplotlib")

RNG = np.random.default_rng(0)
TRUE = RNG.integers(4, size=200)
PREDICTED = np.where(RNG.random(200) < 0.7, TRUE, RNG.integers(5, size=200))
NAMES = np.array(["cat", "dog", "eel", "fox", "gnu"])


def drawn(ax):
    return np.asarray(ax.images[0].get_array())


def cells(ax):
    """The texts by their places, row and column."""
    return {(round(t.get_position()[1]), round(t.get_position()[0])): t for t in ax.texts}


@pytest.mark.parametrize("normalize", [None, "true", "pred", "all"])
@pytest.mark.parametrize("labels", [None, [3, 0, 1], [0, 7, 2]])
def test_numbers_are_scikit_learns(normalize, labels):
    metrics = pytest.importorskip("sklearn.metrics")
    ax = pynn.plot.confusion_matrix(TRUE, PREDICTED, labels=labels, normalize=normalize)
    counts = metrics.confusion_matrix(TRUE, PREDICTED, labels=labels)
    expected = metrics.confusion_matrix(TRUE, PREDICTED, labels=labels, normalize=normalize)
    np.testing.assert_allclose(drawn(ax), expected, rtol=1e-12)
    for place, text in cells(ax).items():
        if normalize is None:
            assert text.get_text() == str(counts[place])
        else:
            assert text.get_text() == f"{100 * expected[place]:.0f} %\n({counts[place]})"
    names = [str(label) for label in ([0, 1, 2, 3, 4] if labels is None else labels)]
    assert [t.get_text() for t in ax.get_xticklabels()] == names
    assert [t.get_text() for t in ax.get_yticklabels()] == names
    assert ax.get_title() == f"Confusion matrix: {np.trace(counts)} of {counts.sum()} right"


@pytest.mark.parametrize("dtype", [int, str, object, float, bool])
def test_kinds_of_classes(dtype):
    metrics = pytest.importorskip("sklearn.metrics")
    truth, prediction = TRUE, PREDICTED
    if dtype in (str, object):
        truth, prediction = (NAMES[y].astype(dtype) for y in (TRUE, PREDICTED))
    elif dtype is bool:
        truth, prediction = TRUE > 1, PREDICTED > 1
    else:
        truth, prediction = TRUE.astype(dtype), PREDICTED.astype(dtype)
    ax = pynn.plot.confusion_matrix(list(truth), prediction)
    np.testing.assert_array_equal(drawn(ax), metrics.confusion_matrix(truth, prediction))


@pytest.mark.parametrize("normalize", [None, "true"])
@pytest.mark.parametrize("classes", [2, 10, 18])
def test_texts_can_be_read(classes, normalize):
    truth = RNG.integers(classes, size=2000)
    prediction = np.where(RNG.random(2000) < 0.5, truth, RNG.integers(classes, size=2000))
    ax = pynn.plot.confusion_matrix(truth, prediction, normalize=normalize)
    image = ax.images[0]
    assert len(ax.texts) == classes**2
    for place, text in cells(ax).items():
        cell = image.cmap(image.norm(drawn(ax)[place]))
        assert contrast(cell, text.get_color()) >= 4.5
    if normalize is None:
        assert {text.get_color() for text in ax.texts} == {"black", "white"}
    check_nothing_is_cut(ax.figure)
    check_apart(ax.texts)


def test_large_counts_fit_their_cells():
    y = np.repeat([0, 1, 2], [123456, 4000, 99])
    ax = pynn.plot.confusion_matrix(y, y[::-1])
    check_apart(ax.texts)


@pytest.mark.parametrize("normalize", [None, "true"])
def test_small_axes(pyplot, normalize):
    _, ax = pyplot.subplots(figsize=(3, 3))
    y = np.repeat(np.arange(5), 12345)
    pynn.plot.confusion_matrix(y, y, normalize=normalize, ax=ax)
    for text in ax.texts:  # all as long as the longest
        text.set_text(max((other.get_text() for other in ax.texts), key=len))
    check_apart(ax.texts)


def test_long_names():
    names = ["not spam", "advertisement", "a very long name indeed", "spam", "other"]
    ax = pynn.plot.confusion_matrix(TRUE, PREDICTED, class_names=names)
    assert [t.get_text() for t in ax.get_yticklabels()] == names
    check_apart(ax.get_yticklabels())
    check_nothing_is_cut(ax.figure)


def test_very_many_classes_are_colored_only():
    y = np.arange(60)
    ax = pynn.plot.confusion_matrix(y, y)
    assert not ax.texts
    np.testing.assert_array_equal(drawn(ax), np.eye(60))


def test_given_axes(pyplot):
    figure, axes = pyplot.subplots(1, 3, figsize=(13, 4))
    assert pynn.plot.confusion_matrix(TRUE, PREDICTED, ax=axes[1]) is axes[1]
    assert len(pyplot.get_fignums()) == 1
    assert axes[1].get_xlabel() == "predicted class"
    assert axes[1].get_ylabel() == "true class"
    # Nothing reaches into the neighbors, though no layout makes room.
    figure.canvas.draw()
    mine = [axes[1], axes[1].images[0].colorbar.ax]
    boxes = [a.get_tightbbox() for a in mine]
    assert axes[0].get_position().x1 * figure.bbox.width < min(box.x0 for box in boxes)
    assert max(box.x1 for box in boxes) < axes[2].get_position().x0 * figure.bbox.width


def test_subfigures(pyplot):
    figure = pyplot.figure(layout="constrained")
    ax = figure.subfigures(1, 2)[1].subplots()
    assert pynn.plot.confusion_matrix(TRUE, PREDICTED, ax=ax) is ax
    check_nothing_is_cut(figure)


@pytest.mark.parametrize(
    ("arguments", "exception", "says"),
    [
        ({"y_true": TRUE[:9]}, ValueError, ["y_pred", "200", "9"]),
        ({"y_true": np.eye(4)[TRUE]}, ValueError, ["y_true", "(200, 4)", "argmax"]),
        ({"y_pred": 3}, ValueError, ["y_pred", "()"]),
        ({"y_true": [], "y_pred": []}, ValueError, ["y_true", "no samples"]),
        ({"y_pred": PREDICTED + 0.5}, ValueError, ["y_pred", "fractions"]),
        ({"y_pred": np.full(200, np.nan)}, ValueError, ["y_pred", "NaN"]),
        ({"y_pred": [None] * 200}, TypeError, ["y_pred", "object"]),
        ({"y_pred": TRUE * 1j}, TypeError, ["y_pred", "complex128"]),
        ({"y_pred": NAMES[PREDICTED]}, TypeError, ["y_true", "y_pred", "int64", "<U3"]),
        ({"labels": 3}, TypeError, ["labels", "3"]),
        ({"labels": []}, ValueError, ["labels", "[]"]),
        ({"labels": [1, 1]}, ValueError, ["labels", "twice"]),
        ({"labels": [8, 9]}, ValueError, ["labels", "[8, 9]"]),
        ({"labels": "abc"}, ValueError, ["labels", "'abc'"]),
        ({"labels": ["a", "b"]}, TypeError, ["labels", "int64", "<U1"]),
        ({"normalize": "rows"}, ValueError, ["normalize", "true", "'rows'"]),
        ({"normalize": True}, TypeError, ["normalize", "True"]),
        ({"class_names": ["a", "b"]}, ValueError, ["class_names", "2", "5"]),
        ({"class_names": "abcde"}, TypeError, ["class_names", "'abcde'"]),
        ({"ax": "left"}, TypeError, ["ax", "str"]),
    ],
)
def test_errors(pyplot, arguments, exception, says):
    with pytest.raises(exception) as caught:
        pynn.plot.confusion_matrix(**{"y_true": TRUE, "y_pred": PREDICTED, **arguments})
    assert caught.type is exception
    for word in says:
        assert word in str(caught.value)
    assert not pyplot.get_fignums()


@pytest.mark.parametrize("classes", [1, 2, 10, 19, 20, 40, 100])
def test_the_figure_fits_a_screen(classes):
    y = np.arange(classes)
    width, height = pynn.plot.confusion_matrix(y, y).figure.get_size_inches()
    assert 4 < width <= 13
    assert 3.5 < height <= 12.5
    assert 0 < width - height < 1  # the matrix is square, with room for the color bar
