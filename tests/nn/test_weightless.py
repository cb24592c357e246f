"""Weights that sum to 0 in a part of the samples are errors, not a loss of NaN."""

import numpy as np
import pytest
from numpy_mlp import assert_same_bits, make_samples

import pynn
from pynn.plan import FIT_DEFAULTS, plan_fit

X, Y = make_samples("softmax_cross_entropy", 30, 4, 3, labels=True)
SPLIT = {"validation_split": 0.2, "shuffle": False}


def make(seed=0):
    return pynn.MLP([4, 5, 3], seed=seed)


def zero_at(rows):
    weights = np.ones(30)
    weights[rows] = 0
    return weights


def drawn(split):
    """The samples that a fit with this seed holds out, as `net.rng` draws them."""
    net = make()
    source, _ = plan_fit(net, X, Y, FIT_DEFAULTS | {"validation_split": split})
    return source.hold_out(net.rng)[1]


REFUSED = {
    "the last samples": (dict(sample_weight=zero_at(slice(24, None)), **SPLIT), "holds out 6"),
    "the first samples": (dict(sample_weight=zero_at(slice(0, 24)), **SPLIT), "trains on 24"),
    "their class": (
        dict(class_weight={2: 0.0}, **SPLIT),
        "holds out 6 samples whose weights are all 0, by sample_weight or class_weight",
    ),
    "the others' class": (dict(class_weight={0: 0.0, 1: 0.0}, **SPLIT), "trains on 24"),
    "both": (
        {"class_weight": {1: 0.0}, "sample_weight": zero_at(Y != 1)},
        "class_weight leaves every sample a weight of 0",
    ),
    "drawn samples": (
        {"sample_weight": zero_at(drawn(0.2)), "validation_split": 0.2},
        "holds out 6",
    ),
    "validation data": (
        {"validation_data": (X, Y, np.zeros(30))},
        r"validation_data\[2\] is 0 everywhere",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_fit_refuses_it_and_nothing_has_changed(name):
    options, message = REFUSED[name]
    last = np.where(np.arange(30) < 24, np.arange(30) % 2, 2)  # one class holds the last rows
    targets = last if "class" in name else Y
    net, before = make(), make()
    with pytest.raises(ValueError, match=message):
        net.fit(X, targets, epochs=1, **options)
    assert_same_bits(net, before)
    assert net.history is None
    assert net.optimizer is None
    assert net.rng.bit_generator.state == before.rng.bit_generator.state


def test_one_sample_with_weight_is_enough():
    weights = zero_at(slice(25, None))
    history = make().fit(X, Y, epochs=2, sample_weight=weights, **SPLIT)
    assert np.isfinite(history["val_loss"]).all()
    assert np.isfinite(history["val_accuracy"]).all()


@pytest.mark.parametrize("call", ["evaluate", "score", "gradients"])
def test_other_calls(call):
    with pytest.raises(ValueError, match="sample_weight is 0 everywhere"):
        getattr(make(), call)(X, Y, np.zeros(30))


def test_many():
    with pytest.raises(ValueError, match="holds out 6 samples whose weights are all 0"):
        pynn.fit_many(
            [make()], X, Y, epochs=1, sample_weight=zero_at(slice(24, None)), on_error="raise",
            **SPLIT,
        )  # fmt: skip
    folds = [(np.arange(20), np.arange(20, 30))]
    for rows, part in ((slice(20, None), "test"), (slice(0, 20), "train")):
        with pytest.raises(ValueError, match=f"0 for all {part} samples of fold 0"):
            pynn.fit_many([make()], X, Y, epochs=1, cv=folds, sample_weight=zero_at(rows))


@pytest.mark.parametrize("kind", ["MLPClassifier", "MLPRegressor"])
def test_estimators(kind):
    sklearn = pytest.importorskip("pynn.sklearn")
    estimator = getattr(sklearn, kind)(random_state=0, max_iter=2)
    with pytest.raises(ValueError, match=r"validation_data\[2\] is 0|at least one non-zero"):
        estimator.fit(X, Y, validation_data=(X, Y, np.zeros(30)))
    estimator.set_params(early_stopping=True)
    split = sklearn._stochastic.train_test_split
    rows = []

    def watched(*args, **options):
        rows.extend(split(*args, **options))
        return rows

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sklearn._stochastic, "train_test_split", watched)
        with pytest.warns(UserWarning, match="converged"):
            estimator.fit(X, Y)
    for part, name in zip(rows, ("training", "validation"), strict=True):
        with pytest.raises(ValueError, match=f"sample_weight is 0 for all {name} samples"):
            estimator.fit(X, Y, sample_weight=zero_at(part))
