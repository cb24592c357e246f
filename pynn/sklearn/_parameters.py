"""The parameters that both estimators have: their descriptions and their constraints."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from numbers import Integral, Real
from string import Template
from typing import Any, TypeVar

import numpy as np
from sklearn.utils._param_validation import Interval, Options, StrOptions

from pynn._types import ACTIVATIONS
from pynn.architecture import check_per_layer

STOCHASTIC = ("sgd", "adam")
ACTIVATION_NAMES = {"logistic", *ACTIVATIONS}

_at_least_0 = Interval(Real, 0, None, closed="left")
_at_least_1 = Interval(Integral, 1, None, closed="left")

# As scikit-learn's validation takes them.
CONSTRAINTS: dict[str, Any] = {
    "hidden_layer_sizes": ["array-like", _at_least_1],
    "activation": [StrOptions(ACTIVATION_NAMES), "array-like"],
    "solver": [StrOptions({"lbfgs", "sgd", "adam"})],
    "alpha": [_at_least_0],
    "batch_size": [StrOptions({"auto"}), _at_least_1],
    "learning_rate": [StrOptions({"constant", "invscaling", "adaptive"})],
    "learning_rate_init": [Interval(Real, 0, None, closed="neither")],
    "power_t": [_at_least_0],
    "max_iter": [_at_least_1],
    "shuffle": ["boolean"],
    "random_state": ["random_state"],
    "tol": [_at_least_0],
    "verbose": ["verbose"],
    "warm_start": ["boolean"],
    "momentum": [Interval(Real, 0, 1, closed="both")],
    "nesterovs_momentum": ["boolean"],
    "early_stopping": ["boolean"],
    "validation_fraction": [Interval(Real, 0, 1, closed="left")],
    "beta_1": [Interval(Real, 0, 1, closed="left")],
    "beta_2": [Interval(Real, 0, 1, closed="left")],
    "epsilon": [Interval(Real, 0, None, closed="neither")],
    "n_iter_no_change": [_at_least_1, Options(Real, {np.inf})],
    "max_fun": [_at_least_1],
    "dropout": [Interval(Real, 0, 1, closed="left"), "array-like"],
    "l1": [_at_least_0],
    "weight_decay": [_at_least_0],
    "clip_norm": [Interval(Real, 0, None, closed="neither"), None],
    "dtype": [
        StrOptions({"float32", "float64"}),
        Options(type, {np.float32, np.float64}),
        None,
    ],
    "progress": ["boolean"],
    "scoring": [str, callable, None],
}

TEXTS = {
    "parameters": """
hidden_layer_sizes : int or sequence of int, default (100,)
    The number of units in each hidden layer.
activation : str or sequence of str, default "relu"
    The hidden layers' activation: "identity", "logistic", "tanh", "relu", or any other of
    `pynn.MLP`. A sequence names one for each hidden layer.
solver : {"adam", "sgd", "lbfgs"}, default "adam"
alpha : float, default 0.0001
    L2 penalty: adds ``0.5 * alpha * sum(W**2)`` to the loss, divided by the number of samples in a
    step, or by the sum of their weights.
batch_size : int or "auto", default "auto"
    Samples in a mini-batch. "auto": 200, or the number of samples if that is smaller. Ignored by
    lbfgs.
learning_rate : {"constant", "invscaling", "adaptive"}, default "constant"
    Schedule of sgd. "invscaling": after each epoch ``learning_rate_init / (t_ + 1)**power_t``.
    "adaptive": divided by 5, down to 1e-6, where a fit would otherwise stop for lack of
    improvement.
learning_rate_init : float, default 0.001
    Initial learning rate of sgd and adam.
power_t : float, default 0.5
    Exponent of "invscaling".
max_iter : int, default 200
    The largest number of epochs of sgd and adam, or of iterations of lbfgs.
shuffle : bool, default True
    Shuffle the samples in each epoch. For sgd and adam.
random_state : int, RandomState instance or None
    Draws the initial parameters, the held-out samples and the order of the mini-batches, in the
    order of scikit-learn's draws.
tol : float, default 1e-4
    An epoch counts as an improvement if it beats the best one by more than this. For lbfgs: SciPy's
    ``gtol``.
verbose : bool or int, default False
    Print the loss of each epoch.
warm_start : bool, default False
    Start `fit` from the present coefficients.
momentum : float, default 0.9
    Momentum of sgd, in [0, 1].
nesterovs_momentum : bool, default True
    Use Nesterov's momentum.
early_stopping : bool, default False
    Hold samples out and score them after each epoch: the score decides when to stop, and the
    parameters of the best epoch are kept. For sgd and adam.
validation_fraction : float, default 0.1
    The fraction of samples to hold out.
beta_1, beta_2, epsilon : float, default 0.9, 0.999 and 1e-8
    Settings of adam.
n_iter_no_change : int, default 10
    Stop after more than this many successive epochs without improvement.
max_fun : int, default 15000
    The largest number of evaluations of the loss by lbfgs.
dropout : float or sequence of float, default 0.0
    The probability of dropping a hidden unit's output in a step. A sequence has one for each
    layer's inputs, the samples first. For sgd and adam.
l1 : float, default 0.0
    L1 penalty: adds ``l1 * sum(abs(W))`` to the loss, divided like `alpha`.
weight_decay : float, default 0.0
    Decoupled weight decay: each step also subtracts ``rate * weight_decay`` times the parameters.
    For sgd and adam.
clip_norm : float, optional
    Scale larger gradients down to this norm. For sgd and adam.
dtype : {"float32", "float64"}, optional
    Type of the parameters and the arithmetic. By default that of the samples, float64 for integers.
    lbfgs always works in float64.
progress : bool, default False
    Show a progress bar on stderr. For sgd and adam.
""",
    "scoring": """
scoring : str or callable, optional
    The score for early stopping, as in `sklearn.metrics.get_scorer`. By default $score.
""",
    "attributes": """
coefs_, intercepts_ : list of ndarray
    Arrays of shapes (inputs, outputs) and (outputs,), one for each layer. Predictions follow any
    change of them, in place or by assignment.
loss_, best_loss_ : float
loss_curve_ : list of float
    The mean loss of each epoch. For sgd and adam.
validation_scores_ : list of float or None
best_validation_score_ : float or None
n_iter_, t_ : int
    The number of epochs (of iterations for lbfgs), and of samples seen.
n_layers_, n_outputs_, n_features_in_ : int
feature_names_in_ : ndarray of str
    Exists if the samples had names.
out_activation_ : str
""",
    "notes": """
Parameters up to `max_fun`, attributes and methods are those of scikit-learn's class of this name
[1]_. With the same `random_state` the coefficients agree to rounding.

The loss is computed from logits. scikit-learn clips the probability of a sample's true class, at
2.2e-16 in float64, so that its `loss_curve_` can be smaller. After a loss that is not finite the
coefficients are NaN.

References
----------
.. [1] F. Pedregosa et al., "Scikit-learn: Machine learning in Python", JMLR 12, 2011.
""",
}

C = TypeVar("C", bound=type)


def documented(**values: str) -> Callable[[C], C]:
    """Fill the texts that both estimators share into the docstring of a class.

    The docstring has lines such as ``$parameters``.

    Parameters
    ----------
    **values : str
        The differences between the estimators: `score`, the default score.

    Returns
    -------
    callable
        The decorator, which returns the class itself.
    """

    def fill(cls: C) -> C:
        if cls.__doc__ is not None:  # it is with python -OO
            shared = {
                name: Template(text.strip()).substitute(values) for name, text in TEXTS.items()
            }
            cls.__doc__ = Template(inspect.cleandoc(cls.__doc__)).substitute(shared)
        return cls

    return fill


def check_hidden_layers(estimator: Any) -> list[int]:
    """Return the sizes of the hidden layers, and check what names something for each of them.

    Raises
    ------
    TypeError, ValueError
        If ``hidden_layer_sizes``, ``activation`` or ``dropout`` does not fit.
    """
    hidden = estimator.hidden_layer_sizes
    hidden = list(hidden) if isinstance(hidden, Iterable) else [hidden]
    if any(not isinstance(units, Integral) for units in hidden):
        raise TypeError(f"hidden_layer_sizes must hold integers, got {hidden}")
    if any(units <= 0 for units in hidden):
        raise ValueError(f"hidden_layer_sizes must be > 0, got {hidden}.")
    given = estimator.activation
    if not isinstance(given, str) and (
        len(given) != len(hidden)
        or any(not isinstance(name, str) or name not in ACTIVATION_NAMES for name in given)
    ):
        raise ValueError(
            f"activation must name one for each of the {len(hidden)} hidden layers, among "
            f"{sorted(ACTIVATION_NAMES)}; got {given!r}"
        )
    if not isinstance(estimator.dropout, Real):
        check_per_layer(estimator.dropout, "dropout", len(hidden) + 1, high=1.0, of_input=0.0)
    return hidden


def solver_is_stochastic(estimator: Any) -> bool:
    """Return True where ``partial_fit`` is available.

    Raises
    ------
    AttributeError
        If the solver is "lbfgs".
    """
    if estimator.solver not in STOCHASTIC:
        raise AttributeError(
            "partial_fit is only available for stochastic optimizers. "
            f"{estimator.solver} is not stochastic."
        )
    return True
