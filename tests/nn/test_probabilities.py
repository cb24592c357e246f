"""Rows of probabilities sum to 1, up to rounding; other rows are refused."""

import numpy as np
import pytest
from numpy_mlp import assert_same_bits

import pynn

RNG = np.random.default_rng(0)
X = RNG.normal(size=(30, 4)).astype(np.float32)
SOFT = RNG.dirichlet(np.ones(3), 30)
ONE_HOT = np.eye(3)[np.arange(30) % 3]


def changed(row, values, of=SOFT):
    result = np.array(of, np.float64)
    result[row] = values
    return result


def make(**options):
    return pynn.MLP([4, 5, 3], seed=0, **options)


CALLS = {
    "fit": ("y", lambda y: make().fit(X, y, epochs=1)),
    "validation data": (
        r"validation_data\[1\]",
        lambda y: make().fit(X, ONE_HOT, epochs=1, validation_data=(X, y)),
    ),
    "mini-batches": ("y of mini-batch 0", lambda y: make().fit([(X, y)], epochs=1)),
    "train_on_batch": ("y", lambda y: make().train_on_batch(X, y)),
    "evaluate": ("y", lambda y: make().evaluate(X, y)),
    "score": ("y", lambda y: make().score(X, y)),
    "gradients": ("y", lambda y: make().gradients(X, y)),
    "label smoothing": (
        "y",
        lambda y: make(loss=pynn.SoftmaxCrossEntropy(0.1)).fit(X, y, epochs=1),
    ),
    "float64": ("y", lambda y: make(dtype="float64").fit(X, y, epochs=1)),
    "fit_many": (r"models\[0\]: y", lambda y: pynn.fit_many([make()], X, y, epochs=1)),
    "the function": ("target", lambda y: pynn.softmax_cross_entropy(np.ones((30, 3)), y)),
    "the function in float32": (
        "target",
        lambda y: pynn.softmax_cross_entropy(np.ones((30, 3), np.float32), y),
    ),
}
REFUSED = {
    "half": (SOFT / 2, r"row 0 sums to 0.5; divide by the sums: \w.*/ \w.*\.sum\(axis=1, keepdims"),
    "several classes": (
        changed(7, [1, 1, 0], ONE_HOT),
        "row 7 sums to 2; for several classes a row use the loss sigmoid_cross_entropy",
    ),
    "no class": (changed(3, 0, ONE_HOT), "row 3 sums to 0; leave rows without a class out"),
    "rounded by hand": (changed(29, 0.33), "row 29 sums to 0.99; divide"),
    "booleans": (np.ones((30, 3), bool), "row 0 sums to 3; for several classes"),
    "small integers": (np.ones((30, 3), np.uint8), "row 0 sums to 3; for several classes"),
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("name", REFUSED)
def test_refused(name, call):
    y, message = REFUSED[name]
    argument, function = CALLS[call]
    expected = rf"^{argument} must hold probabilities with a sum of 1 in each row, but {message}"
    with np.errstate(all="raise"), pytest.raises(ValueError, match=expected):
        function(y)


def test_many_classes_do_not_wrap_around():
    y = np.zeros((30, 300), np.uint8)
    y[:, :257] = 1  # 257 is 1 in eight bits
    with pytest.raises(ValueError, match="row 0 sums to 257"):
        pynn.MLP([4, 300], seed=0).fit(X, y, epochs=1)


@pytest.mark.parametrize("classes", [3, 1000])
@pytest.mark.parametrize("code", ["e", "f", "d", "g"])
def test_rounding_is_taken(classes, code):
    soft = RNG.dirichlet(np.full(classes, 0.1), 30).astype(code)
    logits = RNG.normal(size=(30, classes))
    loss, _ = pynn.softmax_cross_entropy(logits, soft)
    logs = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    assert loss == pytest.approx(-(soft.astype(float) * logs).sum() / 30, rel=1e-12)
    net = pynn.MLP([4, classes], seed=0, dtype="float64")
    outputs = np.log(net(X))
    assert net.evaluate(X, soft)["loss"] == pytest.approx(
        -(soft.astype(float) * outputs).sum() / 30, rel=1e-12
    )


def test_one_hot_rows_are_the_labels():
    nets = make(), make()
    for net, y in zip(nets, (ONE_HOT, ONE_HOT.argmax(axis=1)), strict=True):
        net.fit(X, y, epochs=2)
    np.testing.assert_allclose(nets[0].weights[0], nets[1].weights[0], rtol=1e-4, atol=1e-5)


def test_nothing_has_changed():
    net, before = make(), make()
    with pytest.raises(ValueError, match="row 3 sums to 0"):
        net.fit(X, changed(3, 0), epochs=1)
    assert_same_bits(net, before)
    assert net.history is None


def test_the_sigmoid_takes_any_rows():
    history = make(loss="sigmoid_cross_entropy").fit(X, np.ones((30, 3)), epochs=1)
    assert np.isfinite(history.loss).all()
