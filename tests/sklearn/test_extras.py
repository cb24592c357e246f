"""Features of pynn's estimators that scikit-learn's lack."""

import numpy as np
import pytest
from pairs import difference, load
from sklearn.metrics import balanced_accuracy_score, f1_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline

import pynn
from pynn.sklearn import MLPClassifier, MLPRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def test_class_weight_is_a_sample_weight():
    X, y = load("iris")
    X, y = X[20:], y[20:]
    counts = np.bincount(y)
    by_hand = (len(y) / (3 * counts))[y]
    fits = [
        MLPClassifier(max_iter=10, random_state=0, **settings).fit(X, y, weights)
        for settings, weights in (
            ({"class_weight": "balanced"}, None),
            ({}, by_hand),
            ({"class_weight": {0: 3.0}}, np.full(len(y), 0.5)),
            ({}, np.where(y == 0, 1.5, 0.5)),
        )
    ]
    assert difference(fits[0], fits[1]) < 1e-12
    assert difference(fits[2], fits[3]) < 1e-12
    with pytest.raises(ValueError, match="partial_fit does not see"):
        MLPClassifier(class_weight="balanced").partial_fit(X, y, classes=[0, 1, 2])


def test_validation_data_is_judged_and_not_trained_on():
    X, y = load("digits")
    y = np.array(list("abcdefghij"))[y]
    X, Xv, y, yv = train_test_split(X, y, random_state=0)
    plain = MLPClassifier(max_iter=8, random_state=0).fit(X, y)
    watched = MLPClassifier(max_iter=8, random_state=0).fit(X, y, validation_data=(Xv, yv))
    assert difference(watched, plain) == 0
    assert len(watched.validation_scores_) == 8
    assert watched.validation_scores_[-1] == watched.score(Xv, yv)
    assert plain.validation_scores_ is None

    stopped = MLPClassifier(
        max_iter=300, random_state=0, early_stopping=True, n_iter_no_change=3, tol=0.01
    ).fit(X, y, validation_data=(Xv, yv))
    assert stopped.n_iter_ < 300
    assert stopped.best_validation_score_ == stopped.score(Xv, yv)
    with pytest.raises(ValueError, match="classes that `y` has not"):
        plain.fit(X, y, validation_data=(Xv[:2], ["a", "z"]))
    with pytest.raises(ValueError, match="tuple"):
        plain.fit(X, y, validation_data=Xv)
    with pytest.raises(ValueError, match="lbfgs"):
        MLPClassifier(solver="lbfgs").fit(X, y, validation_data=(Xv, yv))


@pytest.mark.parametrize("data", ["iris", "breast cancer", "multilabel"])
def test_scoring_of_classes(data):
    X, y = load(data)
    score = (
        (lambda t, p: f1_score(t, p, average="micro"))
        if data == "multilabel"
        else balanced_accuracy_score
    )
    name = "f1_micro" if data == "multilabel" else "balanced_accuracy"
    model = MLPClassifier(max_iter=5, random_state=0, scoring=name, early_stopping=True)
    model.fit(X, y, validation_data=(X, y))
    assert model.best_validation_score_ == pytest.approx(score(y, model.predict(X)))


def test_validation_data_has_as_many_outputs():
    X, y = load("multioutput")
    model = MLPRegressor(max_iter=2, random_state=0)
    with pytest.raises(ValueError, match="1 outputs, `y` has 3"):
        model.fit(X, y, validation_data=(X, y[:, 0]))
    assert not hasattr(model, "coefs_")
    assert len(model.fit(X, y, validation_data=(X, y)).validation_scores_) == 2
    with pytest.raises(ValueError, match="y needs 1 outputs, but the network to go on from has 3"):
        model.partial_fit(X, y[:, 0])
    assert model.partial_fit(X, y).n_outputs_ == 3
    X, y = load("multilabel")
    with pytest.raises(ValueError, match="one label a sample, `y` has 5"):
        MLPClassifier().fit(X, y, validation_data=(X, y[:, 0]))


def test_validation_data_is_routed():
    import sklearn

    X, y = load("iris")
    with sklearn.config_context(enable_metadata_routing=True):
        model = MLPClassifier(max_iter=3, random_state=0).set_fit_request(validation_data=True)
        pipeline = make_pipeline(model).fit(X, y, validation_data=(X, y))
    assert len(pipeline[-1].validation_scores_) == 3


def test_scoring_of_numbers():
    X, y = load("diabetes")
    model = MLPRegressor(
        max_iter=5, random_state=0, early_stopping=True, scoring="neg_mean_absolute_error"
    ).fit(X, y, validation_data=(X, y))
    error = np.abs(model.predict(X) - y).mean()
    assert model.best_validation_score_ == pytest.approx(-error)


def test_dropout():
    X, y = load("iris")
    fits = [MLPClassifier(dropout=p, max_iter=5, random_state=0).fit(X, y) for p in (0.0, 0.5, 0.5)]
    assert difference(fits[1], fits[2]) == 0
    assert difference(fits[0], fits[1]) > 1e-3
    inputs = MLPClassifier(dropout=[0.2, 0.5], max_iter=5, random_state=0).fit(X, y)
    assert difference(inputs, fits[1]) > 1e-3
    # The masks are pynn's own: one call of partial_fit after another draws new ones.
    model = MLPRegressor(dropout=0.9, solver="sgd", random_state=0)
    steps = [model.partial_fit(X, y).loss_ for _ in range(3)]
    assert len(set(steps)) == 3


def test_l1_is_in_the_loss():
    X, y = load("iris")
    losses = [
        MLPClassifier(l1=l1, alpha=0, max_iter=1, batch_size=150, random_state=0).fit(X, y)
        for l1 in (0.0, 2.0)
    ]
    start = MLPClassifier(max_iter=1, random_state=0, batch_size=150, learning_rate_init=1e-300)
    total = sum(np.abs(c).sum() for c in start.fit(X, y).coefs_)
    assert losses[1].loss_ - losses[0].loss_ == pytest.approx(2.0 * total / 150)
    # A strong one leaves weights near 0 with lbfgs too.
    sums = [
        np.abs(MLPClassifier(l1=l1, solver="lbfgs", random_state=0).fit(X, y).coefs_[0]).sum()
        for l1 in (0.0, 1.0)
    ]
    assert sums[1] < sums[0] / 2


def test_activation_of_each_layer():
    X, y = load("iris")
    model = MLPClassifier((8, 6), activation=["logistic", "gelu"], max_iter=3, random_state=0)
    model.fit(X, y)
    net = pynn.MLP([4, 8, 6, 3], activation=["sigmoid", "gelu"], dtype="float64")
    net.set_weights(model.coefs_, model.intercepts_)
    np.testing.assert_array_equal(net(X), model.predict_proba(X))
    same = [
        MLPClassifier((8, 6), activation=a, max_iter=3, random_state=0).fit(X, y)
        for a in ("logistic", ["logistic", "logistic"])
    ]
    assert difference(*same) == 0
    array = MLPClassifier((8, 6), activation=np.array(["logistic", "gelu"]), max_iter=3)
    array.set_params(random_state=0).fit(X, y)
    assert difference(array, model) == 0
    np.testing.assert_array_equal(array.predict(X), model.predict(X))
    model.activation[1] = "relu"
    net = pynn.MLP([4, 8, 6, 3], activation=["sigmoid", "relu"], dtype="float64")
    net.set_weights(model.coefs_, model.intercepts_)
    np.testing.assert_array_equal(net(X), model.predict_proba(X))
    with pytest.raises(ValueError, match="activation"):
        MLPClassifier((8, 6), activation=["relu"]).fit(X, y)


def test_dtype():
    X, y = load("iris")
    model = MLPClassifier(dtype="float32", max_iter=3, random_state=0).fit(X, y)
    assert {c.dtype for c in model.coefs_} == {np.dtype(np.float32)}
    single = MLPClassifier(max_iter=3, random_state=0).fit(X.astype(np.float32), y)
    assert difference(model, single) < 1e-6
    by_type = MLPClassifier(dtype=np.float32, max_iter=3, random_state=0).fit(X, y)
    assert difference(by_type, model) == 0
    double = MLPClassifier(dtype="float64", max_iter=3, random_state=0)
    assert double.fit(X.astype(np.float32), y).coefs_[0].dtype == np.float64


def test_optimizers_extras():
    X, y = load("iris")
    plain = MLPClassifier(solver="sgd", max_iter=1, batch_size=150, alpha=0, random_state=0)
    start = MLPClassifier(max_iter=1, random_state=0, batch_size=150, learning_rate_init=1e-300)
    start = start.fit(X, y)
    plain.set_params(momentum=0, learning_rate_init=0.1).fit(X, y)
    decayed = MLPClassifier(**plain.get_params()).set_params(weight_decay=0.5).fit(X, y)
    np.testing.assert_allclose(
        decayed.coefs_[0], plain.coefs_[0] - 0.05 * start.coefs_[0], rtol=1e-10
    )
    clipped = MLPClassifier(**plain.get_params()).set_params(clip_norm=0.01).fit(X, y)
    step = np.concatenate(
        [
            (a - b).ravel()
            for a, b in zip(
                clipped.coefs_ + clipped.intercepts_, start.coefs_ + start.intercepts_, strict=True
            )
        ]
    )
    assert np.linalg.norm(step) == pytest.approx(0.1 * 0.01)


def test_progress(capsys):
    X, y = load("iris")
    MLPClassifier(max_iter=2, random_state=0).fit(X, y)
    assert capsys.readouterr().err == ""
    MLPClassifier(max_iter=2, random_state=0, progress=True).fit(X, y)
    assert "epoch 2/2" in capsys.readouterr().err


@pytest.mark.parametrize("layer", [0, 1, -1, -2])
def test_transform(layer):
    sparse = pytest.importorskip("scipy.sparse")
    X, y = load("iris")
    model = MLPClassifier((7, 5), activation="tanh", max_iter=3, random_state=0).fit(X, y)
    first = np.tanh(X @ model.coefs_[0] + model.intercepts_[0])
    layers = [first, np.tanh(first @ model.coefs_[1] + model.intercepts_[1])]
    np.testing.assert_allclose(model.transform(X, layer), layers[layer], rtol=1e-12)
    np.testing.assert_allclose(
        model.transform(sparse.csr_matrix(X), layer), layers[layer], rtol=1e-12
    )


def test_transform_in_a_pipeline():
    from sklearn.linear_model import LogisticRegression

    pandas = pytest.importorskip("pandas")
    X, y = load("iris")
    pipeline = make_pipeline(
        MLPClassifier(20, max_iter=50, random_state=0), LogisticRegression(max_iter=2000)
    )
    assert pipeline.fit(X, y).score(X, y) > 0.9
    model = (
        MLPRegressor(hidden_layer_sizes=3, max_iter=3, random_state=0)
        .fit(X, y)
        .set_output(transform="pandas")
    )
    frame = model.transform(X)
    assert isinstance(frame, pandas.DataFrame)
    assert list(frame.columns) == ["mlpregressor0", "mlpregressor1", "mlpregressor2"]
    wider = MLPRegressor(hidden_layer_sizes=(4, 3), max_iter=3, random_state=0).fit(X, y)
    assert wider.transform(X, 0).shape == (150, 4)
    with pytest.raises(ValueError, match="the last hidden layer's 3 columns; hidden layer 0 has 4"):
        wider.set_output(transform="pandas").transform(X, 0)
