"""Networks as scikit-learn's multilayer perceptrons."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from pynn._names import ACTIVATIONS as ALIASES
from pynn._types import Array
from pynn.architecture import check_dtype
from pynn.formats.spec import (
    HasSpec,
    NetworkSpec,
    check_chain,
    dense_network,
    describe_other,
    optional,
    spec_of,
)
from pynn.losses import LOSS_OF_OUTPUT, LOSSES

# scikit-learn's hidden activations, by pynn's names.
HIDDEN = {"identity": "identity", "sigmoid": "logistic", "tanh": "tanh", "relu": "relu"}


class MarkedNetwork:
    """Base class of estimators that hold a network in scikit-learn's attributes.

    Those are ``coefs_``, ``intercepts_``, ``activation`` and ``out_activation_``. The estimators
    of `pynn.sklearn` are such, and this module does not import them.
    """


def hidden_activations(activation: str | Sequence[str], count: int) -> tuple[str, ...]:
    """Return pynn's names of the hidden layers' activations.

    Parameters
    ----------
    activation : str or sequence of str
        The parameter of an estimator: one name for all layers or one for each.
    count : int
        The number of hidden layers.
    """
    names = (activation,) * count if isinstance(activation, str) else tuple(activation)
    return tuple(ALIASES.get(name, name) for name in names)


def output_activation(name: str) -> str:
    """Return pynn's name of an estimator's ``out_activation_``."""
    return ALIASES.get(name, name)


def loss_of(out_activation: str) -> str:
    """Return the name of the loss that scikit-learn trains an ``out_activation_`` with."""
    return LOSS_OF_OUTPUT[output_activation(out_activation)]


def spec_of_model(net: Any) -> NetworkSpec:
    """Return a network or a fitted estimator as plain data, in copies.

    Parameters
    ----------
    net : MLP, MLPClassifier or MLPRegressor
        The estimators of scikit-learn or of pynn.sklearn.

    Returns
    -------
    NetworkSpec
        With the classes of a classifier.

    Raises
    ------
    TypeError
        If `net` is something else.
    NotFittedError
        If `net` is an estimator that is not fitted.
    """
    if not hasattr(net, "get_params"):
        return spec_of(net)
    spec = read_estimator(net, "net")
    classes = getattr(net, "classes_", None)
    return spec if classes is None else replace(spec, classes=np.asarray(classes).tolist())


def read_estimator(estimator: Any, name: str, dtype: Any = None) -> NetworkSpec:
    """Return the network of a fitted estimator as plain data, in copies.

    Parameters
    ----------
    estimator : MLPClassifier or MLPRegressor
        Of scikit-learn or of pynn.sklearn.
    name : str
        The argument's name, for messages.
    dtype : {"float32", "float64"}, optional
        By default float32 if all coefficients have it, else float64.

    Returns
    -------
    NetworkSpec

    Raises
    ------
    TypeError
        If `estimator` is something else. For a pipeline or a search the message names the network
        in it.
    NotFittedError
        If `estimator` is not fitted.
    ValueError
        If the arrays do not fit each other.
    """
    _check_estimator(estimator, name)
    weights = [np.asarray(coef) for coef in estimator.coefs_]
    biases = [np.asarray(intercept) for intercept in estimator.intercepts_]
    chosen = check_dtype(np.result_type(*weights) if dtype is None else dtype)
    names = [f"{name}.coefs_[{i}]" for i in range(len(weights))]
    check_chain([w.shape for w in weights], names)
    for i, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
        if bias.shape != weight.shape[1:]:
            raise ValueError(
                f"{name}.intercepts_[{i}] has shape {bias.shape}, expected {weight.shape[1:]}"
            )
    with np.errstate(over="ignore", under="ignore"):
        weights = [array.astype(chosen) for array in weights]
        biases = [array.astype(chosen) for array in biases]
    output = output_activation(estimator.out_activation_)
    return dense_network(
        weights,
        biases,
        (*hidden_activations(estimator.activation, len(weights) - 1), output),
        loss=LOSS_OF_OUTPUT[output],
        names=("coefs_", "intercepts_"),
    )


def _is_network(estimator: Any) -> bool:
    """Return True for an MLPClassifier or MLPRegressor, of scikit-learn or of pynn.sklearn.

    This imports neither: an estimator's own package has been imported.
    """
    theirs = sys.modules.get("sklearn.neural_network")
    return isinstance(estimator, MarkedNetwork) or (
        theirs is not None and isinstance(estimator, theirs.MLPClassifier | theirs.MLPRegressor)
    )


def _check_estimator(estimator: Any, name: str) -> None:
    """Check that an argument is a fitted network of scikit-learn or pynn.sklearn."""
    if not _is_network(estimator):
        raise TypeError(
            f"{name} must be an MLPClassifier or MLPRegressor of scikit-learn or pynn.sklearn, "
            f"got {_wrapper(estimator, name) or describe_other(estimator)}"
        )
    if not hasattr(estimator, "coefs_"):
        from sklearn.exceptions import NotFittedError

        raise NotFittedError(f"{name} is not fitted: {estimator}; call its fit first")


def _wrapper(estimator: Any, name: str) -> str | None:
    """Describe an estimator that holds a network, for a message that names the network in it."""
    kind = type(estimator).__name__
    if isinstance(estimator, type) or not hasattr(estimator, "get_params"):
        return None
    found = _path_to_network(estimator, name)
    if found is not None:
        path, around = found
        return "; ".join([f"{kind}; pass the network in it, {path}", *around])
    # A search keeps its argument as `estimator`, and a pipeline's steps may not be fitted.
    given = next((getattr(estimator, key, None) for key in ("estimator", "regressor")), None)
    if given is not None and _path_to_network(given, name) is not None:
        return f"{kind}, which is not fitted; call its fit first"
    steps = getattr(estimator, "steps", None)
    if steps:
        last, step = steps[-1]
        return f"{kind}, whose last step, {last!r}, is no network but {type(step).__name__}"
    return None


def _path_to_network(thing: Any, path: str) -> tuple[str, list[str]] | None:
    """Return the place of a network in an estimator, and what happens before and after it."""
    if _is_network(thing):
        return path, []
    if getattr(thing, "steps", None):
        found = _path_to_network(thing.steps[-1][1], f"{path}[-1]")
        if found is None or len(thing.steps) == 1:
            return found
        return found[0], [f"its samples are those that {path}[:-1].transform returns", *found[1]]
    # Ensembles also have an `estimator_`, which is not fitted.
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


def to_sklearn(net: HasSpec, classes: ArrayLike | None = None) -> Any:
    """Make a fitted `MLPClassifier` or `MLPRegressor` that predicts what the network predicts.

    Parameters
    ----------
    net : MLP or Sequential
        A network of dense layers with one activation for all hidden layers: identity, relu, sigmoid
        or tanh. The output activation must be the default of the loss.
    classes : array_like of shape (n,), optional
        The classes in the order of the network's outputs; for one sigmoid output the classes for 0
        and 1. By default 0, 1, and so on. Must be None for regressors, and for several sigmoid
        outputs, which are independent labels.

    Returns
    -------
    sklearn.neural_network.MLPClassifier or MLPRegressor
        A classifier for a cross-entropy, else a regressor, with copies of the parameters.
        scikit-learn sorts classes: the columns of its probabilities follow ``classes_``.

    Raises
    ------
    TypeError
        If `net` is not an MLP.
    ValueError
        If scikit-learn cannot express the network, or `classes` does not fit.
    ImportError
        If scikit-learn is not installed.

    Notes
    -----
    scikit-learn computes two classes from one output. Softmax over two outputs equals the sigmoid
    of their logits' difference, so the last layer becomes that difference.

    Dropout is not part of predictions, and is dropped. scikit-learn lacks the losses "mse", "mae",
    "huber" and "pinball": further fits of the estimator minimize its squared error.

    Examples
    --------
    >>> import numpy as np, pynn
    >>> net = pynn.MLP([4, 16, 3], seed=0)
    >>> estimator = pynn.convert.to_sklearn(net, classes=["setosa", "versicolor", "virginica"])
    >>> X = np.eye(4, dtype=np.float32)
    >>> np.allclose(estimator.predict_proba(X), net(X))
    True
    """
    spec = spec_of(net)
    _check_layers(spec)
    *hidden, output = (name for _, name in spec.steps())
    activation = _hidden_activation(hidden)
    _check_output(spec, output)
    labels = _check_classes(classes, output, spec.output_shape[0])
    package = optional("sklearn.neural_network", "to_sklearn", "scikit-learn")
    if spec.loss == "poisson" and "loss" not in package.MLPRegressor().get_params():
        raise ValueError("loss='poisson' needs scikit-learn 1.7 or newer")

    sizes = tuple(units for (units,), _ in spec.steps()[:-1])
    options = {"hidden_layer_sizes": sizes, "activation": activation}
    if LOSSES[spec.loss or ""].classes:
        estimator = package.MLPClassifier(**options, random_state=0)
    else:
        if spec.loss == "poisson":
            options["loss"] = "poisson"
        estimator = package.MLPRegressor(**options, random_state=0)
    _fit_once(estimator, spec, labels)
    weights, biases = _last_layer(spec, labels)
    estimator.coefs_, estimator.intercepts_ = weights, biases
    return estimator


def _check_layers(spec: NetworkSpec) -> None:
    """Check that the layers are those of a multilayer perceptron."""
    if len(spec.input_shape) != 1:
        raise ValueError(
            f"scikit-learn has no networks of inputs of shape {spec.input_shape}; it takes vectors"
        )
    if spec.is_mlp:
        return
    before = ""
    for layer in spec.layers:
        if layer.kind not in ("Dense", "Dropout", "Activation") or (
            layer.kind == "Activation" and before != "Dense"
        ):
            raise ValueError(
                f"scikit-learn cannot express layer {layer.path} ({layer.kind}); it has Dense "
                "layers, each with one activation"
            )
        before = layer.kind


def _hidden_activation(hidden: Sequence[str]) -> str:
    """Return scikit-learn's one name for the hidden layers' activations."""
    for i, name in enumerate(hidden):
        if name not in HIDDEN:
            raise ValueError(
                f"scikit-learn has no activation {name!r} (hidden layer {i}); it has "
                f"{', '.join(HIDDEN)}"
            )
        if name != hidden[0]:
            raise ValueError(
                "scikit-learn has one activation for all hidden layers, but net has "
                f"{', '.join(hidden)}"
            )
    return HIDDEN[hidden[0]] if hidden else "relu"


def _check_output(spec: NetworkSpec, output: str) -> None:
    expected = LOSSES[spec.loss or ""].output
    if output != expected:
        raise ValueError(
            f"with loss={spec.loss!r}, the output activation must be {expected} for "
            f"scikit-learn, but net has {output}"
        )


def _check_classes(classes: Any, output: str, count: int) -> Array | None:
    """Return the classes in the order of the outputs, None for a network without classes."""
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


def _fit_once(estimator: Any, spec: NetworkSpec, labels: Array | None) -> None:
    """Let scikit-learn set every attribute of a fitted estimator, whatever its version."""
    (inputs,), (outputs,) = spec.input_shape, spec.output_shape
    X = np.zeros((1, inputs), spec.dtype)
    if labels is not None:
        estimator.partial_fit(X, labels[:1], classes=labels)
    elif LOSSES[spec.loss or ""].classes:
        estimator.partial_fit(X, np.zeros((1, outputs), int), classes=np.arange(outputs))
    else:
        estimator.partial_fit(X, np.ones((1, outputs) if outputs > 1 else 1, spec.dtype))
    # That step must not influence further training.
    for name in ("_optimizer", "_best_coefs", "_best_intercepts"):
        vars(estimator).pop(name, None)
    estimator.set_params(random_state=None)
    estimator.t_ = estimator.n_iter_ = 0
    estimator.loss_curve_ = []
    estimator.loss_ = estimator.best_loss_ = np.inf


def _last_layer(spec: NetworkSpec, labels: Array | None) -> tuple[list[Array], list[Array]]:
    """Return the parameters, with the last layer's outputs as scikit-learn orders them."""
    dense = [layer.arrays for layer in spec.layers if layer.kind == "Dense"]
    weights = [arrays["kernel"] for arrays in dense]
    biases = [
        arrays.get("bias", np.zeros(w.shape[1], w.dtype))
        for arrays, w in zip(dense, weights, strict=True)
    ]
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
