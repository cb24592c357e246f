"""The multilayer perceptron."""

from __future__ import annotations

import atexit
import math
import os
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, BinaryIO, NoReturn

import numpy as np

from pynn import _array_input, _checks, _core, architecture, fitting, initializers, staging
from pynn._attributes import Fixed, Views
from pynn._copies import deep_copy, own_array, present_state, shallow_copy, snapshot
from pynn._interrupts import pass_on, shorten
from pynn._journal import Step
from pynn._keywords import MISSING, arguments, foreign, place, refuse, refuses_unknown
from pynn._names import suggestion
from pynn._sparse import CsrRows, csr_rows, is_sparse
from pynn._types import Array, ArrayLike, DTypeLike, NDArray, TrainingResult
from pynn.callbacks import check_callbacks
from pynn.engine import Engine, Settled, Trainable
from pynn.history import History
from pynn.losses import LOSSES, Loss, check_loss
from pynn.optimizers import LearningRate, Optimizer, make_optimizer
from pynn.targets import (
    Data,
    check_parts,
    check_samples,
    check_targets,
    check_weights,
    class_weights,
    combined_weights,
    near_one,
    predictions,
)

if TYPE_CHECKING:
    from types import ModuleType

    from pynn.formats.spec import NetworkSpec
    from pynn.metrics import Metric
    from pynn.summary import Summary

# What a pickle holds of the engine.
ENGINE_STATE = ("_loss", "_parameters", "_penalty_by_weight", "_rng_position", "_targets_1d")
# Rows that evaluate() takes at a time.
EVALUATION_ROWS = 4096
# Samples in a mini-batch, where nothing is said.
DEFAULT_BATCH_SIZE = 32


_loaded: dict[str, ModuleType] = {}


def _files() -> Any:
    """Import `pynn.files.write` at the first use, so that `import pynn` stays quick."""
    if not _loaded:
        from pynn.files import write

        _loaded["files"] = write
    return _loaded["files"]


def _prepare_for_exit() -> None:
    """Import what a `save` in a ``__del__`` needs: later nothing can be imported."""
    try:
        _files()
    except (ImportError, MemoryError, OSError):  # a system without memory or threads to spare
        return


def _check_rng(rng: Any) -> np.random.Generator:
    if not isinstance(rng, np.random.Generator):
        raise TypeError(f"rng must be a numpy.random.Generator, got {rng!r}")
    return rng


def _check_history(history: Any) -> History | None:
    if not (history is None or isinstance(history, History)):
        raise TypeError(f"history must be a History or None, got {history!r}")
    return history


def _check_optimizer(optimizer: Any) -> Optimizer | None:
    return None if optimizer is None else make_optimizer(optimizer)


class OldNames:
    """The engine's parts by their old names, until all of the package goes by `engine_of`."""

    _engine: Engine

    _core = property(
        lambda self: self._engine.core, lambda self, v: setattr(self._engine, "core", v)
    )
    _parameters = property(
        lambda self: self._engine.parameters, lambda self, v: setattr(self._engine, "parameters", v)
    )
    _rng_position = property(lambda self: self._engine.rng_position)
    _loss = property(lambda self: self._engine.loss)
    _plain_forward = property(lambda self: self._engine.plain_forward)
    _targets_1d = property(
        lambda self: self._engine.targets_1d, lambda self, v: setattr(self._engine, "targets_1d", v)
    )
    _penalty_by_weight = property(
        lambda self: self._engine.penalty_by_weight,
        lambda self, v: setattr(self._engine, "penalty_by_weight", v),
    )

    def _settle(self) -> None:
        self._engine.settle()


class MLP(OldNames, Trainable):
    """Multilayer perceptron: fully connected layers, trained by backpropagation.

    `fit` trains, `predict` gives classes or values, `predict_proba` probabilities, `score` and
    `evaluate` say how good they are, ``net(X)`` gives the outputs, `save` writes a file.

    Parameters
    ----------
    layer_sizes : sequence of int
        The numbers of inputs, of each hidden layer's units, and of outputs.
    activation : str or sequence of str, default "relu"
        Of the hidden layers, one for all or one for each: "identity", "relu", "leaky_relu" (slope
        0.01), "elu", "gelu", "silu", "softplus", "sigmoid" or "tanh". Other libraries' spellings
        ("ReLU", "swish", "logistic", "linear") and pynn's functions (`pynn.relu`) are taken, too.
    loss : str or Loss, default "softmax_cross_entropy"
        "softmax_cross_entropy" (one class of several), "sigmoid_cross_entropy" (independent
        yes-or-no outputs); "squared_error" (half the sum of squares over the outputs), "mse" and
        "mae" (the mean of squares, or of sizes, over rows and outputs), "huber", "pinball"
        (quantiles), "poisson" (half the deviance, summed over the outputs, of counts). Those with
        parameters are also objects: `SoftmaxCrossEntropy`, `SigmoidCrossEntropy`, `Huber`,
        `Pinball`. Keras' and torch's names are taken where they mean the same
        ("sparse_categorical_crossentropy", "MSELoss"; "binary_crossentropy" for one output).
    output_activation : str, optional
        By default the loss's own: softmax, sigmoid, exp for "poisson" (or "softplus"), and identity
        for the others, which take any of the hidden layers' activations, "exp" or "softmax".
    init : str or callable, optional
        Initial weights: "he_normal", "he_uniform", "glorot_normal", "glorot_uniform",
        "lecun_normal", "lecun_uniform", "orthogonal", "zeros", or a callable
        ``(rng, shape, dtype)`` that returns an array of shape (fan_in, fan_out). By default
        "glorot_uniform", as in Keras and scikit-learn. Biases start at 0.
    dropout : float or sequence of float, default 0.0
        In [0, 1): the probability that a value is dropped in training [1]_. A number: of the hidden
        layers' outputs. A sequence: of each layer's inputs, the network's own first.
    l1, l2 : float or sequence of float, default 0.0
        The loss includes ``l1 * sum(abs(W)) + 0.5 * l2 * sum(W**2)``; one number for all layers or
        one for each. Biases are never penalized.
    max_norm : float or sequence of float, optional
        The largest length of a unit's incoming weights: longer ones are scaled back after each
        step. One for all layers or one for each; 0 or None: any.
    bias : bool, default True
        Whether the layers have biases.
    dtype : {"float32", "float64"}, default "float32"
        The type of the weights and of all arithmetic.
    seed : None, int, numpy.random.SeedSequence or numpy.random.Generator
        As for `numpy.random.default_rng`: the generator draws the initial weights, with dropout one
        64-bit key for its masks, and then the order of the mini-batches.

    Attributes
    ----------
    layer_sizes : tuple of int
    dtype : numpy.dtype
    loss : str or Loss
        The loss's name; the object where it has parameters that are not the defaults.
    activations : tuple of str
        One for each layer; the last is the output's.
    dropout, l1, l2, max_norm : tuple of float
        One for each layer.
    rng : numpy.random.Generator
    history : History or None
        Of the last call of `fit`, an interrupted one included.
    optimizer : Optimizer or None
        Of the last call of `fit` or `train_on_batch`; a further `fit` continues with it.

    Notes
    -----
    What a network was made with is read-only; `rng`, `history` and `optimizer` may be set. Layers,
    rows and mini-batches count from 0, epochs from 1.

    A batch of samples is a matrix with a sample a row, and a layer computes
    ``activation(x @ W + b)`` with `W` of shape (inputs, outputs).

    References
    ----------
    .. [1] N. Srivastava, G. Hinton, A. Krizhevsky, I. Sutskever, R. Salakhutdinov, "Dropout: a
       simple way to prevent neural networks from overfitting", JMLR 15, 2014.

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

    _prepared = False  # for the end of the process
    layer_sizes: Fixed[tuple[int, ...]] = Fixed()
    # What `help` lists first, in this order: pydoc sorts by `_fields` and then by name.
    _fields = (
        "fit", "predict", "predict_proba", "score", "evaluate", "__call__", "hidden", "summary",
        "save", "train_on_batch", "gradients", "input_gradient", "backward",
    )  # fmt: skip

    activations: Fixed[tuple[str, ...]] = Fixed()
    dropout: Fixed[tuple[float, ...]] = Fixed()
    l1: Fixed[tuple[float, ...]] = Fixed()
    l2: Fixed[tuple[float, ...]] = Fixed()
    max_norm: Fixed[tuple[float, ...]] = Fixed()
    loss: Fixed[str | Loss] = Fixed()
    rng: Settled[np.random.Generator] = Settled(_check_rng)
    history: Settled[History | None] = Settled(_check_history)
    optimizer: Settled[Optimizer | None] = Settled(_check_optimizer)

    @refuses_unknown
    def __init__(
        self,
        layer_sizes: Sequence[int],
        activation: str | Callable[..., Any] | Sequence[str] = "relu",
        loss: str | Loss = "softmax_cross_entropy",
        output_activation: str | None = None,
        init: str | initializers.Initializer | None = None,
        dropout: float | Sequence[float] = 0.0,
        l1: float | Sequence[float] = 0.0,
        l2: float | Sequence[float] = 0.0,
        max_norm: float | Sequence[float] | None = None,
        bias: bool = True,
        dtype: DTypeLike = "float32",
        seed: Any = None,
        **unknown: NoReturn,
    ) -> None:
        refuse(unknown, MLP.__init__, "MLP()", layer_sizes)
        sizes = architecture.check_sizes(layer_sizes)
        count = len(sizes) - 1
        checked_loss = check_loss(loss, sizes[-1])
        checked_loss._check_outputs(sizes[-1])
        name = checked_loss.name
        self._bias = _checks.flag(bias, "bias")
        hidden = architecture.check_activations(activation, count - 1)
        last = architecture.check_output_activation(output_activation, name)
        architecture.check_softmax(last, name, sizes[-1])
        per_layer = architecture.check_per_layer
        self.__dict__.update(
            layer_sizes=sizes,
            activations=(*hidden, last),
            dtype=architecture.check_dtype(dtype),
            loss=checked_loss._given(),
            dropout=per_layer(dropout, "dropout", count, high=1.0, of_input=0.0),
            l1=per_layer(l1, "l1", count),
            l2=per_layer(l2, "l2", count),
            max_norm=per_layer(0.0 if max_norm is None else max_norm, "max_norm", count),
        )
        if isinstance(init, type) or not (init is None or callable(init)):
            init = initializers.check_name(init)
        try:
            self.rng = np.random.default_rng(seed)
        except (TypeError, ValueError) as error:
            raise type(error)(f"seed: {error}") from None
        self.history = None
        self.optimizer = None
        self._engine = self._build(checked_loss)
        self._initialize(init)
        if any(self.dropout):
            self._engine.rng_position[0] = self.rng.integers(2**64, dtype=np.uint64)

    def _cure(self, name: str) -> str:
        if name in arguments(MLP.fit):
            return f": pass {name}= to fit"
        if foreign(name):
            return place(name, arguments(MLP.__init__))
        return suggestion(name, [key for key in dir(MLP) if key[0] != "_"])

    # ------------------------------------------------------------ construction

    def _config(self) -> dict[str, Any]:
        return self._engine.config

    def _describe(self, loss: Loss) -> dict[str, Any]:
        """The constructor's arguments as JSON has them, without `init` and `seed`."""
        return {
            "layer_sizes": list(self.layer_sizes),
            "activation": list(self.activations[:-1]),
            "loss": loss._config(),
            "output_activation": self.activations[-1],
            "dropout": list(self.dropout),
            "l1": list(self.l1),
            "l2": list(self.l2),
            "max_norm": list(self.max_norm),
            "bias": self._bias,
            # (NumPy imports something for `dtype.name`, which cannot be done at the end.)
            "dtype": "float32" if self.dtype == np.float32 else "float64",
        }

    def _build(self, loss: Loss) -> Engine:
        """Make the core's network, and its parameters."""
        if not MLP._prepared:
            MLP._prepared = True
            atexit.register(_prepare_for_exit)
        make = _core.NetworkF32 if self.dtype == np.float32 else _core.NetworkF64
        # The cross-entropies are computed from logits: their output activation is the loss's part.
        last = self.activations[-1]
        if last in LOSSES[loss.name].inner:
            last = "identity"
        core_loss = loss._core(self.activations[-1], self.layer_sizes[-1])
        core = make(
            self.layer_sizes,
            [*self.activations[:-1], last],
            self._bias,
            self.dropout,
            self.l1,
            self.l2,
            self.max_norm,
            core_loss,
        )
        shapes = [*pairwise(self.layer_sizes)]
        layout: list[tuple[str, int, tuple[int, ...]]] = [
            (f"weights_{i}", start, shape)
            for i, (start, shape) in enumerate(zip(core.offsets, shapes, strict=True))
        ]
        if self._bias:
            layout += [
                (f"biases_{i}", start + n_in * n_out, (n_out,))
                for i, (_, start, (n_in, n_out)) in enumerate(layout)
            ]
        return Engine(core, layout, self._describe(loss), loss, core_loss)

    def _views(self, block: Array) -> tuple[list[Array], list[Array]]:
        """The weights' and the biases' parts of an array that is laid out as the parameters are."""
        arrays, count = [*self._engine.named(block).values()], len(self.layer_sizes) - 1
        return arrays[:count], arrays[count:]

    def _initialize(self, init: str | initializers.Initializer | None) -> None:
        for weight in self.weights:
            shape = weight.shape
            if callable(init):
                drawn = _array_input.array(init(self.rng, shape, self.dtype), "init's array")
                if drawn.shape != shape:
                    raise ValueError(
                        f"init returned an array of shape {drawn.shape}, expected {shape}"
                    )
                weight[...] = _in_range(drawn, self.dtype, "init's array")
            else:
                name = init or initializers.DEFAULT
                weight[...] = initializers.draw(name, self.rng, shape, self.dtype)

    def __getstate__(self) -> dict[str, Any]:
        with self._engine.core.reading():
            return snapshot(present_state(self))

    def __setstate__(self, state: dict[str, Any]) -> None:
        state = dict(state)
        parts = {name: state.pop(name) for name in ENGINE_STATE if name in state}
        self.__dict__.update(state)
        # (What earlier versions pickled: only the loss's name, and more than that is kept today.)
        loss = parts["_loss"]
        self.__dict__["loss"] = loss._given()
        for name in ("_last_input", "_core_loss"):
            self.__dict__.pop(name, None)
        engine = self._engine = self._build(loss)
        engine.parameters[...] = parts["_parameters"]
        engine.rng_position = own_array(parts["_rng_position"])
        engine.penalty_by_weight = parts["_penalty_by_weight"]
        engine.targets_1d = parts.get("_targets_1d", False)

    def __copy__(self) -> MLP:
        return shallow_copy(self)

    def __deepcopy__(self, memo: dict[int, Any]) -> MLP:
        return deep_copy(self, memo)

    @refuses_unknown
    def save(self, path: str | os.PathLike[str] | BinaryIO, **unknown: NoReturn) -> None:
        """Write the network to a file, from which `pynn.load` makes it again.

        The file holds the configuration, the weights, the generator's state, the history of the
        last fit, and the optimizer with its state for this network: training goes on from the file
        exactly as it would have done here.

        Parameters
        ----------
        path : str, os.PathLike or binary file object
            The name's end says what is written: ".npz", which `numpy.load` reads too, or
            ".safetensors". To any other, ".npz" is added, as `numpy.savez` does. A file object
            gets the .npz format.

        Raises
        ------
        OSError
            If the file cannot be written; an older one of that name is still whole.
        ValueError
            If something cannot be written: a random generator that is none of NumPy's, an
            optimizer that is none of pynn's.
        ImportError
            For ".safetensors", if that package is not installed.
        RuntimeError
            If another thread is in the middle of one mini-batch for 10 s, or was so when this
            process was forked.

        Notes
        -----
        During a fit (in a callback, a signal's handler, or another thread) the file is that of the
        last whole mini-batch: weights, optimizer, generator and history belong together.

        The file is written beside `path`, flushed to the disk and then renamed, so that after a
        failure or a loss of power there is the old file or the new one. A process that is killed
        meanwhile leaves a file ``.pynn-*.tmp``, which the next `save` to that path removes. A
        learning rate that is a function of the step is left out.

        Examples
        --------
        >>> import pathlib, tempfile, pynn
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     pynn.MLP([4, 3]).save(pathlib.Path(folder) / "net.npz")
        """
        refuse(unknown, MLP.save, "MLP.save()", path)
        _files().save(self, path)

    def __repr__(self) -> str:
        """The call that makes such a network, with other weights."""
        *hidden, last = self.activations
        one_for_all = hidden[0] if len(set(hidden)) == 1 else hidden
        arguments: dict[str, Any] = {"activation": one_for_all} if hidden else {}
        arguments["loss"] = self.loss
        if last != LOSSES[self._engine.loss.name].output:
            arguments["output_activation"] = last
        for name in ("dropout", "l1", "l2", "max_norm"):
            values = getattr(self, name)
            if any(values):
                first = 0.0 if name == "dropout" else values[-1]
                same = values == (first, *values[-1:] * (len(values) - 1))
                arguments[name] = values[-1] if same else list(values)
        if not self._bias:
            arguments["bias"] = False
        arguments["dtype"] = self.dtype.name
        text = ", ".join(f"{name}={value!r}" for name, value in arguments.items())
        return f"{type(self).__name__}({list(self.layer_sizes)}, {text})"

    # ----------------------------------------------------------------- weights

    weights = Views(
        "The layers' weights, of shape (inputs, outputs): views, live in both directions."
    )
    biases = Views("The layers' biases, of shape (outputs,): views, live in both directions.")

    def _arrays(self, name: str) -> list[Array]:
        """The weights or the biases."""
        arrays, count = [*self._engine.arrays.values()], len(self.layer_sizes) - 1
        return arrays[:count] if name == "weights" else arrays[count:]

    def get_weights(self) -> tuple[list[Array], list[Array]]:
        """Return copies of the weights and biases.

        Returns
        -------
        weights, biases : list of ndarray
        """
        with self._engine.core.reading():
            return [w.copy() for w in self.weights], [b.copy() for b in self.biases]

    @refuses_unknown
    def set_weights(
        self,
        weights: Sequence[Any],
        biases: Sequence[ArrayLike] | None = (),
        **unknown: NoReturn,
    ) -> None:
        """Copy weights and biases from arrays of any layout and type.

        Parameters
        ----------
        weights : sequence of array_like
            One of shape (inputs, outputs) for each layer. Or what `get_weights` returns: a pair
            (weights, biases).
        biases : sequence of array_like, optional
            One of shape (outputs,) for each layer; empty or None for a network without biases.

        Raises
        ------
        ValueError, TypeError
            If a number or a shape is wrong; then nothing has changed.
        """
        refuse(unknown, MLP.set_weights, "MLP.set_weights()", weights)
        given: Any = () if biases is None else biases
        if isinstance(given, tuple | list) and not given and _is_pair(weights):
            weights, given = weights
        new_weights = _check_arrays(weights, self.weights, "weights")
        new_biases = _check_arrays(given, self.biases, "biases")
        pairs = zip(self._engine.arrays.values(), new_weights + new_biases, strict=True)
        with self._engine.core.writing():
            for old, new in pairs:
                old[...] = new

    # ------------------------------------------------------------- predictions

    def __call__(self, X: ArrayLike, out: Any = None, training: bool = False) -> Array:
        """Compute the network's outputs.

        Parameters
        ----------
        X : array_like or sparse matrix of shape (n, inputs) or (inputs,)
        out : ndarray of shape (n, outputs) or (outputs,), optional
            Where the result goes: C-contiguous and of the network's dtype.
        training : bool, default False
            With the dropout of the next step, as `fit` would see the samples as one mini-batch.
            The counter of steps does not advance.

        Returns
        -------
        ndarray of shape (n, outputs) or (outputs,)
            Probabilities for the cross-entropies. `predict` gives classes, or values in the shape
            of the targets.

        Raises
        ------
        ValueError, TypeError
            If an argument does not fit.
        """
        if training is not False and _checks.flag(training, "training"):
            return self._forward(X, len(self.layer_sizes) - 2, out, self._engine.rng_position)
        result: Array | None = self._engine.plain_forward(X, out)
        return self._forward(X, len(self.layer_sizes) - 2, out) if result is None else result

    @refuses_unknown
    def predict(self, X: ArrayLike, **unknown: NoReturn) -> Array:
        """Predict labels (with a cross-entropy) or values.

        Parameters
        ----------
        X : array_like or sparse matrix of shape (n, inputs) or (inputs,)

        Returns
        -------
        ndarray
            Softmax: the most probable class of each row, of shape (n,). Sigmoid: 1 where the
            probability exceeds 0.5, of shape (n,) with one output and (n, outputs) with more.
            Otherwise the outputs: of shape (n,) if the targets last fitted had that shape, else
            (n, outputs).

        Raises
        ------
        ValueError, TypeError
            If `X` does not fit.
        FloatingPointError
            If classes are asked of outputs that are NaN, naming the first row.

        Examples
        --------
        >>> import numpy as np, pynn
        >>> net = pynn.MLP([2, 16, 1], loss="mse", seed=0)
        >>> X, y = np.random.default_rng(0).normal(size=(2, 30, 2)).sum(axis=0), np.ones(30)
        >>> history = net.fit(X, y)
        >>> net.predict(X).shape, net(X).shape
        ((30,), (30, 1))
        """
        if unknown or X is MISSING:  # (a call of `refuse` would be felt with one row)
            refuse(unknown, MLP.predict, "MLP.predict()", X)
        try:
            outputs = self(X)
            if LOSSES[self._engine.loss.name].classes:
                self._refuse_nan(X, outputs)
            return predictions(self._engine.loss.name, outputs, self._engine.targets_1d)
        except KeyboardInterrupt as error:
            shorten(error)
            raise error

    @refuses_unknown
    def predict_proba(self, X: ArrayLike, **unknown: NoReturn) -> Array:
        """Predict the probabilities of the classes.

        Parameters
        ----------
        X : array_like of shape (n, inputs) or (inputs,)

        Returns
        -------
        ndarray of shape (n, classes)
            One sigmoid output: of shape (n, 2), the probabilities of 0 and of 1. Several: of shape
            (n, outputs), each output's probability of 1. Without the n for a single sample.

        Raises
        ------
        ValueError, TypeError
            If `X` does not fit, or the loss is not a cross-entropy.
        FloatingPointError
            If an output is NaN, naming the first row.

        Examples
        --------
        >>> import pynn
        >>> pynn.MLP([4, 8, 1], loss="sigmoid_cross_entropy", seed=0).predict_proba([[0.0] * 4])
        array([[0.5, 0.5]], dtype=float32)
        """
        refuse(unknown, MLP.predict_proba, "MLP.predict_proba()", X)
        if not LOSSES[self._engine.loss.name].classes:
            raise ValueError(
                f"predict_proba needs a cross-entropy, but the loss is {self.loss!r}; predict "
                "gives the values"
            )
        outputs = self(X)
        self._refuse_nan(X, outputs)
        if self._engine.loss.name == "sigmoid_cross_entropy" and outputs.shape[-1] == 1:
            return np.concatenate([1 - outputs, outputs], axis=-1)
        return outputs

    @refuses_unknown
    def score(
        self,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        **unknown: NoReturn,
    ) -> float:
        """Compute the accuracy of a classifier, or a regression's coefficient of determination.

        Parameters
        ----------
        X : array_like of shape (n, inputs)
        y : array_like
            As for `fit`.
        sample_weight : array_like of shape (n,), optional

        Returns
        -------
        float
            As the `score` of scikit-learn's estimators: the fraction of samples whose classes are
            all right, or R² with the mean over several outputs.

        Examples
        --------
        >>> import pynn
        >>> net = pynn.MLP([1, 1], loss="mse", init="zeros")
        >>> net.score([[0.0], [1.0]], [-1.0, 1.0])  # as good as the mean
        0.0
        """
        refuse(unknown, MLP.score, "MLP.score()", X, y)
        name = "accuracy" if LOSSES[self._engine.loss.name].classes else "r2"
        data = self._check_data(X, y, sample_weight)
        with self._engine.core.reading():
            return self._evaluate(data, None, self._resolve(name), loss=False)[name]

    def _refuse_nan(self, X: Any, outputs: Array) -> None:
        """Raise if an output is NaN: it belongs to no class."""
        if not math.isnan(np.add.reduce(outputs, axis=None)):  # (probabilities: no overflow)
            return
        row = int(np.flatnonzero(np.isnan(outputs).reshape(-1, outputs.shape[-1]).any(axis=1))[0])
        samples, _ = self._check_input(X)
        reason = self._reason(samples[row : row + 1], "X", row, _array_input.labels(X))
        raise FloatingPointError(f"the output is nan; {reason}")

    def _reason(
        self, sample: Array | CsrRows, name: str, row: int, columns: Sequence[Any] | None
    ) -> str:
        """Why the output for a sample, a matrix of one row, is not finite."""
        bad = self._bad_value(sample, np.array([row]), name, columns)
        if bad is not None:
            return bad
        if self._weights_are_finite():
            return f"it overflows for row {row} of {name}: scale the inputs"
        return f"the weights have values that are not finite (seen in row {row} of {name})"

    def _bad_value(
        self,
        array: Array | CsrRows,
        rows: Array,
        name: str,
        columns: Sequence[Any] | None = None,
    ) -> str | None:
        """Where some rows of samples or targets have a value that is not finite, if they do."""
        found = _first_not_finite(array, self.dtype)
        if found is None:
            return None
        i, j, value = found
        what = f"too large for {self.dtype}" if np.isfinite(value) else "not finite"
        place = f"row {rows[i]}"
        if columns is not None:
            place += f", column {list(columns)[j]!r}"
        elif array.ndim == 2 and array.shape[1] > 1:
            place += f", column {j}"
        return f"{name} has a value that is {what} in {place}"

    @refuses_unknown
    def hidden(self, X: ArrayLike, layer: int = -1, **unknown: NoReturn) -> Array:
        """Compute a hidden layer's representation of the samples.

        Parameters
        ----------
        X : array_like or sparse matrix of shape (n, inputs) or (inputs,)
        layer : int, default -1
            Which hidden layer, from 0 as in `summary`; negative numbers count from the last one.

        Returns
        -------
        ndarray of shape (n, units) or (units,)
        """
        refuse(unknown, MLP.hidden, "MLP.hidden()", X)
        count = len(self.layer_sizes) - 2
        if count == 0:
            raise ValueError("this network has no hidden layer")
        try:
            index = range(count)[layer]
        except (IndexError, TypeError):
            raise ValueError(
                f"layer must be an integer from {-count} to {count - 1}, got {layer!r}"
            ) from None
        return self._forward(X, index, None)

    def _forward(
        self, X: ArrayLike, layer: int, out: Any, rng_position: Array | None = None
    ) -> Array:
        """Outputs of a layer; with `rng_position` those of the next step of training."""
        samples, single = self._check_input(X)
        columns = self.layer_sizes[layer + 1]
        shape = (columns,) if single else (len(samples), columns)
        if out is None:
            out = np.empty(shape, self.dtype)
        elif not isinstance(out, np.ndarray) or _array_input.is_masked(out):
            raise TypeError(f"out must be an ndarray, got {type(out).__name__}")
        elif out.dtype != self.dtype or out.shape != shape:
            raise ValueError(
                f"out has shape {out.shape} and dtype {out.dtype}, expected {shape} and "
                f"{self.dtype}"
            )
        elif not out.flags.carray:
            raise ValueError("out must be C-contiguous, aligned and writable")
        elif np.may_share_memory(out, self._engine.parameters):
            raise ValueError(
                "out shares memory with the network's own parameters, which would change while "
                "they are in use; pass another array, and copy it there afterwards"
            )
        elif isinstance(samples, np.ndarray) and np.may_share_memory(out, samples):
            samples = samples.copy()
        result_rows = out.reshape(-1, columns)
        if rng_position is None:
            last = layer == len(self.layer_sizes) - 2
            self._engine.core.forward(samples, layer, last, result_rows)
        elif len(samples):
            self._engine.core.forward_training(samples, rng_position, result_rows)
        result: Array = out
        return result

    def _check_input(self, X: Any) -> tuple[Array | CsrRows, bool]:
        """Samples in a form that the core reads, and whether `X` is a single one."""
        inputs = self.layer_sizes[0]
        if is_sparse(X) and X.shape == (inputs,):
            return csr_rows(X, "X"), True
        samples = check_samples(X, inputs, "X", vector=True)
        if samples.ndim == 1:
            return samples[np.newaxis], True
        return samples, False

    @refuses_unknown
    def evaluate(
        self,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        metrics: Any = (),
        **unknown: NoReturn,
    ) -> dict[str, float]:
        """Compute the loss and metrics on samples.

        Parameters
        ----------
        X : array_like or sparse matrix of shape (n, inputs)
        y : array_like
            As for `fit`.
        sample_weight : array_like of shape (n,), optional
            The metrics are weighted means.
        metrics : str, callable, or iterable or dict of these
            As for `fit`.

        Returns
        -------
        dict of str to float
            ``loss``, the mean over the samples without penalties on the weights; ``accuracy`` for
            classifiers, the fraction classified as their targets say (several sigmoid outputs: all
            of them right); and `metrics`.

        Raises
        ------
        ValueError, TypeError
            If an argument does not fit.
        FloatingPointError
            If an output or a target is NaN, naming the first row.
        """
        refuse(unknown, MLP.evaluate, "MLP.evaluate()", X, y)
        try:
            data = self._check_data(X, y, sample_weight)
            chosen = self._default_metrics() | self._resolve(metrics)
            with self._engine.core.reading():
                return self._evaluate(data, None, chosen)
        except KeyboardInterrupt as error:
            shorten(error)
            raise error

    def _default_metrics(self) -> dict[str, Metric]:
        return self._resolve(("accuracy",) if LOSSES[self._engine.loss.name].classes else ())

    def _resolve(self, metrics: Any) -> dict[str, Metric]:
        from pynn.metrics import resolve

        return resolve(metrics, self._engine.loss.name, self.layer_sizes[-1])

    def _evaluate(
        self,
        data: Data,
        rows: Array | None,
        metrics: dict[str, Metric],
        *,
        loss: bool = True,
        poll: Callable[[], None] | None = None,
    ) -> dict[str, float]:
        """Figures over the samples, or over some rows of them, a block of rows at a time.

        `poll` is called before each block.
        """
        from pynn.metrics import total_weight

        count = len(data) if rows is None else len(rows)
        last = len(self.layer_sizes) - 2
        weights_of_all = data.weights
        if weights_of_all is not None:
            weights_of_all = near_one(weights_of_all if rows is None else weights_of_all[rows])
        total, weight_total = 0.0, 0.0
        pinned = data.pinned()
        for metric in metrics.values():
            metric.start()
        for start in range(0, count, EVALUATION_ROWS):
            if poll is not None:
                poll()
            block: Any = slice(start, min(start + EVALUATION_ROWS, count))
            weights = None if weights_of_all is None else weights_of_all[block]
            if rows is not None:
                block = rows[block]
            samples = staging.rows_of(data.samples, block, self.dtype)
            outputs = np.empty((len(samples), self.layer_sizes[-1]), self.dtype)
            self._engine.core.forward(samples, last, False, outputs)
            target = data.targets.rows(block, self.layer_sizes[-1], data.names[1])
            if not data.targets.labels:
                target = _array_input.cast(target, self.dtype)
            if np.isnan(outputs).any() or (not data.targets.labels and np.isnan(target).any()):
                raise self._nan_in_evaluation(data, block, outputs, target)
            if loss:
                room = np.empty_like(outputs)
                total += _core.loss_into(self._engine.core_loss, outputs, target, weights, room)
                weight_total += total_weight(outputs, weights)
            if metrics:
                _core.predict_into(self._engine.core_loss, outputs)
                if np.isnan(outputs).any():  # (a softmax over infinities)
                    raise self._nan_in_evaluation(data, block, outputs, target)
                for metric in metrics.values():
                    metric.update(outputs, target, data.targets.labels, weights)
        del pinned
        results = {"loss": total / weight_total if weight_total else np.nan} if loss else {}
        return results | {name: metric.result() for name, metric in metrics.items()}

    def _nan_in_evaluation(
        self, data: Data, block: Any, outputs: Array, target: Array
    ) -> FloatingPointError:
        rows = np.arange(len(data))[block]
        X, y = data.names
        bad = np.isnan(outputs).any(axis=1)
        if bad.any():
            row = int(rows[bad][0])
            reason = self._reason(data.samples[row : row + 1], X, row, data.columns)
            return FloatingPointError(f"the output is nan; {reason}")
        bad = np.isnan(target).any(axis=1)
        return FloatingPointError(f"the loss is nan; {self._bad_value(target[bad], rows[bad], y)}")

    # --------------------------------------------------------------- gradients

    @refuses_unknown
    def gradients(
        self,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *excess: NoReturn,
        training: bool = False,
        **unknown: NoReturn,
    ) -> tuple[float, list[Array], list[Array]]:
        """Compute the mean loss over samples and its gradient.

        Parameters
        ----------
        X : array_like or sparse matrix of shape (n, inputs)
        y : array_like
            As for `fit`.
        sample_weight : array_like of shape (n,), optional
            The loss is the weighted mean.
        training : bool, default False
            With the dropout of the next step of a fit.

        Returns
        -------
        loss : float
            The penalties on the weights included.
        dW, db : list of ndarray
            In the shapes of `weights` and `biases`.
        """
        refuse(unknown, MLP.gradients, "MLP.gradients()", X, y, excess=excess)
        data = self._check_data(X, y, sample_weight)
        rng_position = self._engine.rng_position if _checks.flag(training, "training") else None
        gradient = np.zeros_like(self._engine.parameters)
        result = self._engine.core.gradients(
            data.samples,
            data.targets.values,
            data.targets.labels,
            data.weights,
            gradient,
            rng_position,
        )
        if not result["finite"]:
            raise self._not_finite(result, data, None, len(data), None)
        return (result["loss"] / len(data), *self._views(gradient))

    @refuses_unknown
    def input_gradient(
        self,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *excess: NoReturn,
        training: bool = False,
        **unknown: NoReturn,
    ) -> Array:
        """Compute the gradient of the mean loss with respect to the samples.

        Parameters
        ----------
        X : array_like of shape (n, inputs)
        y : array_like
            As for `fit`.
        sample_weight : array_like of shape (n,), optional
        training : bool, default False
            With the dropout of the next step of a fit.

        Returns
        -------
        ndarray of shape (n, inputs)

        Examples
        --------
        >>> import numpy as np, pynn
        >>> net = pynn.MLP([2, 1], loss="mse", seed=0)
        >>> net.set_weights([[[3.0], [4.0]]], [[0.0]])
        >>> net.input_gradient([[1.0, 1.0]], [6.0])  # 2 (7 - 6) W
        array([[6., 8.]], dtype=float32)
        """
        refuse(unknown, MLP.input_gradient, "MLP.input_gradient()", X, y, excess=excess)
        _refuse_sparse(X)
        data = self._check_data(X, y, sample_weight)
        rng_position = self._engine.rng_position if _checks.flag(training, "training") else None
        gradient = np.empty(data.samples.shape, self.dtype)
        self._engine.core.input_gradient(
            data.samples,
            data.targets.values,
            data.targets.labels,
            data.weights,
            gradient,
            rng_position,
        )
        return gradient

    @refuses_unknown
    def backward(
        self,
        dout: ArrayLike,
        X: ArrayLike,
        *excess: NoReturn,
        training: bool = False,
        parameters: bool = False,
        **unknown: NoReturn,
    ) -> Any:
        """Compute the gradient with respect to the samples from that of the outputs.

        Parameters
        ----------
        dout : array_like of shape (n, outputs) or (outputs,)
            The gradient of anything with respect to ``net(X)`` (with a cross-entropy: the
            probabilities).
        X : array_like of shape (n, inputs) or (inputs,)
            The samples.
        training : bool, default False
            With the dropout of the next step of a fit, as ``net(X, training=True)``.
        parameters : bool, default False
            Return the gradients with respect to weights and biases, too.

        Returns
        -------
        dX : ndarray of X's shape
        dW, db : list of ndarray
            Only with `parameters`.

        Raises
        ------
        ValueError, TypeError
            If an argument does not fit.

        Examples
        --------
        >>> import numpy as np, pynn
        >>> net = pynn.MLP([3, 5, 2], loss="mse", seed=0)
        >>> X = np.ones((4, 3), np.float32)
        >>> net.backward(2 * net(X), X).shape  # of the sum of squares of the outputs
        (4, 3)
        """
        refuse(unknown, MLP.backward, "MLP.backward()", dout, X, excess=excess)
        _refuse_sparse(X)
        array: Any = check_samples(X, self.layer_sizes[0], "X", vector=True)
        samples = np.atleast_2d(array)
        delta = _array_input.array(dout, "dout")
        expected = (*array.shape[:-1], self.layer_sizes[-1])
        if delta.shape != expected:
            raise ValueError(f"dout has shape {delta.shape}, expected {expected}")
        if len(samples) == 0:
            raise ValueError(f"X has shape {array.shape}: there are no samples")
        wanted = _checks.flag(parameters, "parameters")
        rng_position = self._engine.rng_position if _checks.flag(training, "training") else None
        delta = _array_input.cast(delta, self.dtype)
        gradient = np.zeros_like(self._engine.parameters) if wanted else None
        dx = np.empty(array.shape, self.dtype)
        self._engine.core.backward(samples, delta, dx, gradient, rng_position)
        return dx if gradient is None else (dx, *self._views(gradient))

    # ---------------------------------------------------------------- training

    @refuses_unknown
    def train_on_batch(
        self,
        X: ArrayLike,
        y: ArrayLike,
        optimizer: Optimizer | str | None = None,
        sample_weight: ArrayLike | None = None,
        *excess: NoReturn,
        learning_rate: LearningRate | None = None,
        **unknown: NoReturn,
    ) -> float:
        """Do one step of an optimizer on one mini-batch.

        Parameters
        ----------
        X : array_like or sparse matrix of shape (n, inputs)
        y : array_like
            As for `fit`.
        optimizer : Optimizer or str, optional
        learning_rate : float, Schedule or callable, optional
            As for `fit`.
        sample_weight : array_like of shape (n,), optional

        Returns
        -------
        float
            The mini-batch's mean loss before the update.

        Raises
        ------
        FloatingPointError
            If the loss, the gradient, `X` or the weights are not finite: the weights have not
            changed. Also if weights or moments overflow in the update itself; the message says
            that they are lost.
        """
        refuse(unknown, MLP.train_on_batch, "MLP.train_on_batch()", X, y, excess=excess)
        data = self._check_data(X, y, sample_weight)
        chosen = fitting.choose_optimizer(optimizer, learning_rate, self.optimizer)
        epoch_stats = np.empty((1, 3))
        engine = self._engine
        with engine.core.writing():
            engine.clear()
            bound = chosen._bind(self)
            attributes, flat = {"optimizer": chosen}, data.targets.flat
            step = Step(self, engine, attributes, flat, chosen._states[self].steps)
            try:
                engine.journal = step
                self._train(data, None, len(data), bound, epoch_stats, optimizer=chosen)
            finally:
                engine.clear(step)
        return float(epoch_stats[0, 0]) / len(data)

    @refuses_unknown
    def fit(
        self,
        X: Any,
        y: ArrayLike | None = None,
        *excess: NoReturn,
        epochs: int | None = None,
        batch_size: int | None = None,
        optimizer: Optimizer | str | None = None,
        learning_rate: LearningRate | None = None,
        validation_data: tuple[ArrayLike, ...] | None = None,
        validation_split: float = 0.0,
        sample_weight: ArrayLike | None = None,
        class_weight: Any = None,
        metrics: Any = (),
        shuffle: bool = True,
        sampling: str | None = None,
        callbacks: Any = (),
        steps_per_epoch: int | None = None,
        progress: bool | None = None,
        **unknown: NoReturn,
    ) -> History:
        """Train the network; a further call continues.

        Without options: Adam with a learning rate of 0.001, mini-batches of 32, 100 epochs.

        Parameters
        ----------
        X : array_like or sparse matrix of shape (n, inputs), or iterable of tuple
            Samples, of any real type and layout: they are converted mini-batch by mini-batch. Or,
            with no `y`, whatever gives mini-batches ``(X, y)`` or ``(X, y, sample_weight)``: a
            generator, a list, an object that can be iterated for each epoch.
        y : array_like
            Cross-entropies: integer class labels of shape (n,), or probabilities of shape
            (n, outputs), for the softmax with a sum of 1 in each row. Otherwise values of shape
            (n, outputs), or (n,) for one output.
        epochs : int, optional
            By default 100. Of small data more: as many as make 800 mini-batches. Of large data
            fewer: as many as make 20 000, but at least 10. An iterator is gone through once; of an
            iterable that has no ``len`` there are 10.
        batch_size : int, optional
            By default 32. At most n is used: ``len(X)`` is gradient descent with the whole of X.
            The last mini-batch of an epoch may be smaller. Only where `X` holds samples.
        optimizer : Optimizer or str, optional
            By default that of the last fit, and at first ``Adam()``. A name stands for an optimizer
            with its defaults: "adam", "adamw", "rmsprop" or "sgd". The state continues from fit to
            fit; with a name if the last optimizer has the settings that the name stands for.
        learning_rate : float, Schedule or callable, optional
            Of the optimizer. By default the optimizer's own: 0.001 for Adam, 0.01 for SGD.
        validation_data : tuple (X, y) or (X, y, sample_weight), optional
            Evaluated after each epoch.
        validation_split : float, default 0.0
            In [0, 1): the part of the samples that is not trained on but evaluated after each
            epoch, drawn by ``net.rng``, from each class alike where targets are labels. With
            ``shuffle=False`` the last samples.
        sample_weight : array_like of shape (n,), optional
            At least 0. A mini-batch's loss is the weighted mean over its samples.
        class_weight : "balanced" or dict of int to float, optional
            A factor of each sample's weight by its class; "balanced": n / (number of classes *
            samples of the class).
        metrics : str, callable, or iterable or dict of these
            Recorded for the training and validation samples after each epoch: "accuracy", "top_2"
            and so on, "mse", "rmse", "mae", "r2", ... or callables ``(y_true, y_pred)``. Those of
            the training samples cost a pass over X.
        shuffle : bool, default True
            Each epoch goes through the samples in the order ``net.rng.permutation(n)``.
        sampling : {None, "replacement"}
            With "replacement", an epoch's samples are ``net.rng.integers(n, size=n)``.
        callbacks : callable, `Callback`, or iterable of these
            A callable is called as ``callback(net, history)`` after each epoch; an answer of True
            ends the fit. One with a method ``on_batch_end(net, batch, loss)`` is called after each
            mini-batch, too, which costs time.
        steps_per_epoch : int, optional
            Only where `X` gives mini-batches: how many make an epoch.
        progress : bool, optional
            Show a progress bar on stderr; by default if that is a terminal, or in a notebook.

        Returns
        -------
        History
            Also kept as ``net.history``.

        Raises
        ------
        ValueError, TypeError
            If an argument does not fit; then nothing has changed.
        FloatingPointError
            If a mini-batch's loss, gradient or inputs are not finite, or the weights are not when
            it begins. That mini-batch was not applied. Also if weights or moments overflow in the
            update itself, which the message says: those before are lost. Also if an output or a
            target is NaN in the evaluation after an epoch.
        RuntimeError
            If another thread is training this network.
        KeyboardInterrupt
            On Ctrl-C, after a whole mini-batch; `fit` can go on from there.

        Examples
        --------
        >>> import numpy as np, pynn
        >>> rng = np.random.default_rng(0)
        >>> X = rng.normal(size=(300, 4)).astype(np.float32)
        >>> y = (X[:, 0] * X[:, 1] > 0).astype(int)

        Regularized, with validation data held out, a schedule, and an early stop:

        >>> net = pynn.MLP([4, 32, 2], "silu", dropout=0.1, l2=1e-4, max_norm=3, seed=0)
        >>> history = net.fit(
        ...     X, y, epochs=30, validation_split=0.2, metrics="accuracy",
        ...     optimizer=pynn.Adam(pynn.CosineDecay(0.01, steps=240)),
        ...     callbacks=pynn.EarlyStopping("val_loss", patience=10),
        ... )
        >>> sorted(history.history)[:4]
        ['accuracy', 'learning_rate', 'loss', 'seconds']

        Weights of samples and classes; draws with replacement; a learning rate by the step:

        >>> history = net.fit(
        ...     X, y, epochs=2, sample_weight=np.linspace(0, 1, 300), class_weight="balanced"
        ... )
        >>> history = net.fit(X, y, epochs=2, sampling="replacement")
        >>> history = net.fit(X, y, epochs=2, optimizer=pynn.SGD(lambda step: 0.1 / (1 + step)))

        Full-batch gradient descent; mini-batches of your own:

        >>> history = net.fit(X, y, epochs=5, batch_size=len(X), optimizer=pynn.SGD(0.1))
        >>> history = net.fit((X[i : i + 50], y[i : i + 50]) for i in range(0, 300, 50))

        An autoencoder and the features it has found:

        >>> coder = pynn.MLP([4, 2, 4], "tanh", loss="mse", seed=0)
        >>> history = coder.fit(X, X, epochs=5)
        >>> coder.hidden(X).shape
        (300, 2)
        """
        refuse(unknown, MLP.fit, "MLP.fit()", X, excess=excess)
        try:
            source, plan = self._plan(
                X,
                y,
                epochs=epochs,
                batch_size=batch_size,
                optimizer=optimizer,
                learning_rate=learning_rate,
                validation_data=validation_data,
                validation_split=validation_split,
                sample_weight=sample_weight,
                class_weight=class_weight,
                metrics=metrics,
                shuffle=shuffle,
                sampling=sampling,
                callbacks=callbacks,
                steps_per_epoch=steps_per_epoch,
                progress=progress,
            )
        except (TypeError, ValueError) as error:
            pass_on(error)
            raise
        except KeyboardInterrupt as error:
            shorten(error)
            raise error
        try:
            with self._engine.core.writing(fits=True):
                return fitting.FitRun(self, source, plan).run()
        except KeyboardInterrupt as error:
            shorten(error)
            raise error

    def _plan(
        self,
        X: Any,
        y: Any,
        *,
        epochs: Any,
        batch_size: Any,
        optimizer: Any,
        learning_rate: Any = None,
        validation_data: Any,
        validation_split: Any,
        sample_weight: Any,
        class_weight: Any,
        metrics: Any,
        shuffle: Any,
        sampling: Any,
        callbacks: Any,
        steps_per_epoch: Any,
        progress: Any,
        rows: Array | None = None,
    ) -> tuple[fitting.DataSource, fitting.FitPlan]:
        """Check the arguments of a fit, and say what is to be done.

        `rows`: the samples to train on, by their indices, instead of all of them.
        """
        if epochs is not None:
            epochs = _checks.integer(epochs, "epochs", 1)
        if batch_size is not None:
            batch_size = _checks.integer(batch_size, "batch_size", 1)
        optimizer = fitting.choose_optimizer(optimizer, learning_rate, self.optimizer)
        plan = fitting.FitPlan(1, optimizer)
        shuffle = _checks.flag(shuffle, "shuffle")
        replacement = fitting.check_sampling(sampling)
        if replacement and not shuffle:
            raise ValueError(
                "shuffle=False keeps the samples' order, but sampling='replacement' draws them"
            )
        split = _checks.number(
            validation_split, "validation_split", low=0.0, high=1.0, open_low=False
        )
        plan.metrics = self._resolve(metrics)
        plan.callbacks = check_callbacks(callbacks)
        plan.progress = None if progress is None else _checks.flag(progress, "progress")
        if steps_per_epoch is not None:
            steps_per_epoch = _checks.integer(steps_per_epoch, "steps_per_epoch", 1)
        plan.validation = self._check_validation(validation_data)
        if split and plan.validation is not None:
            raise ValueError("give validation_data or validation_split, not both")

        source: fitting.DataSource
        if y is None and fitting.is_batches(X):
            for name, given in (
                ("sample_weight", sample_weight),
                ("class_weight", class_weight),
                ("validation_split", split or None),
                ("sampling", sampling),
                ("batch_size", batch_size),
            ):
                if given is not None:
                    raise ValueError(f"{name} needs arrays, but X gives mini-batches")
            source = batches = fitting.BatchSource(self, X, epochs, steps_per_epoch)
            plan.epochs = batches.epochs if epochs is None else epochs
        else:
            if y is None:
                raise TypeError(
                    "y is missing: pass fit(X, y); without y, X must give mini-batches, "
                    "pairs (X, y) or triples (X, y, sample_weight) of arrays"
                )
            if steps_per_epoch is not None:
                raise ValueError("steps_per_epoch needs an X that gives mini-batches")
            data = self._check_data(X, y, sample_weight, class_weight, rows=rows)
            size = DEFAULT_BATCH_SIZE if batch_size is None else batch_size
            source = fitting.ArraySource(data, size, shuffle, replacement, split, rows)
            plan.epochs = fitting.default_epochs(source.steps) if epochs is None else epochs
        plan.optimizer._bind(self)  # its settings are checked before anything changes
        return source, plan

    def _train(
        self,
        data: Data,
        order: Array | None,
        batch_size: int,
        update: Any,
        epoch_stats: NDArray[np.float64],
        report: Callable[[TrainingResult], None] | None = None,
        epoch: int | None = None,
        batch: int = 0,
        optimizer: Optimizer | None = None,
    ) -> TrainingResult:
        """Go through the samples, once for each row of `epoch_stats`.

        Those are the loss's sum, the penalties' part of it and the seconds of each whole epoch;
        rows of others stay as they were. `order`: of the samples in one epoch after another.
        `update` is the compiled form of `optimizer`, by default the network's. `epoch`, `batch`:
        the numbers of the first.
        """
        result: TrainingResult = self._engine.core.train(
            data.samples if data.row_major is None else data.row_major,
            data.targets.values,
            data.targets.labels,
            data.weights,
            order,
            batch_size,
            update,
            self._engine.rng_position,
            self._engine.penalty_by_weight,
            epoch_stats,
            report,
        )
        if not result["finite"]:
            done = result["epochs"]
            if order is not None:
                order = order.reshape(len(epoch_stats), -1)[done]
            if epoch is not None:
                epoch += done
            raise self._not_finite(result, data, order, batch_size, epoch, batch, optimizer)
        return result

    def _not_finite(
        self,
        result: TrainingResult,
        data: Data,
        order: Array | None,
        batch_size: int,
        epoch: int | None,
        first_batch: int = 0,
        optimizer: Optimizer | None = None,
    ) -> FloatingPointError:
        done = result["batches"]
        place = "" if epoch is None else f" in epoch {epoch}, mini-batch {first_batch + done}"
        targets = "" if LOSSES[self._engine.loss.name].classes else " and the targets"
        cure = f"try a smaller learning rate, or scale the inputs{targets}"
        failure = result["failure"]
        if failure == "update":
            return self._lost(optimizer or self.optimizer, place, cure)
        piece = slice(done * batch_size, (done + 1) * batch_size)
        rows = np.arange(len(data))[piece] if order is None else order[piece]
        X, y = data.names
        bad = self._bad_value(data.samples[rows], rows, X, data.columns)
        if bad is None:
            bad = self._bad_value(data.targets.values[rows], rows, y) or _bad_weight(data, rows)
        if bad is not None:
            reason = bad
        elif not self._weights_can_be_trained():
            reason = "the weights have values that are not finite: set others, or load a checkpoint"
        else:
            reason = f"training diverges: {cure}"
        what = {
            "loss": f"the loss is {result['bad_loss']}",
            "parameters": "the weights are not finite",
            "rate": f"the learning rate or the decay overflows {self.dtype}",
        }.get(failure, "the gradient is not finite")
        return FloatingPointError(
            f"{what}{place}; {reason}. The weights are those before this mini-batch."
        )

    def _lost(self, optimizer: Optimizer | None, place: str, cure: str) -> FloatingPointError:
        """What to raise after an update that has left values that are not finite."""
        state = None if optimizer is None else optimizer._states.get(self)
        lost, update = [], ""
        if not self._weights_are_finite():
            lost.append("the weights")
        if state is not None:
            update = f", update {state.steps[0] - 1} of the optimizer (from 0)"
            state.may_be_lost = True
            if not state.is_finite():
                lost.append("the optimizer's moments")
        what = " and ".join(lost)
        if lost == ["the optimizer's moments"]:
            after = "the weights are those after it. Pass a new optimizer"
        else:
            after = "those before it are lost. Load a checkpoint, or set new weights"
            if len(lost) == 2:
                after += " and pass a new optimizer"
        return FloatingPointError(
            f"{what} overflowed in the update{place}{update}; {after}, and {cure}."
        )

    def _weights_are_finite(self) -> bool:
        return all(np.isfinite(array).all() for array in self._engine.arrays.values())

    def _weights_can_be_trained(self) -> bool:
        """As the core sees it: an output's bias may be infinite, which switches a class off."""
        *hidden, last = self.biases or [np.zeros(0)]
        finite = all(np.isfinite(w).all() for w in (*self.weights, *hidden))
        return finite and not np.isnan(last).any()

    def summary(self) -> Summary:
        """Describe the layers: shapes, parameters, memory.

        Returns
        -------
        Summary
            A string that prints as a table, in notebooks too.

        Examples
        --------
        >>> import pynn
        >>> pynn.MLP([4, 8, 3], seed=0).summary().parameters
        67
        """
        from pynn.summary import summary

        return summary(self)

    # ------------------------------------------------------------- conversions

    def to_spec(self) -> NetworkSpec:
        """Describe the forward pass as plain data, which the conversions write.

        Returns
        -------
        NetworkSpec
            The layers in their order: each with its kind, its settings and copies of its arrays.

        Examples
        --------
        >>> import pynn
        >>> [layer.kind for layer in pynn.MLP([4, 8, 3], dropout=0.5).to_spec().layers]
        ['Dense', 'Activation', 'Dropout', 'Dense', 'Activation']
        """
        from pynn.formats.spec import dense_network

        return dense_network(
            *self.get_weights(), self.activations, dropout=self.dropout, loss=self._loss.name
        )

    @refuses_unknown
    def to_torch(self, *excess: NoReturn, logits: bool = False, **unknown: NoReturn) -> Any:
        """Make a torch module that computes what the network does.

        Parameters
        ----------
        logits : bool, default False
            Whether to leave the output activation out.

        Returns
        -------
        torch.nn.Sequential
            In evaluation mode.

        See Also
        --------
        pynn.convert.to_torch
        """
        refuse(unknown, MLP.to_torch, "MLP.to_torch()", excess=excess)
        from pynn.formats.torch import to_torch

        return to_torch(self, logits=logits)

    def to_sklearn(self, classes: ArrayLike | None = None) -> Any:
        """Make a fitted scikit-learn estimator that predicts what the network does.

        Parameters
        ----------
        classes : array_like, optional
            The classes' names, by default 0, 1, ...

        Returns
        -------
        sklearn.neural_network.MLPClassifier or MLPRegressor

        See Also
        --------
        pynn.convert.to_sklearn
        """
        from pynn.formats.sklearn import to_sklearn

        return to_sklearn(self, classes)

    def to_onnx(self, path: Any = None) -> Any:
        """Make an ONNX model of the network, and write it if a path is given.

        Parameters
        ----------
        path : str or os.PathLike, optional

        Returns
        -------
        onnx.ModelProto

        See Also
        --------
        pynn.convert.to_onnx
        """
        from pynn.formats.onnx import to_onnx

        return to_onnx(self, path)

    def to_c(self, path: Any, name: str | None = None) -> None:
        """Write the network as one file of C99 without dependencies.

        Parameters
        ----------
        path : str or os.PathLike
        name : str, optional
            The function's name, by default that of the file: "iris" for "iris.c".

        See Also
        --------
        pynn.convert.to_c
        """
        from pynn.formats.c import to_c

        to_c(self, path, name)

    # ------------------------------------------------------------------ checks

    def _check_data(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        class_weight: Any = None,
        names: tuple[str, str, str] = ("X", "y", "sample_weight"),
        rows: Array | None = None,
    ) -> Data:
        """Samples in a form that the core reads; classes are weighed by those in `rows`."""
        samples = check_samples(X, self.layer_sizes[0], names[0], targets=y)
        if len(samples) == 0:
            raise ValueError(f"{names[0]} has shape {samples.shape}: there are no samples")
        outputs, loss = self.layer_sizes[-1], self._engine.loss.name
        targets = check_targets(y, loss, len(samples), outputs, names[1], names[0])
        weights = check_weights(sample_weight, len(samples), names[2])
        if class_weight is not None:
            by_class = class_weights(class_weight, targets, loss, outputs, rows)
            weights = by_class if weights is None else combined_weights(weights, by_class)
            if not (weights if rows is None else weights[rows]).any():
                raise ValueError("class_weight leaves every sample a weight of 0")
        return Data(samples, targets, weights, names[:2], _array_input.labels(X))

    def _check_batch(self, batch: Any, name: str) -> Data:
        """A mini-batch of an iterable."""
        check_parts(batch, name)
        names = (f"X of {name}", f"y of {name}", f"sample_weight of {name}")
        return self._check_data(
            batch[0], batch[1], batch[2] if len(batch) == 3 else None, None, names
        )

    def _check_validation(self, data: Any) -> tuple[Data, None] | None:
        if data is None:
            return None
        check_parts(data, "validation_data")
        names = ("validation_data[0]", "validation_data[1]", "validation_data[2]")
        weights = data[2] if len(data) == 3 else None
        return self._check_data(data[0], data[1], weights, None, names), None


def _is_pair(weights: Any) -> bool:
    """Whether these are the weights and the biases, not the weights alone."""
    if not isinstance(weights, tuple | list) or len(weights) != 2:
        return False
    first = weights[0]
    return isinstance(first, tuple | list) and len(first) > 0 and np.ndim(first[0]) == 2


def _check_arrays(new: Any, old: Sequence[Array], name: str) -> list[Array]:
    given = () if new is None else new
    arrays = [_array_input.array(x, f"{name}[{i}]") for i, x in enumerate(given)]
    if len(arrays) != len(old):
        cure = ""
        if name == "weights" and len(arrays) == 2 * len(old):
            cure = "; where each layer's biases follow its weights: weights[::2], weights[1::2]"
        raise ValueError(f"{name} has {len(arrays)} arrays, expected {len(old)}{cure}")
    for i, (array, own) in enumerate(zip(arrays, old, strict=True)):
        if array.shape != own.shape:
            raise ValueError(f"{name}[{i}] has shape {array.shape}, expected {own.shape}")
    # Copies, so that views of this network's own arrays may be permuted.
    return [
        _in_range(array, own.dtype, f"{name}[{i}]")
        for i, (array, own) in enumerate(zip(arrays, old, strict=True))
    ]


def _in_range(array: Array, dtype: np.dtype[Any], name: str) -> Array:
    """A copy of an array in another type that holds its values, infinities and NaN included."""
    with np.errstate(over="ignore", under="ignore"):
        result = array.astype(dtype)
    beyond = np.isinf(result)
    if beyond.any() and (beyond := beyond & np.isfinite(array)).any():
        row, *column = (int(i) for i in np.argwhere(beyond)[0])
        place = f"row {row}, column {column[0]}" if column else f"row {row}"
        raise ValueError(f"{name} has a value that is too large for {dtype} in {place}")
    return result


def _first_not_finite(array: Array | CsrRows, dtype: np.dtype[Any]) -> tuple[int, int, Any] | None:
    """Row, column and value of the first one that is not finite in `dtype`."""
    if isinstance(array, CsrRows):
        first = int(array.indptr[0])
        values = array.data[first : array.indptr[-1]]
    else:
        values = array.reshape(len(array), -1)
    with np.errstate(all="ignore"):
        bad = ~np.isfinite(values.astype(dtype, copy=False))
    if not bad.any():
        return None
    at = np.argwhere(bad)[0]
    if isinstance(array, CsrRows):
        position = first + int(at[0])
        row = int(np.searchsorted(array.indptr, position, "right")) - 1
        return row, int(array.indices[position]), array.data[position]
    return int(at[0]), int(at[1]), values[tuple(at)]


def _bad_weight(data: Data, rows: Array) -> str | None:
    """Where some rows have a weight that was changed to none, if they do."""
    if data.weights is None:
        return None
    weights = data.weights[rows]
    bad = ~(np.isfinite(weights) & (weights >= 0))
    if not bad.any():
        return None
    at = int(bad.argmax())
    return f"sample_weight is {weights[at]} in row {rows[at]}, expected a finite one of at least 0"


def _refuse_sparse(X: Any) -> None:
    if is_sparse(X):
        raise TypeError(
            "X is a sparse matrix, but its gradient would be dense; pass X.toarray(), a few rows "
            "at a time"
        )
