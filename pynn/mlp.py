"""The multilayer perceptron: a chain of dense layers, with weights and biases."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from pynn import _array_input, _checks, _core, architecture, initializers
from pynn._attributes import Fixed, Views
from pynn._keywords import refuse, refuses_unknown
from pynn._types import Array, ArrayLike, DTypeLike
from pynn.data import DataSpec
from pynn.engine import Engine, engine_of
from pynn.losses import Loss, check_loss
from pynn.network import Network

if TYPE_CHECKING:
    from pynn.formats.spec import NetworkSpec
    from pynn.summary import Summary


class MLP(Network):
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
        Give the layers biases.
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

    layer_sizes: Fixed[tuple[int, ...]] = Fixed()
    activations: Fixed[tuple[str, ...]] = Fixed()
    dropout: Fixed[tuple[float, ...]] = Fixed()
    l1: Fixed[tuple[float, ...]] = Fixed()
    l2: Fixed[tuple[float, ...]] = Fixed()
    max_norm: Fixed[tuple[float, ...]] = Fixed()

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
        checked_loss.check_outputs(sizes[-1])
        name = checked_loss.name
        self._bias = _checks.flag(bias, "bias")
        hidden = architecture.check_activations(activation, count - 1)
        last = architecture.check_output_activation(output_activation, name)
        architecture.check_softmax(last, name, sizes[-1])
        per_layer = architecture.check_per_layer
        fixed = {
            "layer_sizes": sizes,
            "activations": (*hidden, last),
            "dtype": architecture.check_dtype(dtype),
            "dropout": per_layer(dropout, "dropout", count, high=1.0, of_input=0.0),
            "l1": per_layer(l1, "l1", count),
            "l2": per_layer(l2, "l2", count),
            "max_norm": per_layer(0.0 if max_norm is None else max_norm, "max_norm", count),
        }
        if isinstance(init, type) or not (init is None or callable(init)):
            init = initializers.check_name(init)
        self._set_up(checked_loss, seed, **fixed)
        self._initialize(init)
        if any(self.dropout):
            self._draw_dropout_key()

    # ------------------------------------------------------------ construction

    def _config(self) -> dict[str, Any]:
        return {
            "layer_sizes": list(self.layer_sizes),
            "activation": list(self.activations[:-1]),
            "loss": self._engine.loss.config(),
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
        # The cross-entropies are computed from logits: their output activation is the loss's part.
        *hidden, last = self.activations
        functions = [*hidden, "identity" if last in loss.info.inner else last]
        inputs, *widths = self.layer_sizes
        nodes: list[dict[str, Any]] = []
        places = []  # of each layer's output among the nodes

        def append(kind: str, **settings: Any) -> None:
            nodes.append({"kind": kind, "reads": [len(nodes) - 1], **settings})

        for i, (n_in, n_out) in enumerate(pairwise(self.layer_sizes)):
            function = functions[i]
            if self.dropout[i] > 0:
                append("dropout", rate=self.dropout[i], number=i)
            fused = function if function in architecture.FUSED else "identity"
            append(
                "dense", inputs=n_in, units=n_out, bias=self._bias, activation=fused,
                l1=self.l1[i], l2=self.l2[i], max_norm=self.max_norm[i],
            )  # fmt: skip
            if function != fused:
                append("activation", function=function)
            places.append((len(nodes) - 1, (n_out,)))
        core_loss = loss.core_settings(last, widths[-1])
        make = _core.NetworkF32 if self.dtype == np.float32 else _core.NetworkF64
        core = make(nodes, (1, 1, 1, inputs), core_loss, False)
        roles = {"kernel": "weights", "bias": "biases"}
        layout: list[tuple[str, int, tuple[int, ...]]] = []
        for role, name in roles.items():
            of_role = [p for p in core.parameters() if p[1] == role]
            layout += [
                (f"{name}_{i}", start, shape) for i, (_, _, shape, start, _) in enumerate(of_role)
            ]
        spec = DataSpec((inputs,), (widths[-1],), loss)
        last_bias = f"biases_{len(widths) - 1}" if self._bias else None
        return Engine(core, layout, self.dtype, spec, core_loss, places, last_bias)

    def _grouped(self, block: Array) -> tuple[list[Array], list[Array]]:
        arrays, count = [*self._engine.named(block).values()], len(self.layer_sizes) - 1
        return arrays[:count], arrays[count:]

    def _ungrouped(self, gradients: tuple[Any, ...]) -> dict[str, Any]:
        groups: Any = gradients[0] if len(gradients) == 1 else gradients
        if not isinstance(groups, tuple | list) or len(groups) != 2:
            raise TypeError("gradients must be dW, db: what net.gradients(X, y)[1:] returns")
        names = [name for name, _, _ in self._engine.layout]
        values = [*groups[0], *(groups[1] or ())]
        if len(values) != len(names):
            raise ValueError(f"gradients has {len(values)} arrays, expected {len(names)}")
        return dict(zip(names, values, strict=True))

    def _hidden_layer(self, layer: Any) -> int:
        count = len(self.layer_sizes) - 2
        if count == 0:
            raise ValueError("this network has no hidden layer")
        try:
            index: int = range(count)[layer]
        except (IndexError, TypeError):
            raise ValueError(
                f"layer must be an integer from {-count} to {count - 1}, got {layer!r}"
            ) from None
        return index

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

    def __repr__(self) -> str:
        """The call that makes such a network, with other weights."""
        *hidden, last = self.activations
        one_for_all = hidden[0] if len(set(hidden)) == 1 else hidden
        arguments: dict[str, Any] = {"activation": one_for_all} if hidden else {}
        arguments["loss"] = self.loss
        if last != self._engine.loss.info.output:
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
        lambda net: [*engine_of(net).arrays.values()][: len(engine_of(net).outputs)],
        "The layers' weights, of shape (inputs, outputs): views, live in both directions.",
    )
    biases = Views(
        lambda net: [*engine_of(net).arrays.values()][len(engine_of(net).outputs) :],
        "The layers' biases, of shape (outputs,): views, live in both directions.",
    )

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

        loss = self._engine.loss.name
        return dense_network(*self.get_weights(), self.activations, dropout=self.dropout, loss=loss)


def _is_pair(weights: Any) -> bool:
    """Tell if these are the weights and the biases, not the weights alone."""
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
