"""What the classifier and the regressor share."""

from __future__ import annotations

import warnings
from abc import abstractmethod
from collections.abc import Iterable
from itertools import pairwise
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.metrics import check_scoring
from sklearn.utils import check_consistent_length, check_random_state
from sklearn.utils._param_validation import Interval, Options, StrOptions
from sklearn.utils._set_output import _get_output_config
from sklearn.utils.validation import _check_sample_weight, check_is_fitted

from pynn._types import ACTIVATIONS, Array
from pynn.architecture import check_per_layer
from pynn.formats.sklearn import MarkedNetwork
from pynn.sklearn import _lbfgs
from pynn.sklearn._compat import validate_data
from pynn.sklearn._link import Link
from pynn.sklearn._plain import FrameReader, is_finite, needs_no_check
from pynn.sklearn._samples import checked
from pynn.sklearn._stochastic import HeldOut, StochasticFit
from pynn.sklearn._unlinked import unlinked_outputs

STOCHASTIC = ("sgd", "adam")
ACTIVATION_NAMES = {"logistic", *ACTIVATIONS}

_at_least_0 = Interval(Real, 0, None, closed="left")
_at_least_1 = Interval(Integral, 1, None, closed="left")


class BaseMLP(
    MarkedNetwork,
    ClassNamePrefixFeaturesOutMixin,  # type: ignore[misc]
    TransformerMixin,  # type: ignore[misc]
    BaseEstimator,  # type: ignore[misc]
):
    """The parameters, the fit and the network's outputs."""

    # For the annotations: scikit-learn's BaseEstimator keeps all of these as given.
    _parameter_constraints: ClassVar[dict[str, Any]] = {
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

    # What differs between classes and numbers.

    @abstractmethod
    def _validate_input(self, X: Any, y: Any, incremental: bool, reset: bool) -> tuple[Any, Array]:
        """Check and convert what is fitted."""

    @abstractmethod
    def _count_outputs(self, y: Array) -> int:
        """How many outputs these targets need."""

    @abstractmethod
    def _output_activation(self) -> str:
        """The output activation in scikit-learn's name."""

    @abstractmethod
    def _core_targets(self, y: Array) -> tuple[Array, bool]:
        """Targets as the core takes them, and whether they are labels."""

    @abstractmethod
    def _stratifies(self) -> bool:
        """Whether samples for early stopping are taken from each class alike."""

    @abstractmethod
    def _judged_targets(self, y: Array) -> Any:
        """Held-out targets as `_validation_score` takes them."""

    @abstractmethod
    def _validation_targets(self, y: Any) -> Any:
        """Somebody's targets, checked, as `_validation_score` takes them."""

    @abstractmethod
    def _scored_targets(self, y: Any) -> Any:
        """Targets of `_validation_score` as `predict` gives them."""

    @abstractmethod
    def _validation_score(self, link: Link, held_out: HeldOut) -> float:
        """scikit-learn's score for early stopping."""

    # ------------------------------------------------------------------ fitting

    def _fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        incremental: bool = False,
        validation_data: Any = None,
    ) -> Any:
        hidden = self._check_layers()
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
        self._fitted_before = not first
        if first:
            self.out_activation_ = self._output_activation()
        samples = checked(X, *self._core_targets(y), sample_weight)
        if samples.total_weight < 0:
            raise ValueError(f"sample_weight must have a positive sum, got {samples.total_weight}")
        held_out = None if validation_data is None else self._check_validation(validation_data)
        if first:
            self._initialize([X.shape[1], *hidden, self.n_outputs_], X.dtype)
        if stochastic:
            self._start_records(anew=first)
        self._attach(None if stochastic else samples.total_weight)
        if first and np.any(self.dropout):
            key = self._random_state.randint(2**32, size=2, dtype=np.uint64)
            self._link.net._rng_position[0] = key[0] << np.uint64(32) | key[1]
        if stochastic:
            StochasticFit(self, self._link, samples, y, incremental, held_out).run()
        else:
            _lbfgs.minimize(self, self._link, samples)
        if not np.isfinite(self._link.net._parameters).all():
            raise ValueError(
                "Solver produced non-finite parameter weights. The input data may contain large "
                "values and need to be preprocessed."
            )
        return self

    def _check_layers(self) -> list[int]:
        """The sizes of the hidden layers; what names something for each of them is checked."""
        hidden = self.hidden_layer_sizes
        hidden = list(hidden) if isinstance(hidden, Iterable) else [hidden]
        if any(not isinstance(units, Integral) for units in hidden):
            raise TypeError(f"hidden_layer_sizes must hold integers, got {hidden}")
        if any(units <= 0 for units in hidden):
            raise ValueError(f"hidden_layer_sizes must be > 0, got {hidden}.")
        given = self.activation
        if not isinstance(given, str) and (
            len(given) != len(hidden)
            or any(not isinstance(name, str) or name not in ACTIVATION_NAMES for name in given)
        ):
            raise ValueError(
                f"activation must name one for each of the {len(hidden)} hidden layers, among "
                f"{sorted(ACTIVATION_NAMES)}; got {given!r}"
            )
        if not isinstance(self.dropout, Real):
            check_per_layer(self.dropout, "dropout", len(hidden) + 1, high=1.0, of_input=0.0)
        return hidden

    def _class_weights(self, y: Any) -> Array | None:
        """Factors of the samples' weights, from the targets as they were given."""
        return None

    def _check_validation(self, data: Any) -> HeldOut:
        """The samples of ``fit(validation_data=...)``."""
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
        """The score that early stopping goes by."""
        if self.scoring is None:
            with np.errstate(all="ignore"):  # (errors and weights near the largest float)
                return self._validation_score(self._link, held_out)
        extra = {} if held_out.weights is None else {"sample_weight": held_out.weights}
        scorer = check_scoring(self, self.scoring)
        with warnings.catch_warnings():
            # (The validated samples have no names any more.)
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
            # Glorot's bound; the output layer is drawn as the last hidden one is.
            name = names[min(layer, len(names) - 1)]
            bound = np.sqrt((2.0 if name in ("logistic", "sigmoid") else 6.0) / (n_in + n_out))
            coef = self._random_state.uniform(-bound, bound, (n_in, n_out))
            intercept = self._random_state.uniform(-bound, bound, n_out)
            self.coefs_.append(coef.astype(kind, copy=False))
            self.intercepts_.append(intercept.astype(kind, copy=False))
        self.__dict__.pop("_link", None)

    def _start_records(self, anew: bool) -> None:
        """Start what sgd and adam record; after other settings only what is not there."""
        judged = bool(self.early_stopping)
        if anew or not hasattr(self, "loss_curve_"):
            self.loss_curve_: list[float] = []
            self._no_improvement_count = 0
        elif (getattr(self, "best_validation_score_", None) is not None) == judged:
            return  # (An estimator whose records somebody set by hand may lack this one.)
        self.validation_scores_: list[float] | None = [] if judged else None
        self.best_validation_score_: float | None = -np.inf if judged else None
        self.best_loss_: float | None = None if judged else np.inf

    def _attach(self, total_weight: float | None) -> None:
        """Link the estimator's coefficients to a network with its present penalties.

        They are divided by `total_weight`, or by the sum of each mini-batch's weights.
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
            # SciPy's minimizer works in float64; so are its results.
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
        """scikit-learn's private loss and gradient, which its own tests call.

        Before the four lists of its workspace there are, since 1.7, the samples' weights.
        """
        sample_weight = workspace[0] if len(workspace) == 5 else None
        samples = checked(X, *self._core_targets(np.asarray(y)), sample_weight)
        self._attach(samples.total_weight)
        return _lbfgs.Objective(self._link, samples)(packed_coef_inter)

    def _check_solver(self) -> bool:
        if self.solver not in STOCHASTIC:
            raise AttributeError(
                "partial_fit is only available for stochastic optimizers. "
                f"{self.solver} is not stochastic."
            )
        return True

    # ------------------------------------------------------------------ outputs

    def _outputs(self, X: Any) -> Array:
        """The network's outputs for samples that are to be checked."""
        # Samples that need no check skip scikit-learn's, which cost more than a small network.
        link = self._present_link()
        if link is not None:
            plain = type(X) is np.ndarray and "feature_names_in_" not in self.__dict__
            array: Array | None = X if plain else self._plain(X)
            if array is not None and array.ndim == 2:
                outputs: Array | None = link.net._plain_forward(array, None)
                if outputs is not None and is_finite(array):
                    return outputs
        X = self._checked(X)
        outputs = self._compute(link, X)
        return outputs.astype(np.result_type(X.dtype, outputs.dtype), copy=False)

    def _plain(self, X: Any) -> Array | None:
        """`X` as an array if its columns' names need no further check, or None."""
        own = self.__dict__
        if "feature_names_in_" not in own:
            return X if type(X) is np.ndarray else None
        names = own["feature_names_in_"]
        reader: FrameReader | None = own.get("_frames")
        if reader is None or reader.names is not names:
            reader = self._frames = FrameReader(names)
        return reader.read(X)

    def _checked(self, X: Any) -> Any:
        """Check samples for a prediction as scikit-learn does."""
        own = self.__dict__
        if "coefs_" not in own:
            check_is_fitted(self)
        array = self._plain(X)
        if array is not None and needs_no_check(array, own.get("n_features_in_")):
            return array
        return validate_data(self, X, accept_sparse=["csr", "csc"], reset=False)

    def _present_link(self) -> Link | None:
        """The link to the present coefficients; None if some were replaced."""
        link: Link | None = self.__dict__.get("_link")
        return link if link is not None and link.is_current(self) else None

    def _compute(self, link: Link | None, X: Any, layer: int | None = None) -> Array:
        """A hidden layer's outputs for checked samples, or the network's."""
        if link is None:
            # (A sparse product needs the network, which is made of copies.)
            if not hasattr(X, "toarray"):
                return unlinked_outputs(self, X, layer)
            link = Link.of(self)
        return link.outputs(X, layer)

    def transform(self, X: Any, layer: int = -1) -> Array:
        """Compute a hidden layer's representation of the samples.

        Parameters
        ----------
        X : array_like or sparse matrix of shape (n_samples, n_features)
        layer : int, default -1
            Which hidden layer, from 0; negative numbers count from the last one. As a step of a
            pipeline the estimator gives its last hidden layer.

        Returns
        -------
        ndarray of shape (n_samples, units)
        """
        X = self._checked(X)
        outputs = self._compute(self._present_link(), X, layer)
        if outputs.shape[1] != self._n_features_out and self._names_columns():
            raise ValueError(
                f"with set_output, transform has the last hidden layer's {self._n_features_out} "
                f"columns; hidden layer {layer} has {outputs.shape[1]} units"
            )
        return outputs

    def _names_columns(self) -> bool:
        """Whether `set_output` asked for data frames."""
        return str(_get_output_config("transform", self)["dense"]) != "default"

    @property
    def _n_features_out(self) -> int:
        """For the names that `set_output` gives: the last hidden layer's units."""
        units: int = self.coefs_[-1].shape[0]
        return units

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
            The function's name, by default that of the file: "iris" for "iris.c". The function
            computes the probabilities of `predict_proba` (with two classes the second's) or the
            values of `predict`; a comment lists a classifier's labels.

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
            state["_noise"] = link.net._rng_position.copy()
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        state = dict(state)
        rng_position = state.pop("_noise", None)
        super().__setstate__(state)
        if rng_position is not None:
            link = self._link = Link.of(self)
            link.net._rng_position[...] = rng_position
            self.coefs_, self.intercepts_ = list(link.coefs), list(link.intercepts)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        if self.solver in STOCHASTIC:
            tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags
