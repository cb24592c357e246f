"""scikit-learn's multilayer perceptrons, and networks of any layers, trained by pynn.

`MLPClassifier` and `MLPRegressor` take the place of those of `sklearn.neural_network`: the same
parameters, attributes and methods, and for the same ``random_state`` the same coefficients.
`NetworkClassifier` and `NetworkRegressor` are estimators around layers of `pynn.layers`. They need
scikit-learn 1.5 or later.
"""

try:
    import sklearn as _sklearn
except ImportError:
    raise ImportError("pynn.sklearn needs scikit-learn: pip install scikit-learn") from None

from pynn.sklearn.classifier import MLPClassifier
from pynn.sklearn.network import NetworkClassifier, NetworkRegressor
from pynn.sklearn.regressor import MLPRegressor

del _sklearn

__all__ = ["MLPClassifier", "MLPRegressor", "NetworkClassifier", "NetworkRegressor"]


def __dir__() -> list[str]:
    return __all__
