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
from pynn.sklearn._parameters import CONSTRAINTS, documented, solver_is_stochastic
from pynn.sklearn._stochastic import HeldOut


@documented(score="r2")
class MLPRegressor(RegressorMixin, BaseMLP):  # type: ignore[misc]
    """Multilayer perceptron that predicts numbers, with scikit-learn's parameters.

    Parameters
    ----------
    loss : {"squared_error", "poisson"}, default "squared_error"
        "poisson" is half the deviance, for counts: the outputs are exponentials. scikit-learn 1.5
        and 1.6 have no `loss`; with them it is keyword-only, and `hidden_layer_sizes` comes first.
    $parameters
    $scoring

    Attributes
    ----------
    $attributes

    See Also
    --------
    pynn.MLP

    Notes
    -----
    $notes

    Examples
    --------
    >>> import numpy as np
    >>> from pynn.sklearn import MLPRegressor
    >>> X, y = np.eye(4), np.arange(4.0)
    >>> MLPRegressor(solver="lbfgs", alpha=0, random_state=0).fit(X, y).predict(X).round(2) + 0.0
    array([0., 1., 2., 3.])
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **CONSTRAINTS,
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
            Samples to score after each epoch, in `validation_scores_`. With
            ``early_stopping=True`` they replace the held-out samples.

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

    @available_if(solver_is_stochastic)
    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> MLPRegressor:
        """Do one further epoch over samples.

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
