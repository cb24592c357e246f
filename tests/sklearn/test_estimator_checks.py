"""scikit-learn's checks of estimators."""

import pytest

pytest.importorskip("sklearn", minversion="1.5")

from sklearn.utils.estimator_checks import parametrize_with_checks

from pynn.sklearn import MLPClassifier, MLPRegressor


@pytest.mark.filterwarnings("default", "ignore::sklearn.exceptions.ConvergenceWarning")
@parametrize_with_checks(
    [
        MLPClassifier(max_iter=100),
        MLPRegressor(max_iter=100),
        MLPClassifier(max_iter=100, solver="lbfgs"),
        MLPRegressor(max_iter=100, solver="lbfgs"),
    ]
)
def test_check(estimator, check):
    check(estimator)
