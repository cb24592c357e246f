"""Networks from and for scikit-learn."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from pynn._types import Array
from pynn.convert._layers import (
    Layers,
    check_chain,
    kind_of,
    layers_of,
    make_network,
    optional,
)
from pynn.mlp import MLP

# pynn's names of scikit-learn's hidden activations.
ACTIVATIONS = {"identity": "identity", "logistic": "sigmoid", "tanh": "tanh", "relu": "relu"}
NAMES = {ours: theirs for theirs, ours in ACTIVATIONS.items()}
# What each of scikit-learn's output activations is trained with.
LOSSES = {
    "softmax": "softmax_cross_entropy",
    "logistic": "sigmoid_cross_entropy",
    "identity": "squared_error",
    "exp": "poisson",
}


def from_sklearn(estimator: Any, dtype: DTypeLike | None = None, seed: Any = None) -> MLP:
    """Make the network of a fitted `MLPClassifier` or `MLPRegressor`.

    Parameters
    ----------
    estimator : MLPClassifier or MLPRegressor
        Fitted; of `sklearn.neural_network` or of `pynn.sklearn`.
    dtype : {"float32", "float64"}, optional
        By default that of the estimator's coefficients.
    seed : None, int, numpy.random.SeedSequence or numpy.random.Generator
        As for `MLP`: for later training.

    Returns
    -------
    MLP
        With copies of the parameters. Its outputs are the estimator's probabilities, in the order
        of ``estimator.classes_`` (with two classes one output, the probability of the second), or
        its predictions, and the labels that it predicts count through ``estimator.classes_``. The
        loss is "softmax_cross_entropy", "sigmoid_cross_entropy" (two classes, or several labels),
        "squared_error" or "poisson". Settings of training, such as ``alpha``, are not taken over.

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
    _check_estimator(estimator, "estimator")
    weights, biases = list(estimator.coefs_), list(estimator.intercepts_)
    check_chain([w.shape for w in weights], [f"estimator.coefs_[{i}]" for i in range(len(weights))])
    net = make_network(
        weights,
        biases,
        hidden=_hidden_of(estimator, len(weights) - 1),
        loss=LOSSES[estimator.out_activation_],
        output=None,
        dropout=(),
        dtype=weights[0].dtype if dtype is None else dtype,
        seed=seed,
    )
    if not hasattr(estimator, "classes_") and weights[-1].shape[1] == 1:
        # `MLP.predict` then gives a vector, as the estimator's does.
        vars(net)["_targets_1d"] = True
    return net


def layers_of_model(net: Any) -> Layers:
    """A network's or a fitted estimator's forward pass as plain data, in copies.

    Parameters
    ----------
    net : MLP, MLPClassifier or MLPRegressor
        Estimators of scikit-learn or of pynn.sklearn.

    Returns
    -------
    Layers
        With the classes of a classifier.

    Raises
    ------
    TypeError
        If `net` is something else.
    NotFittedError
        If it is an estimator that is not fitted.
    """
    if isinstance(net, MLP) or not hasattr(net, "get_params"):
        return layers_of(net)
    _check_estimator(net, "net")
    layers = layers_of(from_sklearn(net))
    classes = getattr(net, "classes_", None)
    return layers if classes is None else replace(layers, classes=np.asarray(classes).tolist())


def _is_network(estimator: Any) -> bool:
    """Return True for an MLPClassifier or MLPRegressor, of scikit-learn or of pynn.sklearn.

    Neither is imported here. (pynn.sklearn needs a newer scikit-learn than this module.)
    """
    theirs = sys.modules.get("sklearn.neural_network")
    ours = sys.modules.get("pynn.sklearn._base")
    return (
        theirs is not None and isinstance(estimator, theirs.MLPClassifier | theirs.MLPRegressor)
    ) or (ours is not None and isinstance(estimator, ours.BaseMLP))


def _check_estimator(estimator: Any, name: str) -> None:
    """Check that an argument is a fitted network of scikit-learn or pynn.sklearn."""
    if not _is_network(estimator):
        raise TypeError(
            f"{name} must be an MLPClassifier or MLPRegressor of scikit-learn or pynn.sklearn, "
            f"got {_wrapper(estimator, name) or kind_of(estimator)}"
        )
    if not hasattr(estimator, "coefs_"):
        from sklearn.exceptions import NotFittedError

        raise NotFittedError(f"{name} is not fitted: {estimator}; call its fit first")


def _wrapper(estimator: Any, name: str) -> str | None:
    """What holds a network in scikit-learn, for a message that names the network in it."""
    kind = type(estimator).__name__
    if isinstance(estimator, type) or not hasattr(estimator, "get_params"):
        return None
    found = _path_to_network(estimator, name)
    if found is not None:
        path, around = found
        return "; ".join([f"{kind}; pass the network in it, {path}", *around])
    # (A search keeps what it was given as `estimator`, and a pipeline's steps may not be fitted.)
    given = next((getattr(estimator, key, None) for key in ("estimator", "regressor")), None)
    if given is not None and _path_to_network(given, name) is not None:
        return f"{kind}, which is not fitted; call its fit first"
    steps = getattr(estimator, "steps", None)
    if steps:
        last, step = steps[-1]
        return f"{kind}, whose last step, {last!r}, is no network but {type(step).__name__}"
    return None


def _path_to_network(thing: Any, path: str) -> tuple[str, list[str]] | None:
    """Where a network is in an estimator, and what the estimator does before and after it."""
    if _is_network(thing):
        return path, []
    if getattr(thing, "steps", None):
        found = _path_to_network(thing.steps[-1][1], f"{path}[-1]")
        if found is None or len(thing.steps) == 1:
            return found
        return found[0], [f"its samples are those that {path}[:-1].transform returns", *found[1]]
    # (Ensembles also have an `estimator_`, which is not fitted.)
    several = getattr(thing, "estimators_", None)
    if isinstance(several, list) and several:
        found = _path_to_network(several[0], f"{path}.estimators_[0]")
        if found is not None:
            return found[0], [*found[1], f"{path}.estimators_ has {len(several)}"]
    for attribute in ("best_estimator_", "estimator_", "regressor_"):
        inner = getattr(thing, attribute, None)
        found = None if inner is None else _path_to_network(inner, f"{path}.{attribute}")
        if found is not None:
            if getattr(thing, "transformer_", None) is not None:
                after = f"its predictions still need {path}.transformer_.inverse_transform"
                return found[0], [*found[1], after]
            return found
    return None


def _hidden_of(estimator: Any, count: int) -> list[str]:
    """The hidden layers' activations; pynn's estimators also take pynn's names, one a layer."""
    given = estimator.activation
    names = [given] * count if isinstance(given, str) else list(given)
    return [ACTIVATIONS.get(name, name) for name in names]


def to_sklearn(net: MLP, classes: ArrayLike | None = None) -> Any:
    """Make a fitted `MLPClassifier` or `MLPRegressor` that predicts what the network predicts.

    Parameters
    ----------
    net : MLP
        All hidden layers with one of the activations that scikit-learn has: identity, relu, sigmoid
        or tanh; the output activation that comes with the loss (for "poisson" exp).
    classes : array_like of shape (n,), optional
        The classes in the order of the network's outputs; for one sigmoid output the classes for 0
        and 1. By default 0, 1, and so on. Several sigmoid outputs are labels of their own, and have
        no classes, nor have regressors.

    Returns
    -------
    sklearn.neural_network.MLPClassifier or MLPRegressor
        With copies of the parameters, for the cross-entropies a classifier. scikit-learn sorts
        classes: the columns of its probabilities follow ``classes_``.

    Raises
    ------
    TypeError
        If `net` is not an MLP.
    ValueError
        If scikit-learn has no such network, or `classes` does not fit.
    ImportError
        If scikit-learn is not installed.

    Notes
    -----
    scikit-learn computes two classes from one output. Softmax over two outputs equals the sigmoid
    of their logits' difference, so the last layer becomes that difference.

    Dropout is not part of predictions and gets lost; so does a loss that scikit-learn lacks
    ("mse", "mae", "huber", "pinball"): fitted further, the estimator minimizes its squared error.

    Examples
    --------
    >>> import numpy as np, pynn
    >>> net = pynn.MLP([4, 16, 3], seed=0)
    >>> estimator = pynn.convert.to_sklearn(net, classes=["setosa", "versicolor", "virginica"])
    >>> X = np.eye(4, dtype=np.float32)
    >>> np.allclose(estimator.predict_proba(X), net(X))
    True
    """
    layers = layers_of(net)
    hidden = _hidden_activation(layers)
    _check_output(layers)
    labels = _check_classes(classes, layers)
    package = optional("sklearn.neural_network", "to_sklearn", "scikit-learn")
    if layers.loss == "poisson" and "loss" not in package.MLPRegressor().get_params():
        raise ValueError("loss='poisson' needs scikit-learn 1.7 or newer")

    options = {"hidden_layer_sizes": layers.sizes[1:-1], "activation": hidden}
    classifier = layers.activations[-1] in ("softmax", "sigmoid")
    if classifier:
        estimator = package.MLPClassifier(**options, random_state=0)
    else:
        if layers.loss == "poisson":
            options["loss"] = "poisson"
        estimator = package.MLPRegressor(**options, random_state=0)
    _fit_once(estimator, layers, labels)
    weights, biases = _last_layer(layers, labels)
    estimator.coefs_, estimator.intercepts_ = weights, biases
    return estimator


def _hidden_activation(layers: Layers) -> str:
    hidden = layers.activations[:-1]
    for i, name in enumerate(hidden):
        if name not in NAMES:
            raise ValueError(
                f"scikit-learn has no activation {name!r} (hidden layer {i}); it has "
                f"{', '.join(NAMES)}"
            )
        if name != hidden[0]:
            raise ValueError(
                "scikit-learn has one activation for all hidden layers, but net has "
                f"{', '.join(hidden)}"
            )
    return NAMES[hidden[0]] if hidden else "relu"


def _check_output(layers: Layers) -> None:
    output = layers.activations[-1]
    expected = {
        "softmax_cross_entropy": "softmax",
        "sigmoid_cross_entropy": "sigmoid",
        "poisson": "exp",
    }.get(layers.loss, "identity")
    if output != expected:
        raise ValueError(
            f"with loss={layers.loss!r}, the output activation must be {expected} for "
            f"scikit-learn, but net has {output}"
        )


def _check_classes(classes: Any, layers: Layers) -> Array | None:
    """The classes in the order of the outputs, None where there are none."""
    output, count = layers.activations[-1], layers.sizes[-1]
    if output == "sigmoid" and count == 1:
        count = 2
    elif output != "softmax":
        if classes is not None:
            kind = "independent labels" if output == "sigmoid" else "values"
            raise ValueError(f"classes must be None, since net's outputs are {kind}")
        return None
    if classes is None:
        return np.arange(count)
    labels = np.asarray(classes)
    if labels.shape != (count,):
        raise ValueError(f"classes has shape {labels.shape}, expected ({count},)")
    if labels.dtype.kind not in "biuUS" and not (
        labels.dtype.kind == "O" and all(isinstance(label, str) for label in labels)
    ):
        raise TypeError(f"classes must hold integers or strings, got dtype {labels.dtype}")
    if len(np.unique(labels)) != count:
        raise ValueError(f"classes must differ from each other, got {classes!r}")
    return labels


def _fit_once(estimator: Any, layers: Layers, labels: Array | None) -> None:
    """Let scikit-learn set all that a fitted estimator has, whatever its version calls it."""
    inputs, outputs = layers.sizes[0], layers.sizes[-1]
    X = np.zeros((1, inputs), layers.dtype)
    if labels is not None:
        estimator.partial_fit(X, labels[:1], classes=labels)
    elif layers.activations[-1] == "sigmoid":
        estimator.partial_fit(X, np.zeros((1, outputs), int), classes=np.arange(outputs))
    else:
        estimator.partial_fit(X, np.ones((1, outputs) if outputs > 1 else 1, layers.dtype))
    # Nothing of that step may influence training that goes on from here.
    for name in ("_optimizer", "_best_coefs", "_best_intercepts"):
        vars(estimator).pop(name, None)
    estimator.set_params(random_state=None)
    estimator.t_ = estimator.n_iter_ = 0
    estimator.loss_curve_ = []
    estimator.loss_ = estimator.best_loss_ = np.inf


def _last_layer(layers: Layers, labels: Array | None) -> tuple[list[Array], list[Array]]:
    """The parameters, with the last layer's outputs as scikit-learn orders and counts them."""
    weights = list(layers.weights)
    biases = list(layers.biases) or [np.zeros(w.shape[1], w.dtype) for w in weights]
    if labels is not None:
        weights[-1], biases[-1] = (
            np.ascontiguousarray(_columns(a, labels)) for a in (weights[-1], biases[-1])
        )
    return weights, biases


def _columns(array: Array, labels: Array) -> Array:
    order = np.argsort(labels)
    if len(labels) > 2:
        result: Array = array[..., order]
        return result
    if array.shape[-1] == 2:
        first, second = order
        return array[..., [second]] - array[..., [first]]
    return array if order[0] == 0 else -array
