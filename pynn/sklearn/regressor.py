"""MLPRegressor."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from sklearn.base import RegressorMixin, _fit_context
from sklearn.metrics import r2_score
from sklearn.utils import check_array, column_or_1d
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.metaestimators import available_if

from pynn._interrupts import shorten
from pynn._sparse import is_sparse
from pynn._types import Array
from pynn.sklearn._base import BaseMLP
from pynn.sklearn._compat import loss_by_keyword_before_1_7, validate_data
from pynn.sklearn._link import Link
from pynn.sklearn._stochastic import HeldOut


class MLPRegressor(RegressorMixin, BaseMLP):  # type: ignore[misc]
    """Multilayer perceptron that predicts numbers, with scikit-learn's parameters.

    Parameters
    ----------
    loss : {"squared_error", "poisson"}, default "squared_error"
        "poisson" is half the deviance, for counts: the outputs are exponentials. With scikit-learn
        1.5 and 1.6, whose class has no `loss`, by keyword only: `hidden_layer_sizes` comes first.
    hidden_layer_sizes : int or sequence of int, default (100,)
        The numbers of each hidden layer's units.
    activation : str or sequence of str, default "relu"
        Of the hidden layers: "identity", "logistic", "tanh", "relu", or any other that `pynn.MLP`
        takes. A sequence names one for each hidden layer.
    solver : {"adam", "sgd", "lbfgs"}, default "adam"
    alpha : float, default 0.0001
        The loss has ``0.5 * alpha * sum(W**2)`` besides, divided by the number of samples (or the
        sum of their weights) that a step takes.
    batch_size : int or "auto", default "auto"
        "auto": 200, or the number of samples if that is smaller. Not for lbfgs.
    learning_rate : {"constant", "invscaling", "adaptive"}, default "constant"
        Of sgd. "invscaling": after each epoch ``learning_rate_init / (t_ + 1)**power_t``.
        "adaptive": divided by 5 where a fit would end for lack of improvement, down to 1e-6.
    learning_rate_init : float, default 0.001
        Of sgd and adam.
    power_t : float, default 0.5
        For "invscaling".
    max_iter : int, default 200
        Epochs of sgd and adam, iterations of lbfgs.
    shuffle : bool, default True
        Whether each epoch shuffles the samples. For sgd and adam.
    random_state : int, RandomState instance or None
        Draws the initial parameters, the samples set aside and the order of the mini-batches, as
        scikit-learn draws them.
    tol : float, default 1e-4
        An epoch has to improve on the best by more than this, or it counts as one without
        improvement; for lbfgs, SciPy's ``gtol``.
    verbose : bool or int, default False
        Whether to print the loss of each epoch.
    warm_start : bool, default False
        Whether `fit` starts from the present coefficients.
    momentum : float, default 0.9
        Of sgd, in [0, 1].
    nesterovs_momentum : bool, default True
    early_stopping : bool, default False
        Whether the score of samples set aside decides when to stop, and which epoch's parameters
        are kept. For sgd and adam.
    validation_fraction : float, default 0.1
        The part that is set aside.
    beta_1, beta_2, epsilon : float, default 0.9, 0.999 and 1e-8
        Of adam.
    n_iter_no_change : int, default 10
        A fit ends after more epochs than this without improvement.
    max_fun : int, default 15000
        Of lbfgs: the largest number of evaluations of the loss.
    dropout : float or sequence of float, default 0.0
        The probability that a hidden unit's output is dropped in a step; a sequence has one for
        each layer's inputs, the samples first. For sgd and adam.
    l1 : float, default 0.0
        The loss has ``l1 * sum(abs(W))`` besides, divided as for `alpha`.
    weight_decay : float, default 0.0
        Each step also takes ``rate * weight_decay`` times themselves off the parameters. For sgd
        and adam.
    clip_norm : float, optional
        A gradient whose norm is larger is scaled down to it. For sgd and adam.
    dtype : {"float32", "float64"}, optional
        Of the parameters and the arithmetic; by default that of the samples, float64 for integers.
        lbfgs always works in float64.
    progress : bool, default False
        Whether to show a progress bar on stderr. For sgd and adam.
    scoring : str or callable, optional
        The score for early stopping, as in `sklearn.metrics.get_scorer`; by default r2.

    Attributes
    ----------
    coefs_, intercepts_ : list of ndarray
        Of shapes (inputs, outputs) and (outputs,), one for each layer. They may be changed, or
        replaced: predictions follow.
    loss_, best_loss_ : float
    loss_curve_ : list of float
        Each epoch's mean loss. For sgd and adam.
    validation_scores_ : list of float or None
    best_validation_score_ : float or None
    n_iter_, t_ : int
        Epochs (iterations of lbfgs), and samples seen.
    n_layers_, n_outputs_, n_features_in_ : int
    feature_names_in_ : ndarray of str
        Only if the samples had names.
    out_activation_ : str

    See Also
    --------
    pynn.MLP

    Notes
    -----
    Parameters up to `max_fun`, attributes and methods are those of scikit-learn's class of this
    name [1]_, and with the same `random_state` the coefficients are too, but for rounding. The loss
    is computed from logits: where scikit-learn clips the probability of a sample's true class, at
    2.2e-16 in float64, `loss_curve_` here is larger. A loss that is not finite makes the
    coefficients NaN at once.

    References
    ----------
    .. [1] F. Pedregosa et al., "Scikit-learn: Machine learning in Python", JMLR 12, 2011.

    Examples
    --------
    >>> import numpy as np
    >>> from pynn.sklearn import MLPRegressor
    >>> X, y = np.eye(4), np.arange(4.0)
    >>> MLPRegressor(solver="lbfgs", alpha=0, random_state=0).fit(X, y).predict(X).round(2) + 0.0
    array([0., 1., 2., 3.])
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **BaseMLP._parameter_constraints,
        "loss": [StrOptions({"squared_error", "poisson"})],
    }

    @loss_by_keyword_before_1_7
    def __init__(
        self,
        loss: str = "squared_error",
        hidden_layer_sizes: Any = (100,),
        activation: Any = "relu",
        *,
        solver: str = "adam",
        alpha: float = 0.0001,
        batch_size: Any = "auto",
        learning_rate: str = "constant",
        learning_rate_init: float = 0.001,
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: Any = None,
        tol: float = 1e-4,
        verbose: Any = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: float = 10,
        max_fun: int = 15000,
        dropout: Any = 0.0,
        l1: float = 0.0,
        weight_decay: float = 0.0,
        clip_norm: float | None = None,
        dtype: str | None = None,
        progress: bool = False,
        scoring: Any = None,
    ) -> None:
        self.loss = loss
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.solver = solver
        self.alpha = alpha
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.learning_rate_init = learning_rate_init
        self.power_t = power_t
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.random_state = random_state
        self.tol = tol
        self.verbose = verbose
        self.warm_start = warm_start
        self.momentum = momentum
        self.nesterovs_momentum = nesterovs_momentum
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.n_iter_no_change = n_iter_no_change
        self.max_fun = max_fun
        self.dropout = dropout
        self.l1 = l1
        self.weight_decay = weight_decay
        self.clip_norm = clip_norm
        self.dtype = dtype
        self.progress = progress
        self.scoring = scoring

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(
        self, X: Any, y: Any, sample_weight: Any = None, *, validation_data: Any = None
    ) -> MLPRegressor:
        """Fit the network to samples and targets.

        Parameters
        ----------
        X : array_like or sparse matrix of shape (n_samples, n_features)
        y : array_like of shape (n_samples,) or (n_samples, n_outputs)
        sample_weight : array_like of shape (n_samples,), optional
        validation_data : tuple (X, y) or (X, y, sample_weight), optional
            Its score after each epoch goes into `validation_scores_`; with ``early_stopping=True``
            it takes the place of the samples that would be set aside.

        Returns
        -------
        MLPRegressor
            The estimator itself.
        """
        try:
            self._fit(X, y, sample_weight, validation_data=validation_data)
        except KeyboardInterrupt as error:  # of the solver "lbfgs"
            shorten(error)
            raise error
        return self

    @available_if(lambda estimator: estimator._check_solver())
    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> MLPRegressor:
        """Do one epoch over samples, from where the last call left off.

        Parameters
        ----------
        X : array_like or sparse matrix of shape (n_samples, n_features)
        y : array_like of shape (n_samples,) or (n_samples, n_outputs)
        sample_weight : array_like of shape (n_samples,), optional

        Returns
        -------
        MLPRegressor
            The estimator itself.
        """
        self._fit(X, y, sample_weight, incremental=True)
        return self

    def predict(self, X: Any) -> Array:
        """Predict values.

        Parameters
        ----------
        X : array_like or sparse matrix of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_outputs)
        """
        outputs = self._outputs(X)
        return outputs.ravel() if outputs.shape[1] == 1 else outputs

    def _validate_input(self, X: Any, y: Any, incremental: bool, reset: bool) -> tuple[Any, Array]:
        X, y = validate_data(
            self,
            X,
            y,
            accept_sparse=["csr", "csc"],
            multi_output=True,
            y_numeric=True,
            dtype=(np.float64, np.float32),
            reset=reset,
        )
        if is_sparse(y):
            raise TypeError("y must be dense numbers, got a sparse matrix: pass y.toarray()")
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        if self.loss == "poisson" and y.min() < 0:
            raise ValueError(
                f"y holds values down to {y.min()}, expected at least 0 for loss='poisson'"
            )
        return X, y

    def _count_outputs(self, y: Array) -> int:
        return int(y.shape[1])

    def _output_activation(self) -> str:
        return "exp" if self.loss == "poisson" else "identity"

    def _core_targets(self, y: Array) -> tuple[Array, bool]:
        return y, False

    def _stratifies(self) -> bool:
        return False

    def _judged_targets(self, y: Array) -> Any:
        return y

    def _validation_targets(self, y: Any) -> Any:
        y = check_array(y, ensure_2d=False, dtype="numeric")
        y = y.reshape((-1, 1)) if y.ndim == 1 else y
        if y.shape[1] != self.n_outputs_:
            raise ValueError(
                f"the targets of validation_data have {y.shape[1]} outputs, `y` has "
                f"{self.n_outputs_}"
            )
        return y

    def _scored_targets(self, y: Any) -> Any:
        return y

    def _validation_score(self, link: Link, held_out: HeldOut) -> float:
        outputs = link.outputs(held_out.X)
        if not np.isfinite(outputs).all():
            return float("nan")
        return float(r2_score(held_out.y, outputs, sample_weight=held_out.weights))
