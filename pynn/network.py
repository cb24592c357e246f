"""What all kinds of networks have in common: `Network`, the base class of `MLP`.

Fits, predictions, evaluations, gradients, files, copies and conversions are here. They know a
network by its `Engine`, and nothing of its layers.
"""

from __future__ import annotations

import atexit
import math
import os
from abc import abstractmethod
from typing import TYPE_CHECKING, Any, BinaryIO, ClassVar, NoReturn

import numpy as np

from pynn import _array_input, _checks
from pynn._attributes import Fixed
from pynn._interrupts import pass_on, shorten
from pynn._keywords import MISSING, arguments, foreign, place, refuse, refuses_unknown
from pynn._names import suggestion
from pynn._sparse import is_sparse
from pynn._types import Array, ArrayLike
from pynn.engine import Engine, Settled, Trainable, own_array
from pynn.history import History
from pynn.losses import Loss, renewed
from pynn.optimizers import LearningRate, Optimizer, choose_optimizer, make_optimizer

if TYPE_CHECKING:
    from types import ModuleType

    from pynn.formats.spec import NetworkSpec

# What a pickle holds of the engine, and what only those of earlier versions hold.
ENGINE_STATE = ("_loss", "_parameters", "_penalty_by_weight", "_rng_position", "_targets_1d")
FORMER_STATE = ("_core_loss", "_last_input")

_loaded: dict[str, ModuleType] = {}


# (Imported at their first use, so that `import pynn` stays quick. The import statement itself would
# cost a small step some percent.)


def _files() -> Any:
    if "files" not in _loaded:
        from pynn.files import write

        _loaded["files"] = write
    return _loaded["files"]


def _run() -> Any:
    if "run" not in _loaded:
        from pynn import run

        _loaded["run"] = run
    return _loaded["run"]


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


class Network(Trainable):
    """Base class of networks: all that does not depend on how their layers are connected.

    Attributes
    ----------
    dtype : numpy.dtype
    loss : str or Loss
        The loss's name; the object where it has parameters that are not the defaults.
    rng : numpy.random.Generator
    history : History or None
        Of the last call of `fit`, an interrupted one included.
    optimizer : Optimizer or None
        Of the last call of `fit` or `train_on_batch`; a further `fit` continues with it.
    """

    _prepared: ClassVar[bool] = False  # for the end of the process
    # What `help` lists first, in this order: pydoc sorts by `_fields` and then by name.
    _fields: ClassVar[tuple[str, ...]] = (
        "fit", "predict", "predict_proba", "score", "evaluate", "__call__", "hidden", "summary",
        "save", "train_on_batch", "gradients", "input_gradient", "backward",
    )  # fmt: skip

    loss: Fixed[str | Loss] = Fixed()
    rng: Settled[np.random.Generator] = Settled(_check_rng)
    history: Settled[History | None] = Settled(_check_history)
    optimizer: Settled[Optimizer | None] = Settled(_check_optimizer)
    _plain_forward: Any

    # ------------------------------------------------------------ construction

    @abstractmethod
    def _build(self, loss: Loss) -> Engine:
        """Make the core's network, and its parameters, from the attributes."""

    @abstractmethod
    def _config(self) -> dict[str, Any]:
        """The constructor's arguments as JSON has them, without initial weights and seed."""

    @abstractmethod
    def _hidden_layer(self, layer: Any) -> int:
        """The place among the engine's layers of a hidden one, by the argument of `hidden`."""

    def _refuse_frozen(self) -> None:
        """Raise if training would change nothing."""

    @abstractmethod
    def _ungrouped(self, gradients: tuple[Any, ...]) -> dict[str, Any]:
        """Arrays by the parameters' names, from what `_grouped` gives."""

    @abstractmethod
    def _grouped(self, block: Array) -> tuple[Any, ...]:
        """An array that is laid out as the parameters are, as `gradients` gives it."""

    def _set_up(self, loss: Loss, seed: Any, **fixed: Any) -> None:
        """Take the attributes `fixed`, and make the engine; the parameters are 0."""
        self.__dict__.update(fixed, loss=loss.plainest())
        try:
            self.rng = np.random.default_rng(seed)
        except (TypeError, ValueError) as error:
            raise type(error)(f"seed: {error}") from None
        self.history = None
        self.optimizer = None
        self._start(self._build(loss))

    def _start(self, engine: Engine) -> None:
        if not Network._prepared:
            Network._prepared = True
            atexit.register(_prepare_for_exit)
        # (`net(X)` with one row would feel the way to it through the engine.)
        self.__dict__.update(_engine=engine, _plain_forward=engine.plain_forward)

    def _draw_dropout_key(self) -> None:
        self._engine.rng_position[0] = self.rng.integers(2**64, dtype=np.uint64)

    def _cure(self, name: str) -> str:
        if name in arguments(Network.fit):
            return f": pass {name}= to fit"
        if foreign(name):
            return place(name, arguments(type(self).__init__))
        return suggestion(name, [key for key in dir(type(self)) if key[0] != "_"])

    # -------------------------------------------------------- copies and files

    def __getstate__(self) -> dict[str, Any]:
        from pynn._copies import present_state, snapshot

        with self._engine.core.reading():
            return snapshot(present_state(self))

    def __setstate__(self, state: dict[str, Any]) -> None:
        engine_state = {name: state[name] for name in ENGINE_STATE if name in state}
        others = state.keys() - {*ENGINE_STATE, *FORMER_STATE}
        loss = renewed(engine_state["_loss"])
        # (Earlier versions pickled only the loss's name.)
        self.__dict__.update({name: state[name] for name in state if name in others})
        self.__dict__["loss"] = loss.plainest()
        engine = self._build(loss)
        engine.parameters[...] = engine_state["_parameters"]
        engine.rng_position = own_array(engine_state["_rng_position"])
        engine.penalty_by_weight = engine_state["_penalty_by_weight"]
        engine.targets_1d = engine_state.get("_targets_1d", False)
        self._start(engine)

    def __copy__(self) -> Any:
        from pynn._copies import shallow_copy

        return shallow_copy(self)

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        from pynn._copies import deep_copy

        return deep_copy(self, memo)

    @refuses_unknown
    def save(self, path: str | os.PathLike[str] | BinaryIO, **unknown: NoReturn) -> None:
        """Write the network to a file, from which `pynn.load` makes it again.

        The file holds the configuration, the weights, the generator's state, the history of the
        last fit, and the optimizer with its state for this network: training continues from the
        file exactly as it would have done here.

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
        refuse(unknown, Network.save, type(self), path)
        _files().save(self, path)

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
            return self._forward(X, self._engine.last_layer, out, self._engine.rng_position)
        result: Array | None = self._plain_forward(X, out)
        return self._forward(X, self._engine.last_layer, out) if result is None else result

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
            refuse(unknown, Network.predict, type(self), X)
        try:
            outputs, engine = self(X), self._engine
            if engine.loss.info.classes:
                self._refuse_nan(X, outputs)
            return engine.loss.predict(outputs, engine.targets_1d)
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
        refuse(unknown, Network.predict_proba, type(self), X)
        if not self._engine.loss.info.classes:
            raise ValueError(
                f"predict_proba needs a cross-entropy, but the loss is {self.loss!r}; predict "
                "gives the values"
            )
        outputs = self(X)
        self._refuse_nan(X, outputs)
        return self._engine.loss.probabilities(outputs)

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
        refuse(unknown, Network.score, type(self), X, y)
        from pynn.evaluation import evaluate, resolve_metrics

        engine = self._engine
        name = "accuracy" if engine.loss.info.classes else "r2"
        data = engine.data_spec.data(X, y, sample_weight)
        with engine.core.reading():
            return evaluate(engine, data, None, resolve_metrics(engine, name), loss=False)[name]

    def _refuse_nan(self, X: Any, outputs: Array) -> None:
        """Raise if an output is NaN: it belongs to no class."""
        if math.isnan(np.add.reduce(outputs, axis=None)):  # (probabilities: no overflow)
            from pynn import _failures

            raise _failures.nan_output(self._engine, X, outputs)

    @refuses_unknown
    def hidden(self, X: ArrayLike, layer: int | str = -1, **unknown: NoReturn) -> Array:
        """Compute a hidden layer's representation of the samples.

        Parameters
        ----------
        X : array_like or sparse matrix of shape (n, inputs) or (inputs,)
        layer : int or str, default -1
            Which hidden layer, from 0 as in `summary`; negative numbers count from the last one.
            Of a `Sequential` the layer's place in `layers`, its output layer included, or its name
            as `summary` has it; nested ones are dotted, "block.0".

        Returns
        -------
        ndarray of shape (n, units) or (units,)
            Of a `Sequential` (n, ...), as `summary` has the layer's output shape.
        """
        refuse(unknown, Network.hidden, type(self), X)
        return self._forward(X, self._hidden_layer(layer), None)

    def _forward(
        self, X: ArrayLike, layer: int, out: Any, rng_position: Array | None = None
    ) -> Array:
        """Outputs of a layer; with `rng_position` those of the next step of training."""
        engine = self._engine
        samples, single = engine.data_spec.rows(X)
        node, of_sample = engine.outputs[layer]
        of_sample = engine.data_spec.shape_of(samples, of_sample)
        shape = of_sample if single else (len(samples), *of_sample)
        if out is None:
            out = np.empty(shape, engine.dtype)
        elif not isinstance(out, np.ndarray) or _array_input.is_masked(out):
            raise TypeError(f"out must be an ndarray, got {type(out).__name__}")
        elif out.dtype != engine.dtype or out.shape != shape:
            raise ValueError(
                f"out has shape {out.shape} and dtype {out.dtype}, expected {shape} and "
                f"{engine.dtype}"
            )
        elif not out.flags.carray:
            raise ValueError("out must be C-contiguous, aligned and writable")
        elif np.may_share_memory(out, engine.parameters):
            raise ValueError(
                "out shares memory with the network's own parameters, which would change while "
                "they are in use; pass another array, and copy it there afterwards"
            )
        elif isinstance(samples, np.ndarray) and np.may_share_memory(out, samples):
            samples = samples.copy()
        result_rows = out.reshape(len(samples), math.prod(of_sample))
        if node < 0:  # a layer that only reshapes the samples
            if not isinstance(samples, np.ndarray):
                raise TypeError("X is a sparse matrix, which is not reshaped: pass X.toarray()")
            result_rows[...] = _array_input.cast(samples, engine.dtype).reshape(len(samples), -1)
        elif rng_position is None:
            engine.core_for(samples).forward(samples, node, layer == engine.last_layer, result_rows)
        elif len(samples):
            engine.core_for(samples).forward_training(samples, rng_position, result_rows)
        result: Array = out
        return result

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
        refuse(unknown, Network.evaluate, type(self), X, y)
        from pynn.evaluation import default_metrics, evaluate, resolve_metrics

        engine = self._engine
        try:
            data = engine.data_spec.data(X, y, sample_weight)
            chosen = default_metrics(engine) | resolve_metrics(engine, metrics)
            with engine.core.reading():
                return evaluate(engine, data, None, chosen)
        except KeyboardInterrupt as error:
            shorten(error)
            raise error

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
    ) -> tuple[Any, ...]:
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

        Raises
        ------
        ValueError, TypeError
            If an argument does not fit.
        FloatingPointError
            If the loss or the gradient is not finite, as in `train_on_batch`.
        """
        refuse(unknown, Network.gradients, type(self), X, y, excess=excess)
        data = self._engine.data_spec.data(X, y, sample_weight)
        rng_position = self._engine.rng_position if _checks.flag(training, "training") else None
        gradient = np.zeros_like(self._engine.parameters)
        result = self._engine.core_for(data.samples).gradients(
            data.samples,
            data.targets.values,
            data.targets.labels,
            data.weights,
            gradient,
            rng_position,
        )
        if not result["finite"]:
            from pynn import _failures

            raise _failures.not_finite(self, result, data)
        return (result["loss"] / len(data), *self._grouped(gradient))

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
            Infinite or NaN where the arithmetic overflows, as NumPy's results are.

        Examples
        --------
        >>> import numpy as np, pynn
        >>> net = pynn.MLP([2, 1], loss="mse", seed=0)
        >>> net.set_weights([[[3.0], [4.0]]], [[0.0]])
        >>> net.input_gradient([[1.0, 1.0]], [6.0])  # 2 (7 - 6) W
        array([[6., 8.]], dtype=float32)
        """
        refuse(unknown, Network.input_gradient, type(self), X, y, excess=excess)
        _refuse_sparse(X)
        data = self._engine.data_spec.data(X, y, sample_weight)
        rng_position = self._engine.rng_position if _checks.flag(training, "training") else None
        spec = self._engine.data_spec
        shape = (len(data), *spec.shape_of(data.samples, spec.input_shape))
        gradient = np.empty(shape, self.dtype)
        self._engine.core_for(data.samples).input_gradient(
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
        refuse(unknown, Network.backward, type(self), dout, X, excess=excess)
        _refuse_sparse(X)
        spec = self._engine.data_spec
        samples, single = spec.rows(X)
        count = () if single else (len(samples),)
        delta = _array_input.array(dout, "dout")
        expected = (*count, *spec.shape_of(samples, spec.output_shape))
        if delta.shape != expected:
            raise ValueError(f"dout has shape {delta.shape}, expected {expected}")
        if len(samples) == 0:
            raise ValueError(f"X has shape {samples.shape}: there are no samples")
        wanted = _checks.flag(parameters, "parameters")
        rng_position = self._engine.rng_position if _checks.flag(training, "training") else None
        delta = _array_input.cast(delta, self.dtype)
        gradient = np.zeros_like(self._engine.parameters) if wanted else None
        dx = (
            None
            if spec.tokens
            else np.empty((*count, *spec.shape_of(samples, spec.input_shape)), self.dtype)
        )
        self._engine.core_for(samples).backward(samples, delta, dx, gradient, rng_position)
        return dx if gradient is None else (dx, *self._grouped(gradient))

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
        refuse(unknown, Network.train_on_batch, type(self), X, y, excess=excess)
        self._refuse_frozen()
        data = self._engine.data_spec.data(X, y, sample_weight)
        chosen = choose_optimizer(optimizer, learning_rate, self.optimizer)
        loss: float = _run().train_on_batch(self, data, chosen)
        return loss

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
            On Ctrl-C, after a whole mini-batch; `fit` can continue from there.

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
        given = locals()
        refuse(unknown, Network.fit, type(self), X, excess=excess)
        self._refuse_frozen()
        from pynn.plan import FIT_DEFAULTS, plan_fit
        from pynn.run import FitRun

        try:
            options = {name: given[name] for name in FIT_DEFAULTS}
            source, plan = plan_fit(self, X, y, options)
        except (TypeError, ValueError) as error:
            pass_on(error)
            raise
        except KeyboardInterrupt as error:
            shorten(error)
            raise error
        try:
            with self._engine.core.writing(fits=True):
                return FitRun(self, source, plan).run()
        except KeyboardInterrupt as error:
            shorten(error)
            raise error

    # ------------------------------------------------------------- conversions

    @abstractmethod
    def to_spec(self) -> NetworkSpec:
        """Describe the forward pass as plain data, which the conversions write."""

    @refuses_unknown
    def to_torch(self, *excess: NoReturn, logits: bool = False, **unknown: NoReturn) -> Any:
        """Make a torch module that computes what the network does.

        Parameters
        ----------
        logits : bool, default False
            Leave the output activation out.

        Returns
        -------
        torch.nn.Sequential
            In evaluation mode.

        See Also
        --------
        pynn.convert.to_torch
        """
        refuse(unknown, Network.to_torch, type(self), excess=excess)
        from pynn.formats.torch import to_torch

        return to_torch(self, logits=logits)

    @refuses_unknown
    def to_keras(self, *excess: NoReturn, logits: bool = False, **unknown: NoReturn) -> Any:
        """Make a Keras model that computes what the network does.

        Parameters
        ----------
        logits : bool, default False
            Leave the output activation out.

        Returns
        -------
        keras.Sequential or keras.Model

        See Also
        --------
        pynn.convert.to_keras
        """
        refuse(unknown, Network.to_keras, type(self), excess=excess)
        from pynn.formats.keras import to_keras

        return to_keras(self, logits=logits)

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


def _refuse_sparse(X: Any) -> None:
    if is_sparse(X):
        raise TypeError(
            "X is a sparse matrix, but its gradient would be dense; pass X.toarray(), a few rows "
            "at a time"
        )
