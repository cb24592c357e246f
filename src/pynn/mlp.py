"""The multilayer perceptron."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from pynn import _checks, _core, initializers
from pynn._types import Array, EpochResult
from pynn.history import History
from pynn.losses import LOSSES, Targets, check_samples, check_targets, correct, predictions
from pynn.ops import ACTIVATIONS, FLOATS
from pynn.optimizers import SGD, Optimizer
from pynn.progress import Progress

Callback = Callable[["MLP", History], Any]

# Beyond this, bytes cannot be counted in 64 bits.
MOST_PARAMETERS = 2**58
# Rows that evaluate() takes at a time.
EVALUATION_ROWS = 4096


class MLP:
    """Multilayer perceptron: fully connected layers, trained by backpropagation.

    Parameters
    ----------
    layer_sizes : sequence of int
        The numbers of inputs, of each hidden layer's units, and of outputs.
    activation : str or sequence of str, default "relu"
        Of the hidden layers: "relu", "sigmoid", "tanh" or "identity"; one for all or one for each.
    loss : str, default "softmax_cross_entropy"
        "softmax_cross_entropy" (one class of several), "sigmoid_cross_entropy" (independent
        yes-or-no outputs), "squared_error" (half the sum of squares over the outputs) or "mse"
        (the mean over rows and outputs).
    output_activation : str, optional
        By default the loss's own: softmax, sigmoid, or identity. "squared_error" and "mse" take
        any of the hidden layers' activations.
    init : str or callable, optional
        Initial weights: "he_normal", "he_uniform", "glorot_normal", "glorot_uniform",
        "lecun_normal", "lecun_uniform", or a callable ``(rng, shape, dtype)`` that returns an
        array of shape (fan_in, fan_out). By default "he_normal" for layers with ReLU and
        "glorot_uniform" for the others. Biases start at 0.
    bias : bool, default True
        Whether the layers have biases.
    dtype : {"float32", "float64"}, default "float32"
        The type of the weights and of all arithmetic.
    seed : None, int, numpy.random.SeedSequence or numpy.random.Generator
        As for `numpy.random.default_rng`: the generator draws the initial weights and then the
        order of the mini-batches.

    Attributes
    ----------
    layer_sizes : tuple of int
    dtype : numpy.dtype
    loss : str
    activations : tuple of str
        One for each layer; the last is the output's.
    rng : numpy.random.Generator
    history : History or None
        Of the last call of `fit`, an interrupted one included.

    Notes
    -----
    A batch of samples is a matrix with a sample a row, and a layer computes
    ``activation(x @ W + b)`` with `W` of shape (inputs, outputs).

    Examples
    --------
    >>> import numpy as np, pynn
    >>> X = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], dtype=np.float32)
    >>> y = np.array([0, 1, 1, 0])
    >>> net = pynn.MLP([2, 8, 2], activation="tanh", seed=0)
    >>> history = net.fit(X, y, epochs=500, batch_size=4, optimizer=pynn.SGD(0.5))
    >>> net.predict(X)
    array([0, 1, 1, 0])
    """

    def __init__(
        self,
        layer_sizes: Sequence[int],
        activation: str | Sequence[str] = "relu",
        loss: str = "softmax_cross_entropy",
        output_activation: str | None = None,
        init: str | initializers.Initializer | None = None,
        bias: bool = True,
        dtype: DTypeLike = "float32",
        seed: Any = None,
    ) -> None:
        self.layer_sizes = _check_sizes(layer_sizes)
        self.loss = _checks.choice(loss, "loss", tuple(LOSSES))
        self.dtype = _check_dtype(dtype)
        self._bias = _checks.flag(bias, "bias")
        hidden = _check_activations(activation, len(self.layer_sizes) - 2)
        self.activations = (*hidden, self._check_output_activation(output_activation))
        if not (init is None or callable(init)):
            _checks.choice(init, "init", initializers.NAMES)
        try:
            self.rng = np.random.default_rng(seed)
        except (TypeError, ValueError) as error:
            raise type(error)(f"seed: {error}") from None
        self.history: History | None = None
        self._training = threading.RLock()
        self._build()
        self._initialize(init)

    # ------------------------------------------------------------ construction

    def _check_output_activation(self, name: str | None) -> str:
        info = LOSSES[self.loss]
        if name is None:
            return info.output
        if not isinstance(name, str):
            raise TypeError(f"output_activation must be a name or None, got {name!r}")
        if name not in info.outputs:
            raise ValueError(
                f"output_activation must be one of {', '.join(info.outputs)} for "
                f"loss={self.loss!r}, got {name!r}"
            )
        return name

    def _build(self) -> None:
        """Make the core's network, and the parameters: one block, with a view for each array."""
        make = _core.NetworkF32 if self.dtype == np.float32 else _core.NetworkF64
        # The cross-entropies are computed from logits: their output activation is the loss's part.
        last = "identity" if LOSSES[self.loss].classes else self.activations[-1]
        self._core: Any = make(
            self.layer_sizes, [*self.activations[:-1], last], self._bias, self.loss
        )
        self._parameters = _aligned_zeros(self._core.parameter_count, self.dtype)
        self._core.set_parameters(self._parameters)
        self._weights, self._biases = self._views(self._parameters)
        self._plain_forward = self._core.forward_call()

    def _views(self, parameters: Array) -> tuple[list[Array], list[Array]]:
        weights, biases = [], []
        pairs = pairwise(self.layer_sizes)
        for offset, (n_in, n_out) in zip(self._core.offsets, pairs, strict=True):
            end = offset + n_in * n_out
            weights.append(parameters[offset:end].reshape(n_in, n_out))
            if self._bias:
                biases.append(parameters[end : end + n_out])
        return weights, biases

    def _initialize(self, init: str | initializers.Initializer | None) -> None:
        for weight, activation in zip(self._weights, self.activations, strict=True):
            shape = weight.shape
            if callable(init):
                drawn = np.asarray(init(self.rng, shape, self.dtype))
                if drawn.shape != shape:
                    raise ValueError(
                        f"init returned an array of shape {drawn.shape}, expected {shape}"
                    )
                weight[...] = drawn
            else:
                name = init or ("he_normal" if activation == "relu" else "glorot_uniform")
                weight[...] = initializers.draw(name, self.rng, shape, self.dtype)

    def __getstate__(self) -> dict[str, Any]:
        state = self.__dict__.copy()
        for name in ("_core", "_plain_forward", "_weights", "_biases", "_training"):
            del state[name]
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._training = threading.RLock()
        parameters = self._parameters
        self._build()
        self._parameters[...] = parameters

    def __repr__(self) -> str:
        hidden = self.activations[:-1]
        activation = repr(hidden[0]) if len(set(hidden)) == 1 else repr(list(hidden))
        middle = f"activation={activation}, " if hidden else ""
        return f"MLP({list(self.layer_sizes)}, {middle}loss={self.loss!r}, dtype='{self.dtype}')"

    # ----------------------------------------------------------------- weights

    @property
    def weights(self) -> list[Array]:
        """The layers' weights, of shape (inputs, outputs): views, live in both directions."""
        return list(self._weights)

    @property
    def biases(self) -> list[Array]:
        """The layers' biases, of shape (outputs,): views, live in both directions."""
        return list(self._biases)

    def get_weights(self) -> tuple[list[Array], list[Array]]:
        """Return copies of the weights and biases.

        Returns
        -------
        weights, biases : list of ndarray
        """
        return [w.copy() for w in self._weights], [b.copy() for b in self._biases]

    def set_weights(self, weights: Sequence[ArrayLike], biases: Sequence[ArrayLike] = ()) -> None:
        """Copy weights and biases from arrays of any layout and type.

        Parameters
        ----------
        weights : sequence of array_like
            One of shape (inputs, outputs) for each layer.
        biases : sequence of array_like
            One of shape (outputs,) for each layer; empty for a network without biases.

        Raises
        ------
        ValueError, TypeError
            If a number or a shape is wrong; then nothing has changed.
        """
        new_weights = _check_arrays(weights, self._weights, "weights")
        new_biases = _check_arrays(biases, self._biases, "biases")
        for old, new in zip(self._weights + self._biases, new_weights + new_biases, strict=True):
            old[...] = new

    # ------------------------------------------------------------- predictions

    def __call__(self, X: ArrayLike, out: Any = None) -> Array:
        """Compute the network's outputs.

        Parameters
        ----------
        X : array_like of shape (n, inputs) or (inputs,)
        out : ndarray of shape (n, outputs) or (outputs,), optional
            Where the result goes: C-contiguous and of the network's dtype.

        Returns
        -------
        ndarray of shape (n, outputs) or (outputs,)
            Probabilities for the cross-entropies.

        Raises
        ------
        ValueError, TypeError
            If an argument does not fit.
        """
        result: Array | None = self._plain_forward(X, out)
        return self._forward(X, len(self._weights), out) if result is None else result

    def predict(self, X: ArrayLike) -> Array:
        """Predict labels (with a cross-entropy) or values.

        Parameters
        ----------
        X : array_like of shape (n, inputs) or (inputs,)

        Returns
        -------
        ndarray
            Softmax: the most probable class of each row, of shape (n,). Sigmoid: 1 where the
            probability exceeds 0.5, of shape (n,) with one output and (n, outputs) with more.
            Otherwise the outputs, of shape (n, outputs).
        """
        return predictions(self.loss, self(X))

    def hidden(self, X: ArrayLike, layer: int = -1) -> Array:
        """Compute a hidden layer's representation of the samples.

        Parameters
        ----------
        X : array_like of shape (n, inputs) or (inputs,)
        layer : int, default -1
            Which hidden layer, from 0; negative numbers count from the last one.

        Returns
        -------
        ndarray of shape (n, units) or (units,)
        """
        count = len(self._weights) - 1
        if count == 0:
            raise ValueError("this network has no hidden layer")
        try:
            index = range(count)[layer]
        except (IndexError, TypeError):
            raise ValueError(
                f"layer must be an integer from {-count} to {count - 1}, got {layer!r}"
            ) from None
        return self._forward(X, index + 1, None)

    def _forward(self, X: ArrayLike, layers: int, out: Any, predictions: bool = True) -> Array:
        array = np.asarray(X)
        single = array.ndim == 1
        samples = check_samples(array[np.newaxis] if single else array, self.layer_sizes[0], "X")
        columns = self.layer_sizes[layers]
        shape = (columns,) if single else (len(samples), columns)
        if out is None:
            out = np.empty(shape, self.dtype)
        elif not isinstance(out, np.ndarray):
            raise TypeError(f"out must be an ndarray, got {type(out).__name__}")
        elif out.dtype != self.dtype or out.shape != shape:
            raise ValueError(
                f"out has shape {out.shape} and dtype {out.dtype}, expected {shape} and "
                f"{self.dtype}"
            )
        elif not out.flags.carray:
            raise ValueError("out must be C-contiguous, aligned and writable")
        elif np.may_share_memory(out, samples):
            samples = samples.copy()
        last = layers == len(self._weights)
        self._core.forward(samples, layers, predictions and last, out.reshape(-1, columns))
        result: Array = out
        return result

    def evaluate(self, X: ArrayLike, y: ArrayLike) -> dict[str, float]:
        """Compute the loss and, for classifiers, the accuracy on samples.

        Parameters
        ----------
        X : array_like of shape (n, inputs)
        y : array_like
            As for `fit`.

        Returns
        -------
        dict of str to float
            ``loss``, the mean over the samples; ``accuracy``, the fraction classified as their
            targets say (several sigmoid outputs: all of them right).
        """
        samples, targets = self._check_data(X, y, "X", "y")
        return self._evaluate(samples, targets)

    def _evaluate(self, samples: Array, targets: Targets) -> dict[str, float]:
        total, right = 0.0, 0
        last = len(self._weights)
        for start in range(0, len(samples), EVALUATION_ROWS):
            stop = min(start + EVALUATION_ROWS, len(samples))
            outputs = self._forward(samples[start:stop], last, None, predictions=False)
            target = targets.rows(start, stop)
            if not targets.labels:
                target = np.ascontiguousarray(target, dtype=self.dtype)
            mean = _core.loss_into(self.loss, outputs, target, np.empty_like(outputs))
            total += mean * (stop - start)
            if LOSSES[self.loss].classes:
                right += correct(self.loss, outputs, target, targets.labels)
        figures = {"loss": total / len(samples)}
        if LOSSES[self.loss].classes:
            figures["accuracy"] = right / len(samples)
        return figures

    def gradients(self, X: ArrayLike, y: ArrayLike) -> tuple[float, list[Array], list[Array]]:
        """Compute the mean loss over samples and its gradient.

        Parameters
        ----------
        X : array_like of shape (n, inputs)
        y : array_like
            As for `fit`.

        Returns
        -------
        loss : float
        dW, db : list of ndarray
            In the shapes of `weights` and `biases`.
        """
        samples, targets = self._check_data(X, y, "X", "y")
        gradient = np.zeros_like(self._parameters)
        with self._trained_here():
            result = self._core.gradients(samples, targets.values, targets.labels, gradient)
        if not result["finite"]:
            raise self._not_finite(result, samples, targets, None, len(samples), None)
        return (result["loss"] / len(samples), *self._views(gradient))

    # ---------------------------------------------------------------- training

    @contextmanager
    def _trained_here(self) -> Iterator[None]:
        """Refuse what another thread's training would interleave with; callbacks are welcome."""
        if not self._training.acquire(blocking=False):
            raise RuntimeError("this network is already being trained by another thread")
        try:
            yield
        finally:
            self._training.release()

    def train_on_batch(self, X: ArrayLike, y: ArrayLike, optimizer: Optimizer) -> float:
        """Do one step of an optimiser on one mini-batch.

        Parameters
        ----------
        X : array_like of shape (n, inputs)
        y : array_like
            As for `fit`.
        optimizer : Optimizer

        Returns
        -------
        float
            The mini-batch's mean loss before the update.

        Raises
        ------
        FloatingPointError
            If the loss or `X` is not finite; then the weights have not changed.
        """
        samples, targets = self._check_data(X, y, "X", "y")
        bound = _check_optimizer(optimizer)._bind(self)
        with self._trained_here():
            result = self._core.train_epoch(
                samples, targets.values, targets.labels, None, len(samples), bound, None
            )
        if not result["finite"]:
            raise self._not_finite(result, samples, targets, None, len(samples), None)
        return float(result["loss"] / len(samples))

    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        epochs: int = 1,
        batch_size: int = 32,
        optimizer: Optimizer | None = None,
        validation_data: tuple[ArrayLike, ArrayLike] | None = None,
        shuffle: bool = True,
        callbacks: Iterable[Callback] = (),
        progress: bool | None = None,
    ) -> History:
        """Train the network; a further call continues.

        Parameters
        ----------
        X : array_like of shape (n, inputs)
            Samples, of any real type and layout: they are converted mini-batch by mini-batch.
        y : array_like
            Cross-entropies: integer class labels of shape (n,), or probabilities of shape
            (n, outputs). Otherwise values of shape (n, outputs), or (n,) for one output.
        epochs : int, default 1
        batch_size : int, default 32
            At most n is used. The last mini-batch of an epoch may be smaller.
        optimizer : Optimizer, optional
            ``SGD(0.01)`` by default. Its state goes on from fit to fit.
        validation_data : tuple (X, y), optional
            Evaluated after each epoch.
        shuffle : bool, default True
            Each epoch goes through the samples in the order ``net.rng.permutation(n)``.
        callbacks : iterable of callable
            Each is called as ``callback(net, history)`` after each epoch; one that returns True
            ends the fit.
        progress : bool, optional
            Whether to show a progress bar on stderr; by default if that is a terminal, or in a
            notebook.

        Returns
        -------
        History
            Also kept as ``net.history``.

        Raises
        ------
        ValueError, TypeError
            If an argument does not fit; then nothing has changed.
        FloatingPointError
            If a mini-batch's loss or inputs are not finite. That mini-batch was not applied.
        RuntimeError
            If another thread is training this network.
        KeyboardInterrupt
            On Ctrl-C, after a whole mini-batch; `fit` can go on from there.
        """
        samples, targets = self._check_data(X, y, "X", "y")
        epochs = _checks.integer(epochs, "epochs", 1)
        batch_size = min(_checks.integer(batch_size, "batch_size", 1), len(samples))
        optimizer = SGD() if optimizer is None else _check_optimizer(optimizer)
        shuffle = _checks.flag(shuffle, "shuffle")
        validation = self._check_validation(validation_data)
        callbacks = _check_callbacks(callbacks)
        if progress is not None:
            progress = _checks.flag(progress, "progress")
        optimizer._bind(self)  # its settings are checked before anything changes

        with self._trained_here():
            return self._fit(
                samples,
                targets,
                epochs,
                batch_size,
                optimizer,
                validation,
                shuffle,
                callbacks,
                progress,
            )

    def _fit(
        self,
        samples: Array,
        targets: Targets,
        epochs: int,
        batch_size: int,
        optimizer: Optimizer,
        validation: tuple[Array, Targets] | None,
        shuffle: bool,
        callbacks: list[Callback],
        progress: bool | None,
    ) -> History:
        history = self.history = History()
        bar = Progress(progress, epochs, len(samples))
        try:
            for epoch in range(1, epochs + 1):
                start = time.perf_counter()
                bar.start(epoch)
                rate = optimizer.learning_rate
                order = self.rng.permutation(len(samples)) if shuffle else None
                loss = self._epoch(samples, targets, order, batch_size, optimizer, bar, epoch)
                figures = {"loss": loss}
                if validation is not None:
                    for name, value in self._evaluate(*validation).items():
                        figures[f"val_{name}"] = value
                seconds = time.perf_counter() - start
                history._add(**figures, learning_rate=rate, seconds=seconds)
                bar.end(seconds, **figures)
                # Every callback sees the epoch, whatever an earlier one answered.
                answers = [callback(self, history) for callback in callbacks]
                if any(answer is True for answer in answers):
                    break
        finally:
            bar.close()
        return history

    def _epoch(
        self,
        samples: Array,
        targets: Targets,
        order: Array | None,
        batch_size: int,
        optimizer: Optimizer,
        bar: Progress,
        epoch: int,
    ) -> float:
        def report(so_far: EpochResult) -> None:
            if so_far["samples"]:
                bar.at(so_far["samples"], loss=so_far["loss"] / so_far["samples"])

        if order is not None:
            order = np.ascontiguousarray(order, dtype=np.int64)
        result = self._core.train_epoch(
            samples,
            targets.values,
            targets.labels,
            order,
            batch_size,
            optimizer._bind(self),
            report if bar.shown else None,
        )
        if not result["finite"]:
            raise self._not_finite(result, samples, targets, order, batch_size, epoch)
        return float(result["loss"] / result["samples"])

    def _not_finite(
        self,
        result: EpochResult,
        samples: Array,
        targets: Targets,
        order: Array | None,
        batch_size: int,
        epoch: int | None,
    ) -> FloatingPointError:
        batch = result["batches"]
        piece = slice(batch * batch_size, (batch + 1) * batch_size)
        rows = np.arange(len(samples))[piece] if order is None else order[piece]
        place = "" if epoch is None else f" in epoch {epoch}, mini-batch {batch + 1}"
        for name, array in (("X", samples), ("y", targets.values)):
            bad = ~np.isfinite(array[rows]).reshape(len(rows), -1).all(axis=1)
            if bad.any():
                reason = f"{name} has a value that is not finite in row {rows[bad][0]}"
                break
        else:
            if all(np.isfinite(w).all() for w in self._weights + self._biases):
                reason = "training diverges: try a smaller learning rate, or scale the inputs"
            else:
                reason = "the weights have values that are not finite"
        return FloatingPointError(
            f"the loss is {result['bad_loss']}{place}; {reason}. "
            "The weights are those before this mini-batch."
        )

    # ------------------------------------------------------------------ checks

    def _check_data(
        self, X: ArrayLike, y: ArrayLike, x_name: str, y_name: str
    ) -> tuple[Array, Targets]:
        samples = check_samples(X, self.layer_sizes[0], x_name)
        if len(samples) == 0:
            raise ValueError(f"{x_name} has shape {samples.shape}: there are no samples")
        targets = check_targets(y, self.loss, len(samples), self.layer_sizes[-1], y_name)
        return samples, targets

    def _check_validation(self, data: Any) -> tuple[Array, Targets] | None:
        if data is None:
            return None
        try:
            X, y = data
        except (TypeError, ValueError):
            raise TypeError("validation_data must be a pair (X, y)") from None
        return self._check_data(X, y, "validation_data[0]", "validation_data[1]")


def _check_sizes(layer_sizes: Any) -> tuple[int, ...]:
    try:
        sizes = tuple(layer_sizes)
    except TypeError:
        raise TypeError(
            f"layer_sizes must be a sequence of integers, got {layer_sizes!r}"
        ) from None
    if len(sizes) < 2:
        raise ValueError(f"layer_sizes must hold at least inputs and outputs, got {layer_sizes!r}")
    checked = tuple(_checks.integer(n, f"layer_sizes[{i}]", 1) for i, n in enumerate(sizes))
    parameters = sum((n_in + 1) * n_out for n_in, n_out in pairwise(checked))
    if parameters > MOST_PARAMETERS:
        raise ValueError(f"layer_sizes {checked} makes {parameters:.3g} parameters")
    return checked


def _check_dtype(dtype: Any) -> np.dtype[Any]:
    try:
        checked: np.dtype[Any] = np.dtype(dtype)
    except TypeError:
        raise TypeError(f"dtype must be float32 or float64, got {dtype!r}") from None
    if checked not in FLOATS or dtype is None:
        raise ValueError(f"dtype must be float32 or float64, got {dtype!r}")
    return checked


def _check_activations(activation: Any, count: int) -> tuple[str, ...]:
    if isinstance(activation, str):
        return (_checks.choice(activation, "activation", ACTIVATIONS),) * count
    try:
        names = tuple(activation)
    except TypeError:
        raise TypeError(f"activation must be a name or a sequence, got {activation!r}") from None
    if len(names) != count:
        raise ValueError(f"activation has {len(names)} names, but there are {count} hidden layers")
    return tuple(
        _checks.choice(name, f"activation[{i}]", ACTIVATIONS) for i, name in enumerate(names)
    )


def _check_optimizer(optimizer: Any) -> Optimizer:
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"optimizer must be an optimiser such as pynn.SGD(0.1), got {optimizer!r}")
    return optimizer


def _check_callbacks(callbacks: Any) -> list[Callback]:
    if callable(callbacks):
        return [callbacks]
    try:
        result = list(callbacks)
    except TypeError:
        raise TypeError(f"callbacks must be callables, got {callbacks!r}") from None
    for i, callback in enumerate(result):
        if not callable(callback):
            raise TypeError(f"callbacks[{i}] must be callable, got {callback!r}")
    return result


def _check_arrays(new: Any, old: list[Array], name: str) -> list[Array]:
    arrays = [np.asarray(x) for x in (() if new is None else new)]
    if len(arrays) != len(old):
        raise ValueError(f"{name} has {len(arrays)} arrays, expected {len(old)}")
    for i, (array, place) in enumerate(zip(arrays, old, strict=True)):
        if array.dtype.kind not in "biuf":
            raise TypeError(f"{name}[{i}] must hold numbers, got dtype {array.dtype}")
        if array.shape != place.shape:
            raise ValueError(f"{name}[{i}] has shape {array.shape}, expected {place.shape}")
    # Copies, so that views of this network's own arrays may be permuted.
    return [array.astype(place.dtype) for array, place in zip(arrays, old, strict=True)]


def _aligned_zeros(n: int, dtype: np.dtype[Any]) -> Array:
    """N zeros that start on a cache line."""
    line = 64
    room = np.zeros(n * dtype.itemsize + line, np.uint8)
    start = -room.ctypes.data % line
    return room[start : start + n * dtype.itemsize].view(dtype)
