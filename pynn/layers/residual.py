"""A layer that holds layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn

from pynn._keywords import refuse, refuses_unknown
from pynn.layers._base import Graph, Layer, check_function, held_layers
from pynn.layers._keywords import PLACES


class Residual(Layer):
    """The input plus what some layers make of it [1]_: ``activation(x + layers(x))``.

    Where the layers change the number of channels, `x` is projected by a dense layer over the
    channels, whose parameters are called ``projection.kernel`` and ``projection.bias``.

    Parameters
    ----------
    layers : sequence of Layer
    activation : str or callable, optional
        Of the sum; by default none.
    name : str, optional

    References
    ----------
    .. [1] K. He, X. Zhang, S. Ren, J. Sun, "Deep residual learning for image recognition", CVPR
       2016.

    Examples
    --------
    >>> from pynn import layers as L
    >>> L.Residual([L.Dense(16, "relu"), L.Dense(8)]).output_shape((8,))
    (8,)
    """

    __match_args__ = ("layers", "activation", "name")
    layers: tuple[Layer, ...]
    activation: str

    @refuses_unknown
    def __init__(
        self,
        layers: Sequence[Layer],
        activation: Any = None,
        *excess: NoReturn,
        name: str | None = None,
        **unknown: NoReturn,
    ) -> None:
        refuse(unknown, Residual.__init__, "Residual()", layers, excess=excess, places=PLACES)
        self._set(
            name, layers=held_layers(layers), activation=check_function(activation, "activation")
        )

    def _assemble(self, graph: Graph, path: str) -> None:
        start = graph.fork()
        graph.extend(self.layers, f"{path}.")
        end, before = graph.fork(), start[1]
        if end[0] == start[0]:
            raise ValueError("its layers compute nothing")
        if graph.shape[:-1] != before[:-1]:
            raise ValueError(
                f"its layers change the shape to {graph.shape}: the sum needs the positions of the "
                "input"
            )
        if graph.shape != before:
            graph.go_to(start)
            graph.dense(f"{path}.projection", end[1][-1])
            start = graph.fork()
            graph.go_to(end)
        graph.join(start)
        graph.activation(self.activation)

    def config(self) -> dict[str, Any]:
        """Give the settings as JSON has them, and the kind of layer."""
        return {**super().config(), "layers": [layer.config() for layer in self.layers]}
