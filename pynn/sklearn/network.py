"""NetworkClassifier and NetworkRegressor: estimators around any layers."""

from __future__ import annotations

import copy
import inspect
import math
from abc import abstractmethod
from collections.abc import Iterable, Iterator
from numbers import Integral
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.metrics import accuracy_score, r2_score
from sklearn.utils import (
    check_consistent_length,
    check_random_state,
    column_or_1d,
    compute_sample_weight,
)
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import _check_sample_weight, check_is_fitted

from pynn._attributes import Closed
from pynn._frozen import Frozen
from pynn._sparse import is_sparse
from pynn._types import Array
from pynn.history import History, record_epoch
from pynn.layers import Activation, Dense, Layer
from pynn.layers._base import Graph, check_shape
from pynn.losses import check_loss
from pynn.optimizers import Optimizer, make_optimizer, without_states
from pynn.sequential import Sequential
from pynn.sklearn._compat import validate_data

# What makes another network, and what may change from one fit to the next.
MODEL = ("layers", "input_shape", "loss", "output_activation", "dtype")
FIT = (
    "epochs", "batch_size", "validation_split", "metrics", "shuffle", "sampling", "progress",
)  # fmt: skip
# Parameters that have settings, ``optimizer__learning_rate``.
NESTED = ("layers", "loss", "optimizer", "learning_rate", "callbacks")
# The functions of an output layer; a Dense with any other is taken as a hidden layer.
OF_OUTPUTS = ("identity", "softmax", "sigmoid", "exp", "softplus")


class NetworkEstimator(BaseEstimator):  # type: ignore[misc]
    """Base class of the estimators around layers."""

    network_: Sequential
    _model: dict[str, Any]

    def __init__(
        self,
        layers: Any = None,
        input_shape: Any = None,
        *,
        loss: Any = None,
        output_activation: str | None = None,
        dtype: Any = None,
        epochs: int | None = None,
        batch_size: int | None = 200,
        optimizer: Any = None,
        learning_rate: Any = None,
        validation_split: float = 0.0,
        metrics: Any = (),
        shuffle: bool = True,
        sampling: str | None = None,
        callbacks: Any = (),
        progress: bool | None = False,
        warm_start: bool = False,
        random_state: Any = None,
    ) -> None:
        self.layers = layers
        self.input_shape = input_shape
        self.loss = loss
        self.output_activation = output_activation
        self.dtype = dtype
        self.epochs = epochs
        self.batch_size = batch_size
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.validation_split = validation_split
        self.metrics = metrics
        self.shuffle = shuffle
        self.sampling = sampling
        self.callbacks = callbacks
        self.progress = progress
        self.warm_start = warm_start
        self.random_state = random_state

    # The differences between a classifier and a regressor.

    @abstractmethod
    def _learn_targets(self, y: Array, places: tuple[int, ...], classes: Any) -> int:
        """Take from the first targets what depends on them; return the number of outputs."""

    @abstractmethod
    def _network_loss(self, outputs: int) -> Any:
        """Return the loss of a network with that many outputs, or refuse it."""

    @abstractmethod
    def _network_targets(self, y: Array, places: tuple[int, ...]) -> Array:
        """Return targets as the network takes them."""

    @abstractmethod
    def _metric(self, y: Array, predicted: Array, sample_weight: Any) -> float:
        """Compute the score."""

    # ------------------------------------------------------------------ fitting

    def _fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any,
        *,
        first: bool,
        classes: Any = None,
        **options: Any,
    ) -> None:
        X, y = self._checked(X, y, reset=first)
        model = {name: copy.deepcopy(getattr(self, name)) for name in MODEL}
        if first:
            net = self._make(X, y, classes)
        else:
            net = self.network_
            if changed := [name for name in MODEL if model[name] != self._model[name]]:
                raise ValueError(
                    f"{changed[0]} has changed since network_ was made, which this call would "
                    "train further: call fit with warm_start=False"
                )
        places = net.output_shape[:-1]
        if sample_weight is not None and not places:
            sample_weight = _check_sample_weight(sample_weight, X)
        options = {name: getattr(self, name) for name in FIT} | options
        validation = options.get("validation_data")
        if isinstance(validation, tuple | list) and len(validation) in (2, 3):
            of_samples, of_targets = self._checked(*validation[:2], reset=False)
            options["validation_data"] = (
                self._shaped(net, of_samples),
                self._network_targets(of_targets, places),
                *validation[2:],
            )
        callbacks = copy.deepcopy(self.callbacks)
        before = net.history
        try:
            net.fit(
                self._shaped(net, X),
                self._network_targets(y, places),
                sample_weight=self._weights(y, places, sample_weight),
                callbacks=callbacks,
                **self._rule(first),
                **options,
            )
        finally:
            if net.history is not None and net.history is not before:  # (it has begun)
                self.network_, self.callbacks_ = net, callbacks
                self._model, self._ruled = model, (self.optimizer, self.learning_rate)
                if first:
                    self.history_ = History()
                for row in net.history:
                    record_epoch(self.history_, **{k: row[k] for k in row if k != "epoch"})

    def _make(self, X: Any, y: Array, classes: Any) -> Sequential:
        """Make the network for these samples and targets."""
        shape = X.shape[1:] if self.input_shape is None else self.input_shape
        shape = check_shape(shape, "input_shape")
        if math.prod(X.shape[1:]) != math.prod(shape):
            raise ValueError(f"X has shape {X.shape}, which does not fit input_shape={shape}")
        *places, _ = _shape_of(_whole(self.layers, 1), shape)
        layers = _whole(self.layers, self._learn_targets(y, tuple(places), classes))
        loss = self._network_loss(_shape_of(layers, shape)[-1])
        seed = self.random_state
        if not isinstance(seed, Integral):
            seed = check_random_state(seed).randint(2**31 - 1)
        dtype = self.dtype
        if dtype is None:
            dtype = "float64" if X.dtype.kind == "f" and X.dtype.itemsize > 4 else "float32"
        return Sequential(layers, shape, loss, self.output_activation, dtype, seed)

    def _rule(self, first: bool) -> dict[str, Any]:
        """Return the optimizer and the rate of a fit; empty to continue with the last ones."""
        optimizer, rate = self.optimizer, copy.deepcopy(self.learning_rate)
        if not first and (optimizer, self.learning_rate) == self._ruled:
            return {}
        if not first and optimizer == self._ruled[0] and rate is not None:
            return {"learning_rate": rate}
        if isinstance(optimizer, Optimizer):
            optimizer = without_states(optimizer)
        elif optimizer is None:
            optimizer = make_optimizer(None)
        return {"optimizer": optimizer, "learning_rate": rate}

    def _weights(self, y: Array, places: tuple[int, ...], sample_weight: Any) -> Any:
        """Return the samples' weights, with those of the classes."""
        return sample_weight

    def _checked(self, X: Any, y: Any, *, reset: bool) -> tuple[Any, Array]:
        """Check samples and targets as scikit-learn does, of any number of axes."""
        of_samples = {"accept_sparse": "csr", "allow_nd": True}
        of_targets = {"ensure_2d": False, "allow_nd": True, "dtype": None}
        X, y = validate_data(self, X, y, reset=reset, validate_separately=(of_samples, of_targets))
        check_consistent_length(X, y)
        return X, y

    @staticmethod
    def _shaped(net: Sequential, X: Any) -> Any:
        """Give rows of values the shape of the network's samples."""
        shape = net.input_shape
        if is_sparse(X) or X.shape[1:] == shape or math.prod(X.shape[1:]) != math.prod(shape):
            return X
        return X.reshape(len(X), *shape)

    def _inputs(self, X: Any) -> Any:
        """Check samples for a prediction."""
        check_is_fitted(self)
        X = validate_data(self, X, accept_sparse="csr", allow_nd=True, reset=False)
        return self._shaped(self.network_, X)

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Compute the accuracy of a classifier, or a regression's coefficient of determination.

        Parameters
        ----------
        X : array_like of shape (n_samples, ...)
        y : array_like of shape (n_samples, ...)
            As for `fit`.
        sample_weight : array_like of shape (n_samples,), optional

        Returns
        -------
        float
            As the `score` of scikit-learn's estimators. Where a sample has a target at each
            position, each position counts as a sample.
        """
        predicted, y = self.predict(X), np.asarray(y)
        positions = math.prod(self.network_.output_shape[:-1])
        if len(self.network_.output_shape) > 1:
            columns = predicted.size // (len(predicted) * positions)
            y, predicted = (each.reshape(-1, columns) for each in (y, predicted))
            if sample_weight is not None:
                weights = np.asarray(sample_weight).reshape(len(sample_weight), -1)
                sample_weight = np.repeat(weights, positions // weights.shape[1], axis=1).ravel()
        return self._metric(y, predicted, sample_weight)

    @abstractmethod
    def predict(self, X: Any) -> Any:
        """Predict the targets."""

    # --------------------------------------------------------------- parameters

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Get the parameters.

        Parameters
        ----------
        deep : bool, default True
            Include the settings of layers, optimizer, loss, schedule and callbacks.

        Returns
        -------
        dict of str to Any
        """
        params: dict[str, Any] = super().get_params(deep=deep)
        if deep:
            for name in NESTED:
                params.update(_settings(name, params[name]))
        return params

    def set_params(self, **params: Any) -> NetworkEstimator:
        """Set parameters; the settings of a parameter by double underscores.

        Parameters
        ----------
        **params
            ``layers__0__units`` is the setting of a layer by its index or name,
            ``layers__0`` the layer. The objects are replaced; they stay as they are.

        Returns
        -------
        NetworkEstimator
            The estimator itself.

        Raises
        ------
        ValueError
            If there is no such parameter.
        """
        inner = {n: n.split("__") for n in params if "__" in n and n.partition("__")[0] in NESTED}
        super().set_params(**{n: value for n, value in params.items() if n not in inner})
        for name, (head, *path) in sorted(inner.items(), key=lambda item: len(item[1])):
            owner = getattr(self, head)
            if head == "optimizer" and not isinstance(owner, Optimizer):
                owner = make_optimizer(owner)
            try:
                setattr(self, head, _replaced(owner, path, params[name]))
            except LookupError:
                known = [key for key in self.get_params() if key.startswith(f"{head}__")]
                cure = f"Valid ones are: {known}" if known else f"{head} is {owner!r}"
                raise ValueError(
                    f"Invalid parameter {name!r} for estimator {type(self).__name__}. {cure}"
                ) from None
        return self

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.input_tags.three_d_array = True
        tags.target_tags.required = True
        return tags


class NetworkClassifier(ClassifierMixin, NetworkEstimator):  # type: ignore[misc]
    """Network of any layers that predicts classes.

    Parameters
    ----------
    layers : sequence of Layer, optional
        Of `pynn.layers`, as for `pynn.Sequential`. The output layer may be left out: see the notes.
        By default one hidden layer, ``[Dense(100, "relu")]``.
    input_shape : int or tuple of int, optional
        Of a sample, by default the last axes of `X`. Samples of as many values in another shape are
        given this one: (8, 8, 1) makes images of rows of 64 values.
    loss : str or Loss, optional
        As for `pynn.Sequential`. By default "softmax_cross_entropy"; "sigmoid_cross_entropy" for
        several labels a sample, and for two classes and a last layer of one unit.
    output_activation : str, optional
        As for `pynn.Sequential`.
    dtype : {"float32", "float64"}, optional
        The type of the parameters and of all arithmetic. By default float64 for samples of that
        type, and float32 for others (float32, images, tokens).
    epochs : int, optional
        As for `pynn.Sequential.fit`, by default enough to train: 100, of small data more, of large
        data fewer.
    batch_size : int or None, default 200
        At most n is used. None: 32.
    optimizer, learning_rate, validation_split, metrics, shuffle, sampling, callbacks : optional
        As for `pynn.Sequential.fit`. The optimizer and the callbacks stay as they are: `fit` works
        with copies.
    progress : bool or None, default False
        As for `pynn.Sequential.fit`.
    class_weight : dict or "balanced", optional
        Factors of the samples' weights by class. "balanced": n / (number of classes * samples of
        the class).
    warm_start : bool, default False
        Train `network_` further in each call of `fit`.
    random_state : int, RandomState instance or None
        Draws the initial parameters, the dropout and the order of the mini-batches. An integer is
        the network's ``seed``.

    Attributes
    ----------
    network_ : pynn.Sequential
        It knows classes by their numbers.
    history_ : pynn.History
        Of all epochs since the network was made.
    callbacks_ : object
        The copies that the last fit has called.
    classes_ : ndarray of shape (n_classes,)
    n_features_in_ : int
        The length of the samples' first axis.
    feature_names_in_ : ndarray of str
        Exists if the samples had names.

    See Also
    --------
    MLPClassifier : With scikit-learn's parameters and coefficients.

    Notes
    -----
    A last layer ``Dense(None)`` has as many units as `y` needs. So has a Dense that is added where
    `layers` ends without an output layer. An output layer is a Dense, or an Activation, without a
    function or with softmax, sigmoid, exp or softplus; or a Dense of as many units as needed.

    The settings of layers, optimizer, loss, schedule and callbacks are parameters, for a grid
    search too: ``layers__0__units``, ``layers__head__activation`` of the layer with that name,
    ``layers__1`` for the layer, ``optimizer__momentum``, ``callbacks__0__patience``.

    Where the outputs have several axes, as of a network (time, classes), `y` has a class at each
    position.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from pynn import layers as L
    >>> from pynn.sklearn import NetworkClassifier
    >>> X, y = load_digits(return_X_y=True)
    >>> layers = [L.Dense(32), L.BatchNorm(), L.Activation("relu"), L.Dropout(0.1), L.Dense(None)]
    >>> classifier = NetworkClassifier(layers, epochs=10, batch_size=32, random_state=0)
    >>> classifier.fit(X / 16, y).network_.output_shape, classifier.score(X / 16, y) > 0.95
    ((10,), True)
    >>> classifier.set_params(layers__0__units=64, layers__3__rate=0.2).layers[3]
    Dropout(0.2)
    """

    def __init__(
        self,
        layers: Any = None,
        input_shape: Any = None,
        *,
        loss: Any = None,
        output_activation: str | None = None,
        dtype: Any = None,
        epochs: int | None = None,
        batch_size: int | None = 200,
        optimizer: Any = None,
        learning_rate: Any = None,
        validation_split: float = 0.0,
        metrics: Any = (),
        shuffle: bool = True,
        sampling: str | None = None,
        callbacks: Any = (),
        progress: bool | None = False,
        class_weight: Any = None,
        warm_start: bool = False,
        random_state: Any = None,
    ) -> None:
        super().__init__(
            layers, input_shape, loss=loss, output_activation=output_activation, dtype=dtype,
            epochs=epochs, batch_size=batch_size, optimizer=optimizer, learning_rate=learning_rate,
            validation_split=validation_split, metrics=metrics, shuffle=shuffle, sampling=sampling,
            callbacks=callbacks, progress=progress, warm_start=warm_start,
            random_state=random_state,
        )  # fmt: skip
        self.class_weight = class_weight

    def fit(
        self, X: Any, y: Any, sample_weight: Any = None, *, validation_data: Any = None
    ) -> NetworkClassifier:
        """Fit the network to samples and their classes.

        Parameters
        ----------
        X : array_like of shape (n_samples, ...), or sparse matrix of shape (n_samples, n_features)
            Of the network's shape, or rows of as many values. Integers stay integers, which an
            `Embedding` needs; images may be uint8.
        y : array_like of shape (n_samples,) or (n_samples, n_labels)
            Classes of any type, or a matrix of zeros and ones. Of shape (n_samples, time) where the
            network has outputs at each step.
        sample_weight : array_like of shape (n_samples,), optional
        validation_data : tuple (X, y) or (X, y, sample_weight), optional
            Samples to evaluate after each epoch.

        Returns
        -------
        NetworkClassifier
            The estimator itself.
        """
        first = not (self.warm_start and hasattr(self, "network_"))
        self._fit(X, y, sample_weight, first=first, validation_data=validation_data)
        return self

    def partial_fit(
        self, X: Any, y: Any, sample_weight: Any = None, classes: Any = None
    ) -> NetworkClassifier:
        """Do one further epoch over samples.

        Parameters
        ----------
        X, y, sample_weight
            As for `fit`.
        classes : array_like of shape (n_classes,), optional
            All classes of this and later calls. Required in the first call.

        Returns
        -------
        NetworkClassifier
            The estimator itself.
        """
        if isinstance(self.class_weight, str):
            raise ValueError(
                "class_weight='balanced' needs all samples, which partial_fit does not see: pass a "
                "dict"
            )
        if first := not hasattr(self, "network_"):
            if classes is None:
                raise ValueError("classes must be passed on the first call to partial_fit.")
        elif classes is not None and not np.array_equal(np.unique(classes), self.classes_):
            raise ValueError(f"classes is {classes!r}, but the first call had {self.classes_!r}")
        self._fit(X, y, sample_weight, first=first, classes=classes, epochs=1)
        return self

    def predict(self, X: Any) -> Array:
        """Predict classes.

        Parameters
        ----------
        X : array_like of shape (n_samples, ...), or sparse matrix of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples,), or of the shape of the targets of `fit`
        """
        X = self._inputs(X)
        labels = self.network_.predict(X)
        return labels if self._multilabel else np.asarray(self.classes_[labels])

    def predict_proba(self, X: Any) -> Array:
        """Predict the classes' probabilities.

        Parameters
        ----------
        X : array_like of shape (n_samples, ...), or sparse matrix of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            In the order of `classes_`; of shape (n_samples, time, n_classes) with a class at each
            step. Of several labels the probability of each.
        """
        X = self._inputs(X)
        return self.network_.predict_proba(X)

    def predict_log_proba(self, X: Any) -> Array:
        """Predict the logarithms of the classes' probabilities.

        Parameters
        ----------
        X : array_like of shape (n_samples, ...), or sparse matrix of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
        """
        with np.errstate(divide="ignore"):
            return np.asarray(np.log(self.predict_proba(X)))

    def _learn_targets(self, y: Array, places: tuple[int, ...], classes: Any) -> int:
        y = _of_places(y, places)
        kind = type_of_target(y.ravel() if places else y)
        check_classification_targets(y.ravel() if places else y)
        self._multilabel = kind == "multilabel-indicator"
        known = np.arange(y.shape[1]) if self._multilabel else y
        self.classes_ = np.unique(known if classes is None else classes)
        count = len(self.classes_)
        if count < 2:
            raise ValueError(f"y has one class only, {self.classes_}: there is nothing to learn")
        sigmoid = self.loss is not None and not check_loss(self.loss).info.exclusive
        return 1 if sigmoid and not self._multilabel else count

    def _network_loss(self, outputs: int) -> Any:
        loss, count = self.loss, len(self.classes_)
        if loss is None:
            sigmoid = self._multilabel or (count == 2 and outputs == 1)
            loss = "sigmoid_cross_entropy" if sigmoid else "softmax_cross_entropy"
        info = check_loss(loss).info
        if not info.classes:
            raise ValueError(f"loss must be a cross-entropy, got {loss!r}: see NetworkRegressor")
        if not info.exclusive and not self._multilabel and count > 2:
            raise ValueError(
                f"loss={loss!r} takes two classes or several labels a sample, but y has {count} "
                "classes: pass loss='softmax_cross_entropy'"
            )
        if info.exclusive and self._multilabel:
            raise ValueError(
                f"loss={loss!r} takes one class a sample, but y has several labels: pass "
                "loss='sigmoid_cross_entropy'"
            )
        expected = count if info.exclusive or self._multilabel else 1
        if outputs != expected:
            raise ValueError(
                f"layers have {outputs} outputs, but y needs {expected}: end them with Dense(None)"
            )
        return loss

    def _network_targets(self, y: Array, places: tuple[int, ...]) -> Array:
        y = _of_places(y, places)
        if self._multilabel:
            return y
        if len(unknown := np.setdiff1d(y, self.classes_)):
            raise ValueError(f"y holds {unknown}, which are not in classes_, {self.classes_}")
        if y.shape[1:] != places:
            expected = ", ".join(map(str, ("n", *places)))
            raise ValueError(f"y has shape {y.shape}, expected ({expected}{',' * (not places)})")
        return np.searchsorted(self.classes_, y)

    def _weights(self, y: Array, places: tuple[int, ...], sample_weight: Any) -> Any:
        if self.class_weight is None:
            return sample_weight
        y = _of_places(y, places)
        by_class = compute_sample_weight(self.class_weight, y.ravel() if places else y)
        by_class = by_class.reshape(y.shape[: 1 + len(places)])
        if sample_weight is None:
            return by_class
        given = np.asarray(sample_weight)
        return given.reshape(*given.shape, *(1,) * (by_class.ndim - given.ndim)) * by_class

    score = NetworkEstimator.score  # (scikit-learn's mixin takes no positions)

    def _metric(self, y: Array, predicted: Array, sample_weight: Any) -> float:
        return float(accuracy_score(y, predicted, sample_weight=sample_weight))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags

    def _more_tags(self) -> dict[str, bool]:
        return {"multilabel": True}  # before scikit-learn 1.6


class NetworkRegressor(RegressorMixin, NetworkEstimator):  # type: ignore[misc]
    """Network of any layers that predicts values.

    Parameters
    ----------
    layers : sequence of Layer, optional
    input_shape : int or tuple of int, optional
        As for `NetworkClassifier`.
    loss : str or Loss, optional
        As for `pynn.Sequential`, by default "mse".
    output_activation, dtype, epochs, batch_size, optimizer, learning_rate, validation_split,
    metrics, shuffle, sampling, callbacks, progress, warm_start, random_state : optional
        As for `NetworkClassifier`.

    Attributes
    ----------
    network_ : pynn.Sequential
    history_ : pynn.History
    callbacks_ : object
    n_features_in_ : int
    feature_names_in_ : ndarray of str
        As for `NetworkClassifier`.

    See Also
    --------
    NetworkClassifier : The notes on its `layers` and parameters hold here too.

    Examples
    --------
    >>> import numpy as np
    >>> from pynn import layers as L
    >>> from pynn.sklearn import NetworkRegressor
    >>> X = np.linspace(-3, 3, 200)[:, np.newaxis]
    >>> rbf = NetworkRegressor([L.RBF(20)], learning_rate=0.01, random_state=0)
    >>> rbf.fit(X, np.sin(X[:, 0])).predict(X).shape, rbf.score(X, np.sin(X[:, 0])) > 0.99
    ((200,), True)
    """

    def fit(
        self, X: Any, y: Any, sample_weight: Any = None, *, validation_data: Any = None
    ) -> NetworkRegressor:
        """Fit the network to samples and values.

        Parameters
        ----------
        X : array_like of shape (n_samples, ...), or sparse matrix of shape (n_samples, n_features)
            As for `NetworkClassifier.fit`.
        y : array_like of shape (n_samples,) or (n_samples, n_outputs)
            Of shape (n_samples, time) or (n_samples, time, n_outputs) where the network has outputs
            at each step.
        sample_weight : array_like of shape (n_samples,), optional
        validation_data : tuple (X, y) or (X, y, sample_weight), optional
            Samples to evaluate after each epoch.

        Returns
        -------
        NetworkRegressor
            The estimator itself.
        """
        first = not (self.warm_start and hasattr(self, "network_"))
        self._fit(X, y, sample_weight, first=first, validation_data=validation_data)
        return self

    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> NetworkRegressor:
        """Do one further epoch over samples.

        Parameters
        ----------
        X, y, sample_weight
            As for `fit`.

        Returns
        -------
        NetworkRegressor
            The estimator itself.
        """
        self._fit(X, y, sample_weight, first=not hasattr(self, "network_"), epochs=1)
        return self

    def predict(self, X: Any) -> Array:
        """Predict values.

        Parameters
        ----------
        X : array_like of shape (n_samples, ...), or sparse matrix of shape (n_samples, n_features)

        Returns
        -------
        ndarray of the shape of the targets of `fit`
        """
        X = self._inputs(X)
        return self.network_.predict(X)

    def _learn_targets(self, y: Array, places: tuple[int, ...], classes: Any) -> int:
        return 1 if y.ndim <= 1 + len(places) else int(y.shape[-1])

    def _network_loss(self, outputs: int) -> Any:
        loss = "mse" if self.loss is None else self.loss
        if check_loss(loss, outputs).info.classes:
            raise ValueError(f"loss must be one of values, got {loss!r}: see NetworkClassifier")
        return loss

    def _network_targets(self, y: Array, places: tuple[int, ...]) -> Array:
        return y

    score = NetworkEstimator.score

    def _metric(self, y: Array, predicted: Array, sample_weight: Any) -> float:
        return float(r2_score(y, predicted, sample_weight=sample_weight))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    def _more_tags(self) -> dict[str, bool]:
        return {"multioutput": True}  # before scikit-learn 1.6


def _whole(layers: Any, outputs: int) -> list[Any]:
    """Return the layers with an output layer of these units, unless they have one."""
    whole = [Dense(100, "relu")] if layers is None else _listed(layers)
    last = whole[-1]
    at = len(whole) - (2 if isinstance(last, Activation) and len(whole) > 1 else 1)
    if isinstance(whole[at], Dense) and whole[at].units is None:
        whole[at] = whole[at].__replace__(units=outputs)
        return whole
    if isinstance(last, Activation):
        ends = last.function in OF_OUTPUTS
    else:
        ends = isinstance(last, Dense) and (last.activation in OF_OUTPUTS or last.units == outputs)
    return whole if ends else [*whole, Dense(outputs)]


def _listed(layers: Any) -> list[Any]:
    if isinstance(layers, Layer | str) or not isinstance(layers, Iterable):
        raise TypeError(f"layers must be a list of layers, got {layers!r}")
    if not (listed := list(layers)):
        raise ValueError("layers must hold at least one layer")
    return listed


def _shape_of(layers: list[Any], input_shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the shape of the output of a sample."""
    graph = Graph(input_shape)
    graph.extend(layers)
    return graph.shape


def _of_places(y: Array, places: tuple[int, ...]) -> Array:
    """Return targets of one column as a vector, unless each step has one."""
    return column_or_1d(y, warn=True) if not places and y.shape[1:] == (1,) else y


def _settings(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Yield the settings of pynn's objects, and of lists of these, with their names."""
    if isinstance(value, list | tuple):
        for i, item in enumerate(value):
            key = f"{name}__{getattr(item, 'name', None) or i}"
            yield key, item
            yield from _settings(key, item)
    elif isinstance(value, Frozen | Closed):
        for key in inspect.signature(type(value)).parameters:
            if hasattr(value, key):
                yield f"{name}__{key}", getattr(value, key)
                yield from _settings(f"{name}__{key}", getattr(value, key))


def _replaced(owner: Any, path: list[str], value: Any) -> Any:
    """Return a copy of an object, or of a list, with one setting of it replaced.

    Raises
    ------
    LookupError
        If there is no such setting.
    """
    key, *rest = path
    if isinstance(owner, list | tuple):
        items = list(owner)
        names = [getattr(item, "name", None) for item in items]
        at = names.index(key) if key in names else int(key) if key.isdecimal() else len(items)
        items[at] = _replaced(items[at], rest, value) if rest else value
        return type(owner)(items)
    if (
        not isinstance(owner, Frozen | Closed)
        or key not in inspect.signature(type(owner)).parameters
    ):
        raise LookupError(key)
    new = _replaced(getattr(owner, key), rest, value) if rest else value
    if isinstance(owner, Frozen):
        return owner.__replace__(**{key: new})
    changed = copy.copy(owner)
    setattr(changed, key, new)
    return changed
