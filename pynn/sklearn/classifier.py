"""MLPClassifier."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from sklearn.base import ClassifierMixin, _fit_context
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils import column_or_1d, compute_sample_weight
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import _check_partial_fit_first_call, type_of_target, unique_labels

from pynn._interrupts import shorten
from pynn._sparse import is_sparse
from pynn._types import Array
from pynn.sklearn._base import BaseMLP
from pynn.sklearn._compat import validate_data
from pynn.sklearn._link import Link
from pynn.sklearn._parameters import CONSTRAINTS, documented, solver_is_stochastic
from pynn.sklearn._stochastic import HeldOut


@documented(score="the accuracy")
class MLPClassifier(ClassifierMixin, BaseMLP):  # type: ignore[misc]
    """Multilayer perceptron that predicts classes, with scikit-learn's parameters.

    Parameters
    ----------
    $parameters
    $scoring
    class_weight : dict or "balanced", optional
        Factors of the samples' weights by class. "balanced": n / (number of classes * samples of
        the class).

    Attributes
    ----------
    $attributes
    classes_ : ndarray of shape (n_classes,)

    See Also
    --------
    pynn.MLP

    Notes
    -----
    $notes

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from pynn.sklearn import MLPClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> MLPClassifier(solver="lbfgs", random_state=0).fit(X, y).predict(X[::50])
    array([0, 1, 2])
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **CONSTRAINTS,
        "class_weight": [dict, StrOptions({"balanced"}), None],
    }

    # scikit-learn's classifier has this attribute, which is not a parameter.
    loss = "log_loss"

    def __init__(
        self,
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
        class_weight: Any = None,
    ) -> None:
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
        self.class_weight = class_weight

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(
        self, X: Any, y: Any, sample_weight: Any = None, *, validation_data: Any = None
    ) -> MLPClassifier:
        """Fit the network to samples and their classes.

        Parameters
        ----------
        X : array_like or sparse matrix of shape (n_samples, n_features)
        y : array_like of shape (n_samples,) or (n_samples, n_labels)
            Classes of any type, or a matrix of zeros and ones.
        sample_weight : array_like of shape (n_samples,), optional
        validation_data : tuple (X, y) or (X, y, sample_weight), optional
            Samples to score after each epoch, in `validation_scores_`. With
            ``early_stopping=True`` they replace the held-out samples.

        Returns
        -------
        MLPClassifier
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
    def partial_fit(
        self, X: Any, y: Any, sample_weight: Any = None, classes: Any = None
    ) -> MLPClassifier:
        """Do one further epoch over samples.

        Parameters
        ----------
        X : array_like or sparse matrix of shape (n_samples, n_features)
        y : array_like of shape (n_samples,) or (n_samples, n_labels)
        sample_weight : array_like of shape (n_samples,), optional
        classes : array_like of shape (n_classes,), optional
            All classes of this and later calls. Required in the first call.

        Returns
        -------
        MLPClassifier
            The estimator itself.
        """
        if _check_partial_fit_first_call(self, classes):
            self._label_binarizer = LabelBinarizer()
            multilabel = type_of_target(y).startswith("multilabel")
            self._label_binarizer.fit(y if multilabel else classes)
        if isinstance(self.class_weight, str):
            raise ValueError(
                "class_weight='balanced' needs all samples, which partial_fit does not see: pass a "
                "dict"
            )
        self._fit(X, y, sample_weight, incremental=True)
        return self

    def predict(self, X: Any) -> Any:
        """Predict classes.

        Parameters
        ----------
        X : array_like or sparse matrix of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_labels)
            A sparse matrix where the targets of `fit` were one.
        """
        outputs = self._outputs(X)
        if self.out_activation_ == "softmax":
            return np.asarray(self.classes_.take(outputs.argmax(axis=1)))
        if self.n_outputs_ == 1:
            if len(self.classes_) == 2:
                positive = (outputs[:, 0] > 0.5).astype(np.intp)
                return np.asarray(self.classes_.take(positive))
            outputs = outputs.ravel()
        predicted = self._label_binarizer.inverse_transform(outputs)
        return predicted if is_sparse(predicted) else np.asarray(predicted)

    def predict_proba(self, X: Any) -> Array:
        """Predict the classes' probabilities.

        Parameters
        ----------
        X : array_like or sparse matrix of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            In the order of `classes_`.
        """
        outputs = self._outputs(X)
        if outputs.shape[1] > 1:
            return outputs
        both = np.empty((len(outputs), 2), outputs.dtype)
        both[:, 1] = outputs[:, 0]
        np.subtract(1, both[:, 1], out=both[:, 0])
        return both

    def predict_log_proba(self, X: Any) -> Array:
        """Predict the logarithms of the classes' probabilities.

        Parameters
        ----------
        X : array_like or sparse matrix of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            In the order of `classes_`.
        """
        probabilities = self.predict_proba(X)
        return np.asarray(np.log(probabilities, out=probabilities))

    def _class_weights(self, y: Any) -> Array | None:
        if self.class_weight is None:
            return None
        return np.asarray(compute_sample_weight(self.class_weight, y))

    def _validate_input(self, X: Any, y: Any, incremental: bool, reset: bool) -> tuple[Any, Array]:
        X, y = validate_data(
            self,
            X,
            y,
            accept_sparse=["csr", "csc"],
            multi_output=True,
            dtype=(np.float64, np.float32),
            reset=reset,
        )
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        if not hasattr(self, "classes_") or (not self.warm_start and not incremental):
            self._label_binarizer = LabelBinarizer()
            self._label_binarizer.fit(y)
            self.classes_ = self._label_binarizer.classes_
        else:
            classes = unique_labels(y)
            if self.warm_start and set(classes) != set(self.classes_):
                raise ValueError(
                    "warm_start can only be used where `y` has the same classes as in the "
                    f"previous call to fit. Previously got {self.classes_}, `y` has {classes}"
                )
            if not self.warm_start and len(
                np.setdiff1d(classes, self.classes_, assume_unique=True)
            ):
                raise ValueError(
                    "`y` has classes not in `self.classes_`. "
                    f"`self.classes_` has {self.classes_}. 'y' has {classes}."
                )
        return X, self._encoded(y)

    def _encoded(self, y: Any) -> Array:
        """Return checked targets as class numbers, or as booleans of one or several outputs."""
        binarizer = self._label_binarizer
        if binarizer.y_type_ not in ("multiclass", "binary") or getattr(y, "ndim", 2) != 1:
            return np.asarray(binarizer.transform(y).astype(bool))
        # LabelBinarizer gives the same by way of a matrix.
        numbers = np.searchsorted(binarizer.classes_, y)
        binary = binarizer.y_type_ == "binary"
        return np.asarray(numbers.astype(bool) if binary else numbers)

    def _count_outputs(self, y: Array) -> int:
        multiclass = self._label_binarizer.y_type_ == "multiclass"
        return len(self.classes_) if multiclass else int(y.shape[1])

    def _output_activation(self) -> str:
        return "softmax" if self._label_binarizer.y_type_ == "multiclass" else "logistic"

    def _core_targets(self, y: Array) -> tuple[Array, bool]:
        if y.shape[1] == 1:
            return y.ravel().astype(np.int64), True
        if self.out_activation_ == "softmax":  # (a matrix only from scikit-learn's own tests)
            return y.argmax(axis=1).astype(np.int64, copy=False), True
        return y, False

    def _stratifies(self) -> bool:
        return bool(self.n_outputs_ == 1)

    def _judged_targets(self, y: Array) -> Any:
        return y.ravel() if self.out_activation_ == "softmax" else y

    def _validation_targets(self, y: Any) -> Any:
        y = y.tocsr() if is_sparse(y) else np.asarray(y)
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y)
        unknown = np.setdiff1d(unique_labels(y), self.classes_)
        if len(unknown):
            raise ValueError(
                f"validation_data has classes that `y` has not: {unknown}, `y` has {self.classes_}"
            )
        if self.out_activation_ != "softmax" and y.ndim == 1 and self.n_outputs_ > 1:
            raise ValueError(
                f"validation_data has one label a sample, `y` has {self.n_outputs_} columns"
            )
        encoded = self._encoded(y)
        return self._judged_targets(encoded.reshape((len(encoded), -1)))

    def _scored_targets(self, y: Any) -> Any:
        if self.out_activation_ == "softmax":
            return self.classes_.take(y)
        return self._label_binarizer.inverse_transform(y.astype(np.intp))

    def _validation_score(self, link: Link, held_out: HeldOut) -> float:
        outputs = link.outputs(held_out.X)
        if self.out_activation_ == "softmax":
            right = outputs.argmax(axis=1) == held_out.y
        else:
            right = ((outputs > 0.5) == held_out.y).all(axis=1)
        return float(np.average(right, weights=held_out.weights))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags
