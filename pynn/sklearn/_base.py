"""The part that the classifier and the regressor share: fitting, exports, copies."""

from __future__ import annotations

import warnings
from abc import abstractmethod
from functools import partial
from itertools import pairwise
from numbers import Real
from typing import Any, ClassVar

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.metrics import check_scoring
from sklearn.utils import check_consistent_length, check_random_state
from sklearn.utils.validation import _check_sample_weight, check_is_fitted

from pynn._types import Array
from pynn.formats.sklearn import MarkedNetwork
from pynn.sklearn import _lbfgs
from pynn.sklearn._compat import validate_data
from pynn.sklearn._link import Link
from pynn.sklearn._optimizers import make_optimizer
from pynn.sklearn._parameters import CONSTRAINTS, STOCHASTIC, check_hidden_layers
from pynn.sklearn._predictions import Predictions
from pynn.sklearn._samples import Samples, checked
from pynn.sklearn._stochastic import HeldOut, StochasticFit, hold_out


class BaseMLP(MarkedNetwork, Predictions, BaseEstimator):  # type: ignore[misc]
    """Base class of the estimators."""

    # scikit-learn's BaseEstimator keeps the constructor's arguments as they are.
    _parameter_constraints: ClassVar[dict[str, Any]] = CONSTRAINTS
    _no_improvement_count: int

    # The differences between a classifier and a regressor.

    @abstractmethod
    def _validate_input(self, X: Any, y: Any, incremental: bool, reset: bool) -> tuple[Any, Array]:
        """Check and convert what is fitted."""

    @abstractmethod
    def _count_outputs(self, y: Array) -> int:
        """Return the number of outputs that these targets need."""

    @abstractmethod
    def _output_activation(self) -> str:
        """Return scikit-learn's name of the output activation."""

    @abstractmethod
    def _core_targets(self, y: Array) -> tuple[Array, bool]:
        """Return targets as the core takes them, and True if they are labels."""

    @abstractmethod
    def _stratifies(self) -> bool:
        """Return True to hold out the same part of each class for early stopping."""

    @abstractmethod
    def _judged_targets(self, y: Array) -> Any:
        """Return held-out targets as `_validation_score` takes them."""

    @abstractmethod
    def _validation_targets(self, y: Any) -> Any:
        """Check a caller's targets, and return them as `_validation_score` takes them."""

    @abstractmethod
    def _scored_targets(self, y: Any) -> Any:
        """Return targets of `_validation_score` as `predict` gives them."""

    @abstractmethod
    def _validation_score(self, link: Link, held_out: HeldOut) -> float:
        """Compute scikit-learn's score for early stopping."""

    # ------------------------------------------------------------------ fitting

    def _fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        incremental: bool = False,
        validation_data: Any = None,
    ) -> Any:
        hidden = check_hidden_layers(self)
        first = not hasattr(self, "coefs_") or (not self.warm_start and not incremental)
        if not first and len(hidden) + 1 != len(self.coefs_):
            raise ValueError(
                f"hidden_layer_sizes names {len(hidden)} hidden layers, but the network to go on "
                f"from has {len(self.coefs_) - 1}"
            )
        stochastic = self.solver in STOCHASTIC
        if validation_data is not None and not stochastic:
            raise ValueError("validation_data needs solver='sgd' or 'adam', got 'lbfgs'")
        if self.scoring is not None and (self.early_stopping or validation_data is not None):
            check_scoring(self, self.scoring)
        given = y
        X, y = self._validate_input(X, y, incremental, reset=first)
        if sample_weight is not None:
            sample_weight = _check_sample_weight(sample_weight, X)
        class_weights = self._class_weights(given)
        if class_weights is not None:
            with np.errstate(all="ignore"):
                sample_weight = (
                    class_weights if sample_weight is None else sample_weight * class_weights
                )
        if y.ndim == 1:
            y = y.reshape((-1, 1))
        outputs = self._count_outputs(y)
        if not first and outputs != self.coefs_[-1].shape[1]:
            raise ValueError(
                f"y needs {outputs} outputs, but the network to go on from has "
                f"{self.coefs_[-1].shape[1]}"
            )
        self.n_outputs_ = outputs
        self._random_state = check_random_state(self.random_state)
        if first:
            self.out_activation_ = self._output_activation()
        samples = checked(X, *self._core_targets(y), sample_weight)
        if samples.total_weight < 0:
            raise ValueError(f"sample_weight must have a positive sum, got {samples.total_weight}")
        held_out = None if validation_data is None else self._check_validation(validation_data)
        if first:
            self._initialize([X.shape[1], *hidden, self.n_outputs_], X.dtype)
        if stochastic:
            self._start_records(restart=first)
        self._attach(None if stochastic else samples.total_weight)
        if first and np.any(self.dropout):
            key = self._random_state.randint(2**32, size=2, dtype=np.uint64)
            self._link.engine.rng_position[0] = key[0] << np.uint64(32) | key[1]
        if stochastic:
            self._fit_stochastic(samples, y, held_out, first=first, one_epoch=incremental)
        else:
            _lbfgs.minimize(self, self._link, samples)
        if not np.isfinite(self._link.engine.parameters).all():
            raise ValueError(
                "Solver produced non-finite parameter weights. The input data may contain large "
                "values and need to be preprocessed."
            )
        return self

    def _fit_stochastic(
        self, samples: Samples, y: Array, held_out: HeldOut | None, *, first: bool, one_epoch: bool
    ) -> None:
        """Fit by sgd or adam."""
        if not one_epoch or not hasattr(self, "_optimizer"):
            self._optimizer = make_optimizer(self)
        rows: Array | None = None
        if self.early_stopping:
            if one_epoch:
                raise ValueError("partial_fit does not support early_stopping=True")
            if held_out is None:
                rows, others = hold_out(
                    samples, y, self.validation_fraction, self._random_state, self._stratifies()
                )
                weights = None if samples.weights is None else samples.weights[others]
                held_out = HeldOut(samples.rows(others), self._judged_targets(y[others]), weights)
        fit = StochasticFit(
            self,
            self._link,
            samples,
            self._optimizer,
            self._random_state,
            rows=rows,
            score=None if held_out is None else partial(self._score_of, held_out),
            stale_epochs=self._no_improvement_count,
            keep_initial=first,
            one_epoch=one_epoch,
        )
        try:
            fit.run()
        finally:
            self._no_improvement_count = fit.stale_epochs

    def _class_weights(self, y: Any) -> Array | None:
        """Return factors of the samples' weights, from the caller's targets."""
        return None

    def _check_validation(self, data: Any) -> HeldOut:
        """Check the samples of ``fit(validation_data=...)``."""
        if not isinstance(data, tuple | list) or len(data) not in (2, 3):
            raise ValueError("validation_data must be a tuple (X, y) or (X, y, sample_weight)")
        X = validate_data(
            self,
            data[0],
            accept_sparse=["csr", "csc"],
            dtype=(np.float64, np.float32),
            reset=False,
        )
        y = self._validation_targets(data[1])
        check_consistent_length(X, y)
        weights = None if len(data) == 2 else _check_sample_weight(data[2], X)
        if weights is not None and not weights.any():
            raise ValueError("validation_data[2] is 0 everywhere")
        return HeldOut(X, y, weights)

    def _score_of(self, held_out: HeldOut) -> float:
        """Compute the score that decides early stopping."""
        if self.scoring is None:
            with np.errstate(all="ignore"):  # errors and weights near the largest float
                return self._validation_score(self._link, held_out)
        extra = {} if held_out.weights is None else {"sample_weight": held_out.weights}
        scorer = check_scoring(self, self.scoring)
        with warnings.catch_warnings():
            # The validated samples have lost their names.
            warnings.filterwarnings("ignore", "X does not have valid feature names")
            return float(scorer(self, held_out.X, self._scored_targets(held_out.y), **extra))

    def _initialize(self, sizes: list[int], dtype: Any) -> None:
        """Draw the initial parameters, and start the records."""
        self.n_iter_ = 0
        self.t_ = 0
        self.n_layers_ = len(sizes)
        kind = np.dtype(self.dtype or dtype)
        names = [self.activation] if isinstance(self.activation, str) else self.activation
        self.coefs_, self.intercepts_ = [], []
        for layer, (n_in, n_out) in enumerate(pairwise(sizes)):
            # Glorot's bound; the output layer takes the last hidden layer's.
            name = names[min(layer, len(names) - 1)]
            bound = np.sqrt((2.0 if name in ("logistic", "sigmoid") else 6.0) / (n_in + n_out))
            coef = self._random_state.uniform(-bound, bound, (n_in, n_out))
            intercept = self._random_state.uniform(-bound, bound, n_out)
            self.coefs_.append(coef.astype(kind, copy=False))
            self.intercepts_.append(intercept.astype(kind, copy=False))
        self.__dict__.pop("_link", None)

    def _start_records(self, restart: bool) -> None:
        """Start the records of sgd and adam; after other settings only the missing ones."""
        judged = bool(self.early_stopping)
        if restart or not hasattr(self, "loss_curve_"):
            self.loss_curve_: list[float] = []
            self._no_improvement_count = 0
        elif (getattr(self, "best_validation_score_", None) is not None) == judged:
            return  # (a user who set records by hand may have left this one out)
        self.validation_scores_: list[float] | None = [] if judged else None
        self.best_validation_score_: float | None = -np.inf if judged else None
        self.best_loss_: float | None = None if judged else np.inf

    def _attach(self, total_weight: float | None) -> None:
        """Link the estimator's coefficients to a network with its present penalties.

        Penalties are divided by `total_weight`, or by the sum of each mini-batch's weights.
        """
        count = len(self.coefs_)
        share = 1.0 if total_weight is None else 1.0 / total_weight
        dropout = self.dropout
        if isinstance(dropout, Real) and count == 1:
            dropout = 0.0
        settings = {
            "l1": (float(self.l1 * share),) * count,
            "l2": (float(self.alpha * share),) * count,
            "dropout": dropout if isinstance(dropout, Real) else tuple(dropout),
        }
        if total_weight is not None and any(c.dtype != np.float64 for c in self.coefs_):
            # SciPy's minimizer works in float64, and returns it.
            self.coefs_ = [np.asarray(c, np.float64) for c in self.coefs_]
        old: Link | None = self.__dict__.get("_link")
        if old is not None and old.is_current(self):
            self._link = old.with_settings(settings)
        else:
            self._link = Link.of(self, settings)
        self.coefs_ = list(self._link.coefs)
        self.intercepts_ = list(self._link.intercepts)

    def _loss_grad_lbfgs(
        self, packed_coef_inter: Array, X: Any, y: Array, *workspace: Any
    ) -> tuple[float, Array]:
        """Compute the loss and gradient as scikit-learn's private method, for its tests.

        Since 1.7 the samples' weights precede the four lists of the workspace.
        """
        sample_weight = workspace[0] if len(workspace) == 5 else None
        samples = checked(X, *self._core_targets(np.asarray(y)), sample_weight)
        self._attach(samples.total_weight)
        return _lbfgs.Objective(self._link, samples)(packed_coef_inter)

    # ---------------------------------------------------------------- exports

    def to_onnx(self, path: Any = None) -> Any:
        """Make an ONNX model of the network, and write it if a path is given.

        Parameters
        ----------
        path : str or os.PathLike, optional

        Returns
        -------
        onnx.ModelProto
            From `X` to `Y`, the probabilities of `predict_proba` (with two classes one column, the
            second's) or the values of `predict`, both of the dtype of `coefs_`. A classifier's
            labels are in the model's metadata, as a JSON list named ``classes``.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        OSError
            If `path` cannot be written.
        ImportError
            If onnx is not installed.

        See Also
        --------
        pynn.convert.to_onnx
        """
        from pynn.formats.onnx import to_onnx

        check_is_fitted(self)
        return to_onnx(self, path)

    def to_c(self, path: Any, name: str | None = None) -> None:
        """Write the network as one file of C99 without dependencies.

        Parameters
        ----------
        path : str or os.PathLike
        name : str, optional
            The function's name, by default that of the file: "iris" for "iris.c".

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        ValueError
            If `name` is no possible name, or a coefficient is not finite.
        OSError
            If `path` cannot be written.

        See Also
        --------
        pynn.convert.to_c
        """
        from pynn.formats.c import to_c

        check_is_fitted(self)
        to_c(self, path, name)

    # ------------------------------------------------------------ copies, tags

    def __getstate__(self) -> dict[str, Any]:
        state: dict[str, Any] = dict(super().__getstate__())
        state.pop("_frames", None)
        link: Link | None = state.pop("_link", None)
        if link is not None:
            state["_noise"] = link.engine.rng_position.copy()
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        state = dict(state)
        rng_position = state.pop("_noise", None)
        super().__setstate__(state)
        if rng_position is not None:
            link = self._link = Link.of(self)
            link.engine.rng_position[...] = rng_position
            self.coefs_, self.intercepts_ = list(link.coefs), list(link.intercepts)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        if self.solver in STOCHASTIC:
            tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags
