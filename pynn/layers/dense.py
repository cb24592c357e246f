"""The fully connected layer, and layers that act on values one by one."""

from __future__ import annotations

from typing import Any, NoReturn

import numpy as np

from pynn import _checks, initializers
from pynn._keywords import refuse, refuses_unknown
from pynn.layers._base import (
    Graph,
    Layer,
    Shape,
    check_function,
    check_init,
    check_shape,
    not_negative,
    size_of,
)
from pynn.layers._keywords import PLACES


class Dense(Layer):
    """Fully connected: ``activation(x @ kernel + bias)`` over the last axis.

    Of a sequence (time, features) or an image each position is treated by itself.

    Parameters
    ----------
    units : int
        The number of outputs. None leaves it to an estimator of `pynn.sklearn`, whose output layer
        has as many as the targets need.
    activation : str or callable, optional
        As for `MLP`; by default none.
    bias : bool, default True
        Add a bias to each output.
    init : str or callable, default "glorot_uniform"
        Initial kernel, as for `MLP`. The bias starts at 0.
    l1, l2 : float, default 0.0
        The loss includes ``l1 * sum(abs(kernel)) + 0.5 * l2 * sum(kernel**2)``.
    max_norm : float, optional
        The largest length of a unit's incoming weights; longer ones are scaled back after each
        step.
    name : str, optional
        What the network calls the layer; by default its index.

    Notes
    -----
    Parameters: ``kernel`` of shape (features, units), ``bias`` of shape (units,).

    Examples
    --------
    >>> from pynn import layers as L
    >>> L.Dense(10, "relu").output_shape((28,))
    (10,)
    """

    __match_args__ = ("units", "activation", "bias", "init", "l1", "l2", "max_norm", "name")
    units: int | None
    activation: str
    bias: bool
    init: Any
    l1: float
    l2: float
    max_norm: float

    @refuses_unknown
    def __init__(
        self,
        units: int | None,
        activation: Any = None,
        *excess: NoReturn,
        bias: bool = True,
        init: Any = initializers.DEFAULT,
        l1: float = 0.0,
        l2: float = 0.0,
        max_norm: float | None = None,
        name: str | None = None,
        **unknown: NoReturn,
    ) -> None:
        refuse(unknown, Dense.__init__, "Dense()", units, excess=excess, places=PLACES)
        self._set(
            name,
            units=None if units is None else _checks.integer(units, "units", 1),
            activation=check_function(activation, "activation"),
            bias=_checks.flag(bias, "bias"),
            init=check_init(init),
            l1=not_negative(l1, "l1"),
            l2=not_negative(l2, "l2"),
            max_norm=not_negative(max_norm or 0.0, "max_norm"),
        )

    def _assemble(self, graph: Graph, path: str) -> None:
        if self.units is None:
            raise ValueError(
                "units=None is for the output layer of pynn.sklearn's estimators: give a number"
            )
        graph.dense(
            path,
            self.units,
            self.activation,
            bias=self.bias,
            init=self.init,
            l1=self.l1,
            l2=self.l2,
            max_norm=self.max_norm,
        )

    def config(self) -> dict[str, Any]:
        """Give the settings as JSON has them; an `init` that is a function is left out."""
        config = super().config()
        if callable(self.init):
            config["init"] = initializers.DEFAULT
        return config


class Activation(Layer):
    """A function of each value, or the softmax over the last axis.

    Parameters
    ----------
    function : str or callable
        "relu", "leaky_relu", "elu", "gelu", "silu", "softplus", "sigmoid", "tanh", "exp",
        "softmax", "identity", or one of pynn's functions.
    name : str, optional

    Examples
    --------
    >>> from pynn import layers as L
    >>> L.Activation("swish")
    Activation('silu')
    """

    __match_args__ = ("function", "name")
    function: str

    @refuses_unknown
    def __init__(
        self, function: Any, *excess: NoReturn, name: str | None = None, **unknown: NoReturn
    ) -> None:
        refuse(unknown, Activation.__init__, "Activation()", function, excess=excess, places=PLACES)
        self._set(name, function=check_function(function, "function"))

    def _assemble(self, graph: Graph, path: str) -> None:
        graph.activation(self.function)


class Dropout(Layer):
    """Drop values at random in training, and scale the others by ``1 / (1 - rate)`` [1]_.

    Parameters
    ----------
    rate : float
        In [0, 1): the probability that a value is dropped.
    name : str, optional

    References
    ----------
    .. [1] N. Srivastava, G. Hinton, A. Krizhevsky, I. Sutskever, R. Salakhutdinov, "Dropout: a
       simple way to prevent neural networks from overfitting", JMLR 15, 2014.
    """

    __match_args__ = ("rate", "name")
    rate: float

    @refuses_unknown
    def __init__(
        self, rate: float, *excess: NoReturn, name: str | None = None, **unknown: NoReturn
    ) -> None:
        refuse(unknown, Dropout.__init__, "Dropout()", rate, excess=excess, places=PLACES)
        self._set(name, rate=_checks.number(rate, "rate", low=0.0, high=1.0, open_low=False))

    def _assemble(self, graph: Graph, path: str) -> None:
        if self.rate > 0:
            graph.node("dropout", graph.shape, rate=self.rate, number=graph.dropouts)
        graph.dropouts += 1


class Flatten(Layer):
    """Make a vector of a sample's values, in the order of memory (channels last).

    Parameters
    ----------
    name : str, optional
    """

    __match_args__ = ("name",)

    @refuses_unknown
    def __init__(self, *excess: NoReturn, name: str | None = None, **unknown: NoReturn) -> None:
        refuse(unknown, Flatten.__init__, "Flatten()", excess=excess, places=PLACES)
        self._set(name)

    def _assemble(self, graph: Graph, path: str) -> None:
        graph.reshape((size_of(graph.shape),))


class Reshape(Layer):
    """Give a sample another shape, with the same values in the same order.

    Parameters
    ----------
    shape : tuple of int
        Without the axis of samples; one size may be -1: what is left.
    name : str, optional

    Examples
    --------
    >>> from pynn import layers as L
    >>> L.Reshape((4, -1)).output_shape((8, 3))
    (4, 6)
    """

    __match_args__ = ("shape", "name")
    shape: Shape

    @refuses_unknown
    def __init__(
        self, shape: Any, *excess: NoReturn, name: str | None = None, **unknown: NoReturn
    ) -> None:
        refuse(unknown, Reshape.__init__, "Reshape()", shape, excess=excess, places=PLACES)
        sizes = (shape,) if isinstance(shape, int | np.integer) else shape
        try:
            free = [n == -1 for n in sizes]
        except TypeError:
            raise TypeError(f"shape must be a tuple of integers, got {shape!r}") from None
        checked = check_shape(
            [1 if is_free else n for n, is_free in zip(sizes, free, strict=True)], "shape"
        )
        if sum(free) > 1:
            raise ValueError(f"shape may have one size of -1, got {tuple(sizes)}")
        made = zip(checked, free, strict=True)
        self._set(name, shape=tuple(-1 if is_free else n for n, is_free in made))

    def _assemble(self, graph: Graph, path: str) -> None:
        size, known = size_of(graph.shape), size_of(tuple(n for n in self.shape if n != -1))
        shape: Shape = tuple(size // known if n == -1 else n for n in self.shape)
        if size_of(shape) != size:
            raise ValueError(f"{size} values do not fit the shape {self.shape}")
        graph.reshape(shape)

    def config(self) -> dict[str, Any]:
        """Give the settings as JSON has them."""
        return {**super().config(), "shape": list(self.shape)}
