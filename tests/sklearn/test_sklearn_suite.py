"""scikit-learn's own tests of its networks, which ship in its wheel, run on pynn's estimators."""

import importlib.util

import pytest

sklearn = pytest.importorskip("sklearn", minversion="1.5")

from sklearn import neural_network  # noqa: E402

import pynn.sklearn  # noqa: E402

NAME = "sklearn.neural_network.tests.test_mlp"


def _redirected():
    """The module anew, with pynn's classes where it imports scikit-learn's."""
    spec = importlib.util.find_spec(NAME)
    module = importlib.util.module_from_spec(spec)
    theirs = {name: getattr(neural_network, name) for name in pynn.sklearn.__all__}
    try:
        for name in theirs:
            setattr(neural_network, name, getattr(pynn.sklearn, name))
        spec.loader.exec_module(module)
    finally:
        for name, item in theirs.items():
            setattr(neural_network, name, item)
    return module


suite = _redirected()
globals().update({k: v for k, v in vars(suite).items() if k.startswith("test_")})

# scikit-learn's tests leave ConvergenceWarnings and the like be.
pytestmark = pytest.mark.filterwarnings("default", "ignore::sklearn.exceptions.ConvergenceWarning")


@pytest.fixture
def global_random_seed():
    return 42


def test_the_tests_call_pynn():
    assert suite.MLPClassifier is pynn.sklearn.MLPClassifier
    assert suite.MLPRegressor is pynn.sklearn.MLPRegressor
    assert neural_network.MLPClassifier is not pynn.sklearn.MLPClassifier
