"""The estimators in scikit-learn's other tools, and their attributes."""

import copy
import inspect
import pickle
import signal
import warnings

import numpy as np
import pytest
from pairs import difference, fit_both, load
from sklearn import neural_network
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.inspection import permutation_importance
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import pynn.sklearn
from pynn.sklearn import MLPClassifier, MLPRegressor
from pynn.sklearn._compat import VERSION

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

BOTH = [MLPClassifier, MLPRegressor]


@pytest.fixture(scope="module")
def fitted():
    """pynn's classifier and scikit-learn's, on iris."""
    return fit_both("Classifier", *load("iris"), max_iter=10)


@pytest.mark.parametrize("kind", ["MLPClassifier", "MLPRegressor"])
def test_the_constructor_is_scikit_learns(kind):
    ours = inspect.signature(getattr(pynn.sklearn, kind)).parameters
    theirs = inspect.signature(getattr(neural_network, kind)).parameters
    assert list(ours)[: len(theirs)] == list(theirs)
    for name, parameter in theirs.items():
        assert ours[name].default == parameter.default, name
        assert ours[name].kind == parameter.kind, name
    assert all(
        parameter.kind == parameter.KEYWORD_ONLY
        for name, parameter in ours.items()
        if name not in theirs
    )
    given = [(7,), "tanh"]
    if "loss" in list(theirs)[:1]:
        given = ["poisson", *given]
    made, expected = (getattr(p, kind)(*given).get_params() for p in (pynn.sklearn, neural_network))
    assert {name: made[name] for name in expected} == expected
    methods = [name for name in dir(getattr(neural_network, kind)) if not name.startswith("_")]
    assert set(methods) <= set(dir(getattr(pynn.sklearn, kind)))


@pytest.mark.parametrize("kind", ["Classifier", "Regressor"])
@pytest.mark.parametrize("solver", ["sgd", "adam", "lbfgs"])
def test_the_attributes_are_scikit_learns(kind, solver):
    ours, theirs = fit_both(kind, *load("iris"), solver=solver, max_iter=3)
    names = {name for name in vars(theirs) if name.endswith("_")}
    assert names <= set(vars(ours))
    for name in names - {"coefs_", "intercepts_", "loss_curve_", "loss_", "best_loss_"}:
        np.testing.assert_equal(getattr(ours, name), getattr(theirs, name))
    assert ours.loss == theirs.loss


def test_predictions_follow_coefs(fitted):
    X, _ = load("iris")
    ours, theirs = (copy.deepcopy(estimator) for estimator in fitted)
    for estimator in (ours, theirs):
        estimator.coefs_[0][0] = 0.0  # in place
        estimator.intercepts_[1] += 0.5
    np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), rtol=1e-9)
    for estimator in (ours, theirs):
        estimator.coefs_[1] = estimator.coefs_[1] * 2  # an array replaced
    np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), rtol=1e-9)
    for estimator in (ours, theirs):
        estimator.intercepts_ = [np.zeros_like(b) for b in estimator.intercepts_]
    np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), rtol=1e-9)
    np.testing.assert_allclose(ours.predict_proba(X[:1]), theirs.predict_proba(X[:1]), rtol=1e-9)
    for estimator in (ours, theirs):
        estimator.coefs_[1][:] += 1.0  # and then changed in place
    np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), rtol=1e-9)
    for estimator in (ours, theirs):
        estimator.partial_fit(X, load("iris")[1])
    assert difference(ours, theirs) < 1e-10


def test_predictions_follow_replaced_intercepts(fitted):
    X, _ = load("iris")
    ours, theirs = (copy.deepcopy(estimator) for estimator in fitted)
    for estimator in (ours, theirs):
        estimator.intercepts_[0] = estimator.intercepts_[0] + 1.0
    np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), rtol=1e-9)


def test_predictions_follow_activation(fitted):
    X, _ = load("iris")
    ours, theirs = (copy.deepcopy(e).set_params(activation="tanh") for e in fitted)
    np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), rtol=1e-9)


def test_a_further_fit_leaves_the_arrays_of_the_one_before():
    X, y = load("iris")
    estimator = MLPClassifier(max_iter=2, random_state=0).fit(X, y)
    coefs = estimator.coefs_
    before = [c.copy() for c in coefs]
    estimator.set_params(random_state=1).fit(X, y)
    np.testing.assert_equal(coefs, before)
    assert not np.array_equal(estimator.coefs_[0], before[0])


@pytest.mark.parametrize("copied", ["pickle", "deepcopy", "copy"])
@pytest.mark.parametrize("solver", ["sgd", "adam"])
def test_copies_go_on_alike(copied, solver):
    """The optimizer's moments are copied too."""
    X, y = load("iris")
    ours, theirs = fit_both("Classifier", X, y, max_iter=3, solver=solver, alpha=1.0)
    make = {
        "pickle": lambda estimator: pickle.loads(pickle.dumps(estimator)),
        "deepcopy": copy.deepcopy,
        "copy": copy.copy,
    }[copied]
    twin = make(ours)
    np.testing.assert_array_equal(twin.predict_proba(X), ours.predict_proba(X))
    twin.coefs_[0][0, 0] += 1.0
    assert not np.array_equal(twin.predict_proba(X), ours.predict_proba(X))
    twin.coefs_[0][0, 0] = ours.coefs_[0][0, 0]
    if copied != "copy":  # (which shares the optimizer, as scikit-learn's does)
        theirs.partial_fit(X, y)
        twin.partial_fit(X, y)
        assert difference(twin, theirs) < 1e-10


@pytest.mark.parametrize("estimator", BOTH)
def test_clone(estimator):
    X, y = load("iris")
    model = estimator(dropout=0.25, random_state=0, max_iter=2).fit(X, y)
    twin = clone(model)
    assert twin.get_params() == model.get_params()
    with pytest.raises(NotFittedError):
        twin.predict(X)
    np.testing.assert_array_equal(twin.fit(X, y).coefs_[0], model.coefs_[0])


@pytest.mark.parametrize("backend", ["threading", "loky"])
def test_grid_search_over_a_pipeline(backend):
    joblib = pytest.importorskip("joblib")
    X, y = load("iris")
    results = []
    for package in (pynn.sklearn, neural_network):
        pipeline = make_pipeline(
            StandardScaler(), package.MLPClassifier(max_iter=20, random_state=0)
        )
        search = GridSearchCV(
            pipeline,
            {"mlpclassifier__alpha": [1e-4, 1.0], "mlpclassifier__activation": ["tanh", "relu"]},
            cv=3,
            n_jobs=2,
        )
        with joblib.parallel_config(backend=backend), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # in the workers too
            search.fit(X, y)
        results.append(search)
    ours, theirs = results
    np.testing.assert_array_equal(
        ours.cv_results_["mean_test_score"], theirs.cv_results_["mean_test_score"]
    )
    assert ours.best_params_ == theirs.best_params_
    assert difference(ours.best_estimator_[-1], theirs.best_estimator_[-1]) < 1e-6


def test_cross_val_score_and_permutation_importance(fitted):
    X, y = load("iris")
    scores = [cross_val_score(estimator, X, y, cv=3) for estimator in fitted]
    np.testing.assert_array_equal(*scores)
    importances = [
        permutation_importance(estimator, X, y, random_state=0).importances for estimator in fitted
    ]
    np.testing.assert_array_equal(*importances)


def test_metadata_routing():
    import sklearn

    if VERSION < (1, 7):
        pytest.skip("scikit-learn's networks take sample weights since 1.7")
    X, y = load("iris")
    weights = np.random.RandomState(0).rand(len(y))
    fits = []
    with sklearn.config_context(enable_metadata_routing=True):
        for package in (pynn.sklearn, neural_network):
            model = package.MLPClassifier(max_iter=5, random_state=0)
            pipeline = make_pipeline(
                StandardScaler().set_fit_request(sample_weight=False),
                model.set_fit_request(sample_weight=True),
            )
            fits.append(pipeline.fit(X, y, sample_weight=weights)[-1])
    assert difference(*fits) < 1e-10


def test_feature_names():
    pandas = pytest.importorskip("pandas")
    X, y = load("iris")
    frame = pandas.DataFrame(X, columns=["a", "b", "c", "d"])
    model = MLPClassifier(max_iter=3, random_state=0).fit(frame, pandas.Series(y))
    assert model.feature_names_in_.tolist() == ["a", "b", "c", "d"]
    assert model.n_features_in_ == 4
    with pytest.warns(UserWarning, match="does not have valid feature names"):
        model.predict(X)
    with pytest.raises(ValueError, match="feature names should match"):
        model.predict(frame[["b", "a", "c", "d"]])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_what_predict_refuses(fitted, dtype):
    """Past its quick path `predict` checks as scikit-learn's does, with the same messages."""
    X = load("iris")[0].astype(dtype)
    wrong = [X[0], X[:, :3], X[:0], np.where(X[3] == X, np.nan, X), np.full_like(X, np.inf)]
    wrong += [[["a"] * 4], X[np.newaxis]]
    for samples in wrong:
        messages = []
        for estimator in fitted:
            with pytest.raises((ValueError, TypeError)) as caught:
                estimator.predict(samples)
            messages.append((caught.type, str(caught.value)))
        assert messages[0][0] is messages[1][0]
        assert messages[0][1].replace("MLP", "") == messages[1][1].replace("MLP", "")
    with pytest.raises(NotFittedError):
        MLPClassifier().predict(X)


@pytest.mark.parametrize("estimator", BOTH)
def test_layouts_and_types_of_samples(estimator):
    X, y = load("iris")
    model = estimator(max_iter=3, random_state=0).fit(X, y)
    expected = model.predict(X)
    for other in (np.asfortranarray(X), X[::-1][::-1], X.tolist(), X.astype(object)):
        np.testing.assert_allclose(model.predict(other), expected, rtol=1e-12)
    np.testing.assert_array_equal(model.predict(X[:1])[0], model.predict(X[:1].tolist())[0])


@pytest.mark.parametrize("estimator", BOTH)
def test_float32_is_kept(estimator):
    X, y = load("iris")
    model = estimator(max_iter=3, random_state=0).fit(X.astype(np.float32), y)
    assert {a.dtype for a in model.coefs_ + model.intercepts_} == {np.dtype(np.float32)}
    theirs = getattr(neural_network, estimator.__name__)(max_iter=3, random_state=0)
    theirs.fit(X.astype(np.float32), y)
    assert difference(model, theirs) < 1e-4


def test_an_interrupt_ends_the_fit_with_a_warning(monkeypatch):
    from pynn.sklearn import _epochs

    X, y = load("iris")
    plain = _epochs.Epochs.run

    def interrupted(self, orders, losses):
        plain(self, orders[:3], losses[:3])
        raise KeyboardInterrupt

    drawn, whole = np.random.RandomState(0), np.random.RandomState(0)
    expected = MLPClassifier(random_state=whole, max_iter=3).fit(X, y)
    monkeypatch.setattr(_epochs.Epochs, "run", interrupted)
    with pytest.warns(UserWarning, match="Training interrupted by user"):
        model = MLPClassifier(random_state=drawn).fit(X, y)
    assert model.n_iter_ == len(model.loss_curve_) == 3
    assert model.loss_curve_ == expected.loss_curve_
    assert all(map(np.array_equal, model.coefs_, expected.coefs_))
    # The order of the epoch that was interrupted has been drawn, and no further one.
    whole.permutation(len(X))
    assert np.array_equal(drawn.random_sample(5), whole.random_sample(5))


def test_a_warm_start_with_less_patience():
    X, y = load("iris")
    both = []
    for library in (pynn.sklearn, neural_network):
        model = library.MLPClassifier(
            random_state=0, warm_start=True, tol=10.0, n_iter_no_change=30, max_iter=20
        ).fit(X, y)
        both.append(model.set_params(n_iter_no_change=5).fit(X, y))
    assert both[0].n_iter_ == both[1].n_iter_
    assert difference(*both) < 1e-10


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="POSIX")
def test_a_signal_interrupts():
    """In the middle of an epoch of the core."""
    X, y = load("digits")
    model = MLPClassifier((512, 512), max_iter=10**6, tol=0, n_iter_no_change=10**6)
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    signal.setitimer(signal.ITIMER_REAL, 0.5)
    try:
        with pytest.warns(UserWarning, match="Training interrupted by user"):
            model.fit(X, y)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert len(model.loss_curve_) == model.n_iter_
    assert model.predict(X).shape == y.shape


def test_divergence_ends_as_scikit_learns():
    X, y = load("diabetes")
    for package in (pynn.sklearn, neural_network):
        model = package.MLPRegressor(
            solver="sgd", learning_rate_init=1e3, activation="identity", random_state=0, max_iter=20
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with pytest.raises(ValueError, match="non-finite parameter weights"):
                model.fit(X, y)
        assert len(model.loss_curve_) == model.n_iter_
        assert np.isnan(model.loss_curve_[-1])
        assert not np.isnan(model.best_loss_)


@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        ({"hidden_layer_sizes": (10.5,)}, TypeError, "must hold integers"),
        ({"hidden_layer_sizes": [[5, 6]]}, TypeError, "must hold integers"),
        ({"hidden_layer_sizes": (5, 0)}, ValueError, "must be > 0"),
        ({"hidden_layer_sizes": (5, 6), "activation": ["relu"]}, ValueError, "for each of the 2"),
        ({"hidden_layer_sizes": (5, 6), "activation": [["relu"], 3]}, ValueError, "for each of"),
        ({"dropout": [0.1, 0.2, 0.3]}, ValueError, "dropout has 3 values"),
        ({"dropout": [0.1, 2.0]}, ValueError, r"dropout\[1\]"),
        ({"scoring": "acc", "early_stopping": True}, ValueError, "not a valid scoring"),
    ],
    ids=str,
)
@pytest.mark.parametrize("estimator", BOTH)
def test_parameters_are_refused_before_anything_changes(estimator, parameters, error, message):
    X, y = load("iris")
    model = estimator(**parameters)
    with pytest.raises(error, match=message):
        model.fit(X, y)
    assert not hasattr(model, "coefs_")


def test_a_warm_start_needs_as_many_layers():
    X, y = load("iris")
    model = MLPClassifier(5, warm_start=True, max_iter=2).fit(X, y)
    before = [coef.copy() for coef in model.coefs_]
    with pytest.raises(ValueError, match="names 2 hidden layers, but"):
        model.set_params(hidden_layer_sizes=(5, 5)).fit(X, y)
    np.testing.assert_equal(model.coefs_, before)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"solver": "lbfgs"}, {"solver": "adam"}),
        ({"solver": "lbfgs"}, {"solver": "adam", "early_stopping": True}),
        ({"early_stopping": True}, {"early_stopping": False}),
        ({"early_stopping": False}, {"early_stopping": True}),
        ({"solver": "sgd"}, {"solver": "adam"}),
    ],
    ids=str,
)
def test_a_warm_start_after_other_settings(before, after):
    """scikit-learn's fails with most of these, for want of a record."""
    X, y = load("iris")
    model = MLPClassifier(warm_start=True, max_iter=4, random_state=0, **before).fit(X, y)
    start = [coef.copy() for coef in model.coefs_]
    model.set_params(**after, max_iter=3).fit(X, y)
    assert not np.array_equal(model.coefs_[0], start[0])
    assert model.n_iter_ == 3
    if model.early_stopping:
        assert len(model.validation_scores_) == 3
        assert model.best_validation_score_ == max(model.validation_scores_)
        assert model.best_loss_ is None
    else:
        assert model.best_loss_ <= model.loss_
        assert model.best_validation_score_ is None


def test_weights_need_a_positive_sum():
    X, y = load("iris")
    with pytest.raises(ValueError, match=r"sample_weight must have a positive sum, got -150.0"):
        MLPClassifier().fit(X, y, -np.ones(150))
    with pytest.raises(ValueError, match="Input y contains NaN"):
        MLPClassifier(class_weight="balanced").fit(X, np.where(y == 0, np.nan, y))
    with pytest.raises(ValueError, match=r"sample_weight.shape == \(3,\), expected \(150,\)"):
        MLPClassifier(class_weight="balanced").fit(X, y, np.ones(3))


def test_counts_cannot_be_negative():
    X, y = load("iris")
    with pytest.raises(ValueError, match="expected at least 0 for loss='poisson'"):
        MLPRegressor(loss="poisson").fit(X, y - 1)


def test_polars():
    polars = pytest.importorskip("polars")
    X, y = load("iris")
    frame = polars.DataFrame(X, schema=["a", "b", "c", "d"])
    labels = polars.Series(np.array(["x", "y", "z"])[y])
    model, theirs = (
        package.MLPClassifier(max_iter=3, random_state=0).fit(frame, labels)
        for package in (pynn.sklearn, neural_network)
    )
    # (scikit-learn's versions and those of polars decide whether there are names.)
    np.testing.assert_equal(*(vars(e).get("feature_names_in_") for e in (model, theirs)))
    np.testing.assert_array_equal(model.classes_, theirs.classes_)
    assert difference(model, theirs) < 1e-10
    np.testing.assert_array_equal(model.predict(frame), theirs.predict(frame))
    made = model.set_output(transform="polars").transform(frame)
    assert isinstance(made, polars.DataFrame)
    assert made.shape == (150, 100)


@pytest.mark.parametrize("make", ["Bagging", "Voting", "Stacking", "Calibrated", "AdaBoost"])
def test_in_ensembles(make):
    """With the samples' weights, chosen features and cloned estimators that these hand on."""
    from sklearn import calibration, ensemble

    if make == "AdaBoost" and VERSION < (1, 7):
        pytest.skip("scikit-learn's networks take sample weights since 1.7")
    X, y = load("iris")
    built = {
        "Bagging": lambda e: ensemble.BaggingClassifier(e, 3, max_features=2, random_state=0),
        "Voting": lambda e: ensemble.VotingClassifier([("a", e), ("b", clone(e))], voting="soft"),
        "Stacking": lambda e: ensemble.StackingClassifier([("a", e), ("b", clone(e))], cv=2),
        "Calibrated": lambda e: calibration.CalibratedClassifierCV(e, cv=2),
        "AdaBoost": lambda e: ensemble.AdaBoostClassifier(e, n_estimators=2, random_state=0),
    }[make]
    probabilities = [
        built(package.MLPClassifier(max_iter=20, random_state=0)).fit(X, y).predict_proba(X)
        for package in (pynn.sklearn, neural_network)
    ]
    np.testing.assert_allclose(*probabilities, rtol=1e-6)


@pytest.mark.parametrize("mode", [None, "r"])
def test_files_of_joblib(mode, tmp_path):
    joblib = pytest.importorskip("joblib")
    X, y = load("iris")
    model = MLPClassifier(max_iter=3, random_state=0, alpha=1.0).fit(X, y)
    joblib.dump(model, tmp_path / "model.joblib")
    again = joblib.load(tmp_path / "model.joblib", mmap_mode=mode)
    np.testing.assert_array_equal(again.predict_proba(X), model.predict_proba(X))
    if mode is None:
        assert difference(again.partial_fit(X, y), model.partial_fit(X, y)) == 0
