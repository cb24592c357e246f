"""Estimators around layers: NetworkClassifier and NetworkRegressor."""

import copy
import pickle

import joblib
import numpy as np
import pytest

pytest.importorskip("sklearn", minversion="1.5")

import pandas as pd
import scipy.sparse
from sklearn.base import clone
from sklearn.datasets import load_digits, load_iris
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import pynn
from pynn import layers as L
from pynn.sklearn import NetworkClassifier, NetworkRegressor

# scikit-learn 1.5 and NumPy 2.4, in the table of a search.
pytestmark = pytest.mark.filterwarnings("ignore:invalid value encountered in cast")


def digits():
    X, y = load_digits(return_X_y=True)
    return X[:400] / 16, y[:400]


def hidden():
    return [L.Dense(16, "relu", name="first"), L.Dropout(0.1), L.Dense(8, "relu")]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_fits_as_the_network_does(dtype):
    X, y = digits()
    options = {"epochs": 3, "batch_size": 32, "validation_split": 0.2, "metrics": "top_2"}
    optimizer = pynn.SGD(0.1, momentum=0.9)
    ours = NetworkClassifier(
        [*hidden(), L.Dense(None)], optimizer=optimizer, dtype=dtype, random_state=3, **options
    )
    names = np.array(list("zyxwvutsrq"))[y]  # in reverse
    ours.fit(X, names, np.linspace(0.5, 1, 400))
    net = pynn.Sequential([*hidden(), L.Dense(10)], 64, dtype=dtype, seed=3)
    net.fit(
        X, 9 - y, sample_weight=np.linspace(0.5, 1, 400), optimizer=copy.copy(optimizer), **options
    )
    for name, array in net.parameters.items():
        np.testing.assert_array_equal(ours.network_.parameters[name], array)
    np.testing.assert_array_equal(ours.predict(X), ours.classes_[net.predict(X)])
    np.testing.assert_array_equal(ours.predict_proba(X), net.predict_proba(X))
    np.testing.assert_array_equal(ours.predict_log_proba(X), np.log(net.predict_proba(X)))
    assert ours.score(X, names) == pytest.approx(net.score(X, 9 - y))
    assert ours.history_["val_top_2"] == net.history["val_top_2"]
    assert (optimizer.learning_rate, ours.n_features_in_) == (0.1, 64)


@pytest.mark.parametrize(
    ("last", "outputs"),
    [
        ([L.Dense(None)], 10),
        ([L.Dense(None, name="out"), L.Activation("softmax")], 10),
        ([L.Dense(10)], 10),
        ([L.Dense(10, "softmax")], 10),
        ([L.Dense(12, "relu")], 10),  # and what follows has no output layer
        ([L.Dense(12), L.Activation("tanh")], 10),
        ([L.Dropout(0.2)], 10),
        ([L.LayerNorm()], 10),
        ([L.RBF(7)], 10),
    ],
)
def test_the_output_layer(last, outputs):
    X, y = digits()
    made = NetworkClassifier([L.Dense(9, "relu"), *last], epochs=1).fit(X, y).network_
    assert made.output_shape == (outputs,)
    added = len(made.layers) - 1 - len(last)
    given = last[0] in (L.Dense(10), L.Dense(10, "softmax")) or getattr(last[0], "units", 0) is None
    assert added == (not given)


@pytest.mark.parametrize(
    ("layers", "y", "outputs", "function"),
    [
        (None, np.arange(40.0), 1, "identity"),
        ([L.Dense(5, "relu")], np.ones((40, 3)), 3, "identity"),
        ([L.Dense(1, "softplus")], np.arange(40.0), 1, "softplus"),
        ([L.Dense(None)], np.ones((40, 1)), 1, "identity"),
        ([L.Dense(3, "sigmoid")], np.ones((40, 3)), 3, "sigmoid"),
    ],
)
def test_the_output_layer_of_values(layers, y, outputs, function):
    X = np.random.default_rng(0).normal(size=(40, 4))
    regressor = NetworkRegressor(layers, epochs=1).fit(X, y)
    net = regressor.network_
    assert (net.output_shape, net.output_activation, net.loss) == ((outputs,), function, "mse")
    assert regressor.predict(X).shape == y.shape


def test_losses_of_a_classifier():
    X, y = digits()
    many = (y[:, np.newaxis] & [1, 2, 4]) > 0

    def loss(y, *layers, **options):
        net = NetworkClassifier(list(layers) or None, epochs=1, **options).fit(X, y).network_
        return net.loss, net.output_shape[0]

    assert loss(y > 4) == ("softmax_cross_entropy", 2)
    assert loss(y > 4, L.Dense(1)) == ("sigmoid_cross_entropy", 1)
    assert loss(y > 4, loss="binary_crossentropy") == ("sigmoid_cross_entropy", 1)
    assert loss(many) == ("sigmoid_cross_entropy", 3)
    smooth = pynn.SoftmaxCrossEntropy(label_smoothing=0.1)
    assert loss(y, loss=smooth) == (smooth, 10)
    several = NetworkClassifier(epochs=30, learning_rate=0.01).fit(X, many)
    assert several.score(X, many) > 0.8
    assert several.predict_proba(X).shape == several.predict(X).shape == (400, 3)
    one = NetworkClassifier([L.Dense(1)], epochs=30, learning_rate=0.01).fit(X, y > 4)
    assert one.predict_proba(X).shape == (400, 2)
    np.testing.assert_array_equal(one.predict(X), one.predict_proba(X).argmax(axis=1) == 1)


def test_images_and_rows_of_images():
    X, y = load_digits(return_X_y=True)
    images = X.reshape(-1, 8, 8).astype(np.uint8)
    layers = [L.BatchNorm(), L.Flatten(), L.Dense(30, "relu")]
    of_images = NetworkClassifier(layers, epochs=5, random_state=0).fit(images[..., None], y)
    assert of_images.network_.input_shape == (8, 8, 1)
    assert of_images.network_.dtype == np.float32
    assert of_images.n_features_in_ == 8
    of_rows = NetworkClassifier(layers, (8, 8, 1), epochs=5, random_state=0, dtype="float32")
    of_rows.fit(X, y)
    np.testing.assert_array_equal(
        of_rows.predict_proba(X), of_images.predict_proba(images[..., None])
    )
    of_rows.set_params(learning_rate=0.05, layers__0__momentum=0.9)
    scores = cross_val_score(make_pipeline(StandardScaler(), of_rows), X, y, cv=2)
    assert scores.mean() > 0.8


def test_tokens_and_positions():
    rng = np.random.default_rng(0)
    tokens = rng.integers(0, 20, size=(200, 6))
    words = np.where(tokens > 9, "high", "low")
    whole = NetworkClassifier([L.Embedding(20, 8), L.GlobalAvgPool1D()], epochs=60, random_state=0)
    whole.set_params(learning_rate=0.05).fit(tokens, tokens.sum(axis=1) > 57)
    assert whole.score(tokens, tokens.sum(axis=1) > 57) > 0.9
    tagger = NetworkClassifier([L.Embedding(20, 8), L.Dense(8, "relu")], epochs=60, random_state=0)
    tagger.set_params(learning_rate=0.05, class_weight="balanced")
    tagger.fit(tokens, words, validation_data=(tokens[:9], words[:9]))
    assert tagger.predict(tokens).shape == words.shape
    assert tagger.predict_proba(tokens).shape == (200, 6, 2)
    assert tagger.score(tokens, words) == tagger.history_["val_accuracy"][-1] == 1
    wrong = np.where(np.arange(6) < 3, "low", "high")  # of each row half
    weights = rng.random((200, 6))
    right = tagger.predict(tokens) == wrong
    expected = np.average(right, weights=weights)
    assert tagger.score(tokens, np.tile(wrong, (200, 1)), weights) == pytest.approx(expected)
    expected = np.average(right.mean(axis=1), weights=weights[:, 0])
    assert tagger.score(tokens, np.tile(wrong, (200, 1)), weights[:, 0]) == pytest.approx(expected)
    values = NetworkRegressor([L.Embedding(20, 8)], epochs=60, random_state=0, learning_rate=0.05)
    for y in (tokens / 10, np.stack([tokens, -tokens], axis=2) / 10):
        assert values.fit(tokens, y).predict(tokens).shape == y.shape
        assert values.score(tokens, y) > 0.9


def test_sparse_samples_and_data_frames():
    X, y = digits()
    dense = NetworkClassifier(epochs=2, random_state=0).fit(X, y)
    sparse = NetworkClassifier(epochs=2, random_state=0).fit(scipy.sparse.csc_array(X), y)
    np.testing.assert_array_equal(dense.predict_proba(X), sparse.predict_proba(X))
    frame = pd.DataFrame(X, columns=[f"pixel {i}" for i in range(64)])
    named = NetworkClassifier(epochs=2, random_state=0).fit(frame, pd.Series(y, dtype="category"))
    np.testing.assert_array_equal(named.feature_names_in_, frame.columns)
    np.testing.assert_array_equal(named.predict(frame), dense.predict(X))
    with pytest.raises(ValueError, match="feature names"):
        named.predict(frame[frame.columns[::-1]])


def test_settings_by_double_underscores():
    block = L.Residual([L.Dense(4, "relu"), L.Dense(4)], name="block")
    classifier = NetworkClassifier(
        [L.Dense(4), block, L.Dense(None)],
        loss=pynn.SoftmaxCrossEntropy(),
        optimizer=pynn.SGD(pynn.CosineDecay(0.1, steps=9)),
        callbacks=[pynn.EarlyStopping(patience=3)],
    )
    params = classifier.get_params()
    assert params["layers__block__layers__0__units"] == params["layers__0__units"] == 4
    assert params["callbacks__0__patience"] == 3
    assert "layers__0" not in classifier.get_params(deep=False)
    given = copy.deepcopy(classifier.get_params(deep=False))
    changed = clone(classifier).set_params(
        layers__0__units=8,
        layers__0=L.Dense(5, "tanh"),  # comes first
        layers__block__layers__0__units=7,
        layers__2__l2=0.5,
        loss__label_smoothing=0.25,
        optimizer__momentum=0.5,
        optimizer__learning_rate__steps=5,
        callbacks__0__patience=1,
        epochs=2,
    )
    assert changed.layers[0] == L.Dense(8, "tanh")
    assert changed.layers[1].layers == (L.Dense(7, "relu"), L.Dense(4))
    assert changed.layers[2] == L.Dense(None, l2=0.5)
    assert changed.loss.label_smoothing == 0.25
    assert (changed.optimizer.momentum, changed.optimizer.learning_rate.steps) == (0.5, 5)
    assert (changed.callbacks[0].patience, changed.epochs) == (1, 2)
    for name, value in classifier.get_params(deep=False).items():  # the clone's, not these
        assert repr(value) == repr(given[name])
    named = NetworkClassifier(optimizer="sgd").set_params(optimizer__momentum=0.5).optimizer
    assert repr(named) == repr(pynn.SGD(momentum=0.5))
    for name in ("layers__9", "layers__x__units", "layers__0__unit", "loss__x", "callbacks__0__0"):
        with pytest.raises(ValueError, match=f"Invalid parameter '{name}'"):
            classifier.set_params(**{name: 1})
    with pytest.raises(ValueError, match="layers is None"):
        NetworkClassifier().set_params(layers__0__units=3)


def test_grid_search():
    X, y = load_iris(return_X_y=True)
    pipeline = make_pipeline(StandardScaler(), NetworkClassifier(hidden(), random_state=0))
    grid = {
        "networkclassifier__layers": [[L.Dense(2, "relu")], hidden()],
        "networkclassifier__learning_rate": [1e-5, 0.03],
        "networkclassifier__epochs": [20],
    }
    with joblib.parallel_backend("threading"):
        search = GridSearchCV(pipeline, grid, cv=2, n_jobs=2).fit(X, y)
    assert search.best_params_["networkclassifier__learning_rate"] == 0.03
    assert search.best_score_ > 0.8
    inner = GridSearchCV(
        pipeline[-1], {"layers__first__units": [2, 5], "layers__1": [L.BatchNorm()], "epochs": [2]}
    )
    inner.fit(X, y)
    assert inner.best_estimator_.layers[1] == L.BatchNorm()
    assert pipeline[-1].layers == hidden()


def test_scores_in_processes_are_the_same():
    X, y = load_iris(return_X_y=True)
    classifier = NetworkClassifier(hidden(), epochs=3, random_state=0)
    with joblib.parallel_backend("multiprocessing"):
        scores = [cross_val_score(classifier, X, y, cv=2, n_jobs=jobs) for jobs in (1, 2)]
    np.testing.assert_array_equal(*scores)


@pytest.mark.parametrize("optimizer", ["adam", pynn.SGD(0.01, momentum=0.9)])
def test_continues_from_copies(optimizer):
    X, y = digits()
    whole = NetworkClassifier(hidden(), epochs=4, random_state=0, optimizer=optimizer).fit(X, y)
    part = NetworkClassifier(hidden(), epochs=2, random_state=0, optimizer=optimizer)
    part.set_params(warm_start=True).fit(X, y)
    for copied in (pickle.loads(pickle.dumps(part)), copy.deepcopy(part)):
        copied.fit(X, y)
        np.testing.assert_array_equal(copied.predict_proba(X), whole.predict_proba(X))
        assert copied.history_.epoch == [1, 2, 3, 4]
        assert copied.history_["loss"] == whole.history_["loss"]
    for _ in range(2):
        part.partial_fit(X, y)
    np.testing.assert_array_equal(part.predict_proba(X), whole.predict_proba(X))


def test_partial_fit():
    X, y = digits()
    classifier = NetworkClassifier(hidden(), random_state=0)
    with pytest.raises(ValueError, match="classes must be passed"):
        classifier.partial_fit(X, y)
    few = y < 5
    classifier.partial_fit(X[few], y[few], classes=np.arange(10))
    net = classifier.network_
    assert net.output_shape == (10,)
    assert classifier.partial_fit(X, y).network_ is net
    with pytest.raises(ValueError, match=r"y holds \[11\]"):
        classifier.partial_fit(X[:1], [11])
    with pytest.raises(ValueError, match="the first call had"):
        classifier.partial_fit(X, y, classes=[1, 2])
    with pytest.raises(ValueError, match="balanced"):
        clone(classifier).set_params(class_weight="balanced").partial_fit(X, y, classes=[1, 2])
    assert classifier.set_params(learning_rate=0.5).partial_fit(X, y).history_["learning_rate"] == [
        *(0.001, 0.001, 0.5)
    ]
    assert classifier.set_params(optimizer="sgd").partial_fit(X, y).network_.optimizer is not None
    assert isinstance(classifier.network_.optimizer, pynn.SGD)
    with pytest.raises(ValueError, match="layers has changed"):
        classifier.set_params(layers__first__units=3).partial_fit(X, y)
    regressor = NetworkRegressor(random_state=0).partial_fit(X, y).partial_fit(X, y)
    assert len(regressor.history_) == 2


def test_callbacks_are_copies():
    X, y = digits()
    stop = pynn.EarlyStopping("loss", patience=1, min_delta=10)
    seen = []
    classifier = NetworkClassifier(
        epochs=9, callbacks=[stop, lambda net, history: seen.append(len(history))]
    ).fit(X, y)
    assert seen == [1, 2]
    assert stop.best is None
    assert classifier.callbacks_[0].stopped_epoch == 2


def test_class_weights_are_weights():
    X, y = digits()
    balanced = NetworkClassifier(epochs=2, random_state=0, class_weight="balanced")
    balanced.fit(X, y, np.linspace(1, 2, 400))
    weights = 400 / (10 * np.bincount(y)[y]) * np.linspace(1, 2, 400)
    plain = NetworkClassifier(epochs=2, random_state=0).fit(X, y, weights)
    np.testing.assert_allclose(balanced.predict_proba(X), plain.predict_proba(X), rtol=1e-10)


def test_a_refused_fit_leaves_the_network():
    X, y = digits()
    classifier = NetworkClassifier(hidden(), epochs=1, random_state=0).fit(X, y)
    net, before = classifier.network_, classifier.predict_proba(X)
    with pytest.raises(ValueError, match="epochs"):
        classifier.set_params(epochs=0).fit(X, y)
    assert classifier.network_ is net
    np.testing.assert_array_equal(classifier.predict_proba(X), before)
    with pytest.raises(NotFittedError):
        clone(classifier).predict(X)


@pytest.mark.parametrize(
    ("estimator", "y", "message"),
    [
        (NetworkClassifier([L.Dense(50)]), None, r"50 outputs, but y needs 10: .*Dense\(None\)"),
        (NetworkClassifier(loss="mse"), None, "cross-entropy, got 'mse': see NetworkRegressor"),
        (NetworkRegressor(loss="poisson", layers=[]), None, "at least one layer"),
        (NetworkRegressor(loss="softmax_cross_entropy"), None, "see NetworkClassifier"),
        (NetworkClassifier(loss="sigmoid_cross_entropy"), None, "two classes or several labels"),
        (NetworkClassifier(loss="softmax_cross_entropy"), np.eye(400), "one class a sample"),
        (NetworkClassifier(), np.zeros(400), "one class only"),
        (NetworkClassifier(input_shape=(9, 9)), None, r"\(400, 64\).*input_shape=\(9, 9\)"),
        (NetworkClassifier([L.Dense(None), L.Dense(3)]), None, r"layer 0 \(Dense\): units=None"),
        (NetworkClassifier([L.Reshape((8, 8))]), None, r"y has shape \(400,\), expected \(n, 8\)"),
        (NetworkRegressor([L.Reshape((8, 8))]), None, r"y has shape \(400,\), expected \(400, 8\)"),
        (NetworkRegressor([L.Dense(3)]), None, "3 outputs"),
    ],
)
def test_messages(estimator, y, message):
    X, labels = digits()
    with pytest.raises(ValueError, match=message):
        estimator.fit(X, labels if y is None else y)
    assert not hasattr(estimator, "network_")


@pytest.mark.parametrize("layers", [L.Dense(3), "relu", 3])
def test_layers_are_a_list(layers):
    with pytest.raises(TypeError, match="layers must be a list of layers"):
        NetworkClassifier(layers).fit(*digits())
