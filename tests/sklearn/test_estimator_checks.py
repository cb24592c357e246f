"""scikit-learn's checks of estimators."""

import pytest

pytest.importorskip("sklearn", minversion="1.5")

from sklearn.utils.estimator_checks import parametrize_with_checks

from pynn.sklearn import MLPClassifier, MLPRegressor, NetworkClassifier, NetworkRegressor

marks = parametrize_with_checks(
    [
        MLPClassifier(max_iter=100),
        MLPRegressor(max_iter=100),
        MLPClassifier(max_iter=100, solver="lbfgs"),
        MLPRegressor(max_iter=100, solver="lbfgs"),
        # (Fewer epochs than by default, which pass too.)
        NetworkClassifier(epochs=60, learning_rate=0.03),
        NetworkRegressor(epochs=60, learning_rate=0.03),
    ]
).mark


# (As a list: older versions give pytest a generator, which it will take no longer.)
@pytest.mark.filterwarnings("default", "ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize(marks.args[0], list(marks.args[1]), ids=marks.kwargs["ids"])
def test_check(estimator, check):
    check(estimator)
