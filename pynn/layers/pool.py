"""Pools over all positions of a sample."""

from __future__ import annotations

from typing import ClassVar, NoReturn

from pynn._keywords import refuse, refuses_unknown
from pynn.layers._base import Graph, Layer
from pynn.layers._keywords import PLACES


class _GlobalPool(Layer):
    __match_args__ = ("name",)
    _of: ClassVar[str]
    _axes: ClassVar[tuple[str, ...]]

    @refuses_unknown
    def __init__(self, *excess: NoReturn, name: str | None = None, **unknown: NoReturn) -> None:
        refuse(
            unknown, _GlobalPool.__init__, f"{type(self).__name__}()", excess=excess, places=PLACES
        )
        self._set(name)

    def _assemble(self, graph: Graph, path: str) -> None:
        if len(graph.shape) != len(self._axes) + 1:
            raise ValueError(f"it takes inputs of shape ({', '.join(self._axes)}, channels)")
        graph.node("global_pool", graph.shape[-1:], of=self._of)


class GlobalAvgPool1D(_GlobalPool):
    """The mean of each channel over time: (time, channels) to (channels,).

    Parameters
    ----------
    name : str, optional
    """

    _of, _axes = "mean", ("time",)


class GlobalMaxPool1D(_GlobalPool):
    """The maximum of each channel over time: (time, channels) to (channels,).

    The gradient goes to the first position that has the maximum.

    Parameters
    ----------
    name : str, optional
    """

    _of, _axes = "max", ("time",)


class GlobalAvgPool2D(_GlobalPool):
    """The mean of each channel over an image: (height, width, channels) to (channels,).

    Parameters
    ----------
    name : str, optional
    """

    _of, _axes = "mean", ("height", "width")


class GlobalMaxPool2D(_GlobalPool):
    """The maximum of each channel over an image: (height, width, channels) to (channels,).

    The gradient goes to the first position that has the maximum.

    Parameters
    ----------
    name : str, optional
    """

    _of, _axes = "max", ("height", "width")


class GlobalAvgPool3D(_GlobalPool):
    """The mean of each channel over a video: (time, height, width, channels) to (channels,).

    Parameters
    ----------
    name : str, optional
    """

    _of, _axes = "mean", ("time", "height", "width")


class GlobalMaxPool3D(_GlobalPool):
    """The maximum of each channel over a video: (time, height, width, channels) to (channels,).

    The gradient goes to the first position that has the maximum.

    Parameters
    ----------
    name : str, optional
    """

    _of, _axes = "max", ("time", "height", "width")
