"""Learning curves."""

import math

import numpy as np
import pytest
from pictures import check_nothing_is_cut

import pynn.plot

pytest.importorskip("matplotlib")

FIGURES = {
    "epoch": [1, 2, 3, 4],
    "loss": [4.0, 3.0, 2.0, 1.0],
    "val_loss": [math.nan, 3.5, 3.1, 3.2],
    "accuracy": [0.1, 0.2, 0.3, 0.4],
    "val_accuracy": [0.2, 0.3, 0.4, 0.5],
    "val_r2": [-3.0, -2.0, -1.0, 0.0],
    "learning_rate": [0.1] * 4,
    "seconds": [1.0] * 4,
}


def lines(ax):
    return {
        line.get_label(): (list(line.get_xdata()), list(line.get_ydata()))
        for line in ax.get_lines()
        if not line.get_label().startswith("_")
    }


def panels(ax):
    return {panel.get_ylabel(): lines(panel) for panel in ax.figure.axes}


def test_panels():
    ax = pynn.plot.learning_curve(FIGURES)
    drawn = panels(ax)
    assert list(drawn) == ["loss", "accuracy", "r2"]
    for name, curves in drawn.items():
        for prefix, label in (("", "training"), ("val_", "validation")):
            if prefix + name in FIGURES:
                epochs, values = curves[label]
                assert epochs == FIGURES["epoch"]
                np.testing.assert_array_equal(values, FIGURES[prefix + name])
            else:
                assert label not in curves
    assert ax.get_ylabel() == "loss"
    assert ax.get_title() == "Learning curve"
    assert ax.figure.axes[-1].get_xlabel() == "epoch"
    check_nothing_is_cut(ax.figure)


def test_the_best_epoch_is_that_of_the_smallest_validation_loss():
    drawn = panels(pynn.plot.learning_curve(FIGURES))
    assert drawn["loss"]["best: epoch 3"] == ([3], [3.1])
    # The other panels mark the same epoch.
    (accuracy,) = [
        line
        for line in pynn.plot.learning_curve(FIGURES).figure.axes[1].get_lines()
        if line.get_marker() == "*"
    ]
    assert (list(accuracy.get_xdata()), list(accuracy.get_ydata())) == ([3], [0.4])


@pytest.mark.parametrize("values", [[math.nan] * 4, [math.inf, math.nan, math.inf, math.inf]])
def test_no_epoch_is_best_where_no_loss_is_finite(values):
    ax = pynn.plot.learning_curve({"loss": FIGURES["loss"], "val_loss": values})
    assert list(lines(ax)) == ["training", "validation"]
    ax.figure.canvas.draw()


def test_curves_are_told_apart_without_colors():
    ax = pynn.plot.learning_curve(FIGURES)
    styles = {line.get_label(): line.get_linestyle() for line in ax.get_lines()}
    assert styles["training"] != styles["validation"]


def test_chosen_metrics():
    assert list(panels(pynn.plot.learning_curve(FIGURES, metrics=["r2"]))) == ["loss", "r2"]
    assert list(panels(pynn.plot.learning_curve(FIGURES, metrics="r2"))) == ["loss", "r2"]
    assert list(panels(pynn.plot.learning_curve(FIGURES, metrics=[]))) == ["loss"]


def test_given_axes(pyplot):
    _, ax = pyplot.subplots()
    assert pynn.plot.learning_curve(FIGURES, ax) is ax
    assert len(pyplot.get_fignums()) == 1
    assert len(ax.figure.axes) == 1
    assert ax.get_xlabel() == "epoch"


@pytest.mark.parametrize("count", [0, 1, 2, 100])
def test_any_number_of_epochs(count):
    ax = pynn.plot.learning_curve({"loss": [1.0] * count, "val_loss": [2.0] * count})
    ax.figure.canvas.draw()
    assert all(tick == round(tick) for tick in ax.get_xticks()) or count == 0


def test_a_history_draws_itself(pyplot):
    history = pynn.History.from_dict(FIGURES)
    assert str(panels(history.plot())) == str(panels(pynn.plot.learning_curve(FIGURES)))
    _, ax = pyplot.subplots()
    assert history.plot(ax) is ax


@pytest.mark.parametrize(
    ("arguments", "exception", "says"),
    [
        ({"history": 3}, TypeError, ["history", "3"]),
        ({"history": {"loss": 3}}, TypeError, ["history", "history['loss']"]),
        ({"history": {"loss": [1], "r2": []}}, ValueError, ["history", "one length"]),
        ({"metrics": ["mae"]}, ValueError, ["metrics", "accuracy, r2", "'mae'"]),
        ({"metrics": 3}, TypeError, ["metrics", "3"]),
        ({"ax": "left"}, TypeError, ["ax", "str"]),
    ],
)
def test_errors(pyplot, arguments, exception, says):
    with pytest.raises(exception) as caught:
        pynn.plot.learning_curve(**{"history": FIGURES, **arguments})
    assert caught.type is exception
    for word in says:
        assert word in str(caught.value)
    assert not pyplot.get_fignums()


def test_metrics_have_no_place_in_given_axes(pyplot):
    _, ax = pyplot.subplots()
    with pytest.raises(ValueError, match="metrics or ax, not both"):
        pynn.plot.learning_curve(FIGURES, ax, metrics=["r2"])
