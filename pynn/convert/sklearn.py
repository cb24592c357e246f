"""Networks from scikit-learn's multilayer perceptrons."""

from __future__ import annotations

from typing import Any

from numpy.typing import DTypeLike

from pynn.convert._build import make_network
from pynn.formats.sklearn import read_estimator
from pynn.formats.spec import optional
from pynn.mlp import MLP


def from_sklearn(estimator: Any, dtype: DTypeLike | None = None, seed: Any = None) -> MLP:
    """Make the network of a fitted `MLPClassifier` or `MLPRegressor`.

    Parameters
    ----------
    estimator : MLPClassifier or MLPRegressor
        A fitted estimator of `sklearn.neural_network` or of `pynn.sklearn`.
    dtype : {"float32", "float64"}, optional
        By default that of the estimator's coefficients.
    seed : None, int, numpy.random.SeedSequence or numpy.random.Generator
        The seed of later training, as for `MLP`.

    Returns
    -------
    MLP
        A network with copies of the parameters. The outputs of a classifier are its probabilities,
        in the order of ``estimator.classes_``; two classes have one output, the probability of the
        second. Predicted labels are indices into ``estimator.classes_``. The loss is
        "softmax_cross_entropy", "sigmoid_cross_entropy" (two classes, or several labels),
        "squared_error" or "poisson". Settings of training, such as ``alpha``, are not copied.

    Raises
    ------
    TypeError
        If `estimator` is something else. For a pipeline or a search the message names the network
        in it.
    NotFittedError
        If it is not fitted (scikit-learn's exception, a ValueError).
    ImportError
        If scikit-learn is not installed.

    Examples
    --------
    >>> import numpy as np, pynn
    >>> from sklearn.neural_network import MLPRegressor
    >>> X, y = np.eye(8), np.arange(8.0)
    >>> estimator = MLPRegressor(hidden_layer_sizes=[16], solver="lbfgs", random_state=0).fit(X, y)
    >>> net = pynn.convert.from_sklearn(estimator)
    >>> np.allclose(net(X)[:, 0], estimator.predict(X))
    True
    """
    optional("sklearn.neural_network", "from_sklearn", "scikit-learn")
    spec = read_estimator(estimator, "estimator", dtype)
    net = make_network(spec, spec.loss, seed=seed)
    if not hasattr(estimator, "classes_") and spec.output_shape == (1,):
        # The `predict` of both then gives a vector.
        vars(net)["_targets_1d"] = True
    return net
