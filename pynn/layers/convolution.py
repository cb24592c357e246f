"""Convolutions and pools: windows that move over time, height and width."""

from __future__ import annotations

from typing import Any, ClassVar, NoReturn

from pynn import _checks, initializers
from pynn._keywords import refuse, refuses_unknown
from pynn.layers._base import (
    Graph,
    Layer,
    Shape,
    check_function,
    check_init,
    constant,
    drawn_like,
    not_negative,
)
from pynn.layers._keywords import PLACES

AXES = ("time", "height", "width")


def _sizes(value: Any, name: str, rank: int) -> tuple[int, ...]:
    """Return a positive integer for each axis; one number stands for all."""
    try:
        sizes = tuple(value)
    except TypeError:
        sizes = (value,) * rank
    if len(sizes) != rank:
        raise ValueError(f"{name} must be an integer or {rank} of them, got {value!r}")
    return tuple(_checks.integer(n, name, 1) for n in sizes)


class _Window(Layer):
    """What moves over the axes before the channels."""

    _rank: ClassVar[int]
    _paddings: ClassVar[tuple[str, ...]] = ("valid", "same")
    strides: tuple[int, ...]
    padding: str

    def _check_padding(self, padding: Any) -> str:
        if isinstance(padding, str):
            padding = padding.lower()
        return _checks.choice(padding, "padding", self._paddings)

    def _window(
        self, shape: Shape, size: tuple[int, ...], dilation: tuple[int, ...]
    ) -> tuple[Shape, dict[str, int]]:
        """Return the positions of the output, and the core's settings of the window."""
        *positions, _ = shape
        names = ", ".join(AXES[:1] if self._rank == 1 else AXES[3 - self._rank :])
        if len(positions) != self._rank:
            raise ValueError(f"it takes inputs of shape ({names}, channels)")
        out: list[Any] = []
        settings: dict[str, int] = {}
        for axis, n in enumerate(positions):
            step, span = self.strides[axis], (size[axis] - 1) * dilation[axis] + 1
            before = after = 0
            if self.padding == "causal":
                before = span - 1
            elif self.padding == "same" and n is None:
                if step > 1:
                    raise ValueError("padding='same' with strides needs a fixed length")
                before, after = (span - 1) // 2, span - 1 - (span - 1) // 2
            elif self.padding == "same":
                total = max((-(-n // step) - 1) * step + span - n, 0)
                before, after = total // 2, total - total // 2
            if n is None:
                if step > 1 or before + after != span - 1:
                    raise ValueError("it needs a fixed length, or padding that keeps it")
                out.append(None)
            elif n + before + after < span:
                raise ValueError(f"its window of {span} is larger than the input of {n}")
            else:
                out.append((n + before + after - span) // step + 1)
            place = AXES[0] if self._rank == 1 else AXES[3 - self._rank + axis]
            settings |= {
                f"size_{place}": size[axis], f"stride_{place}": step,
                f"dilation_{place}": dilation[axis], f"before_{place}": before,
                f"after_{place}": after,
            }  # fmt: skip
        for place in AXES:
            for key, value in (("size", 1), ("stride", 1), ("dilation", 1), ("before", 0)):
                settings.setdefault(f"{key}_{place}", value)
            settings.setdefault(f"after_{place}", 0)
        return tuple(out), settings

    def config(self) -> dict[str, Any]:
        """Give the settings as JSON has them, and the class's name as "layer"."""
        config = super().config()
        return {k: list(v) if isinstance(v, tuple) else v for k, v in config.items()}


class _Conv(_Window):
    __match_args__ = (
        "filters", "kernel_size", "strides", "padding", "dilation", "groups", "activation", "bias",
        "init", "l1", "l2", "name",
    )  # fmt: skip
    filters: int
    kernel_size: tuple[int, ...]
    dilation: tuple[int, ...]
    groups: int
    activation: str
    bias: bool
    init: Any
    l1: float
    l2: float

    @refuses_unknown
    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = 1,
        padding: str = "valid",
        dilation: Any = 1,
        groups: int = 1,
        activation: Any = None,
        *excess: NoReturn,
        bias: bool = True,
        init: Any = initializers.DEFAULT,
        l1: float = 0.0,
        l2: float = 0.0,
        name: str | None = None,
        **unknown: NoReturn,
    ) -> None:
        called = f"{type(self).__name__}()"
        refuse(unknown, _Conv.__init__, called, filters, kernel_size, excess=excess, places=PLACES)
        rank = self._rank
        self._set(
            name,
            filters=_checks.integer(filters, "filters", 1),
            kernel_size=_sizes(kernel_size, "kernel_size", rank),
            strides=_sizes(strides, "strides", rank),
            padding=self._check_padding(padding),
            dilation=_sizes(dilation, "dilation", rank),
            groups=_checks.integer(groups, "groups", 1),
            activation=check_function(activation, "activation"),
            bias=_checks.flag(bias, "bias"),
            init=check_init(init),
            l1=not_negative(l1, "l1"),
            l2=not_negative(l2, "l2"),
        )
        if self.filters % self.groups:
            raise ValueError(f"groups={self.groups} does not divide filters={self.filters}")

    def _assemble(self, graph: Graph, path: str) -> None:
        channels = graph.shape[-1]
        if channels % self.groups:
            raise ValueError(f"groups={self.groups} does not divide its {channels} channels")
        positions, settings = self._window(graph.shape, self.kernel_size, self.dilation)
        graph.apply(
            "convolution",
            (*positions, self.filters),
            self.activation,
            inputs=channels,
            filters=self.filters,
            groups=self.groups,
            bias=self.bias,
            l1=self.l1,
            l2=self.l2,
            **settings,
        )
        shape = (*self.kernel_size, channels // self.groups, self.filters)
        graph.parameter(path, "kernel", shape, drawn_like(self.init, shape), before_function=True)
        if self.bias:
            zeros = constant((self.filters,), 0)
            graph.parameter(path, "bias", (self.filters,), zeros, before_function=True)

    def config(self) -> dict[str, Any]:
        """Give the settings as JSON has them; an `init` that is a function is left out."""
        config = super().config()
        if callable(self.init):
            config["init"] = initializers.DEFAULT
        return config


class Conv1D(_Conv):
    """Convolution over time: (time, channels) to (time, filters).

    Parameters
    ----------
    filters : int
        The number of output channels.
    kernel_size : int or tuple of int
        Of each axis.
    strides, dilation : int or tuple of int, default 1
        Steps of the window, and of the values in it.
    padding : {"valid", "same", "causal"}
        "valid": none. "same": zeros around, so that without strides the size stays (Keras'
        convention with strides).
        "causal": zeros before, so that no output reads a later input.
    groups : int, default 1
        Each group of channels makes its part of the filters; as many as channels: depthwise.
    activation : str or callable, optional
        As for `Dense`; by default none.
    bias : bool, default True
    init : str or callable, default "glorot_uniform"
        Initial kernel, by its fans; a callable ``(rng, shape, dtype)`` gets the kernel's shape.
    l1, l2 : float, default 0.0
        Penalties on the kernel, as for `Dense`.
    name : str, optional

    Notes
    -----
    Parameters: ``kernel`` of shape ``(*kernel_size, channels / groups, filters)`` and ``bias`` of
    shape (filters,).
    """

    _rank, _paddings = 1, ("valid", "same", "causal")


class Conv2D(_Conv):
    """Convolution over images: (height, width, channels) to (height, width, filters).

    Parameters
    ----------
    filters : int
        The number of output channels.
    kernel_size : int or tuple of int
        Of each axis.
    strides, dilation : int or tuple of int, default 1
        Steps of the window, and of the values in it.
    padding : {"valid", "same"}
        "valid": none. "same": zeros around, so that without strides the size stays (Keras'
        convention with strides).
    groups : int, default 1
        Each group of channels makes its part of the filters; as many as channels: depthwise.
    activation : str or callable, optional
        As for `Dense`; by default none.
    bias : bool, default True
    init : str or callable, default "glorot_uniform"
        Initial kernel, by its fans; a callable ``(rng, shape, dtype)`` gets the kernel's shape.
    l1, l2 : float, default 0.0
        Penalties on the kernel, as for `Dense`.
    name : str, optional

    Notes
    -----
    Parameters: ``kernel`` of shape ``(*kernel_size, channels / groups, filters)`` and ``bias`` of
    shape (filters,).
    """

    _rank = 2


class Conv3D(_Conv):
    """Convolution over videos: (time, height, width, channels) to (..., filters).

    Parameters
    ----------
    filters : int
        The number of output channels.
    kernel_size : int or tuple of int
        Of each axis.
    strides, dilation : int or tuple of int, default 1
        Steps of the window, and of the values in it.
    padding : {"valid", "same"}
        "valid": none. "same": zeros around, so that without strides the size stays (Keras'
        convention with strides).
    groups : int, default 1
        Each group of channels makes its part of the filters; as many as channels: depthwise.
    activation : str or callable, optional
        As for `Dense`; by default none.
    bias : bool, default True
    init : str or callable, default "glorot_uniform"
        Initial kernel, by its fans; a callable ``(rng, shape, dtype)`` gets the kernel's shape.
    l1, l2 : float, default 0.0
        Penalties on the kernel, as for `Dense`.
    name : str, optional

    Notes
    -----
    Parameters: ``kernel`` of shape ``(*kernel_size, channels / groups, filters)`` and ``bias`` of
    shape (filters,).
    """

    _rank = 3


class _Pool(_Window):
    __match_args__ = ("pool_size", "strides", "padding", "name")
    _of: ClassVar[str]
    pool_size: tuple[int, ...]

    @refuses_unknown
    def __init__(
        self,
        pool_size: Any = 2,
        strides: Any = None,
        padding: str = "valid",
        *excess: NoReturn,
        name: str | None = None,
        **unknown: NoReturn,
    ) -> None:
        refuse(unknown, _Pool.__init__, f"{type(self).__name__}()", excess=excess, places=PLACES)
        size = _sizes(pool_size, "pool_size", self._rank)
        self._set(
            name,
            pool_size=size,
            strides=size if strides is None else _sizes(strides, "strides", self._rank),
            padding=self._check_padding(padding),
        )

    def _assemble(self, graph: Graph, path: str) -> None:
        positions, settings = self._window(graph.shape, self.pool_size, (1,) * self._rank)
        graph.node("pool", (*positions, graph.shape[-1]), of=self._of, **settings)


class MaxPool1D(_Pool):
    """The maximum of each channel over a window of time.

    Parameters
    ----------
    pool_size : int or tuple of int, default 2
        Of the window.
    strides : int or tuple of int, optional
        Steps of the window; by default its size.
    padding : {"valid", "same"}
        "same": windows reach over the edge, and what lies there does not count.
    name : str, optional

    Notes
    -----
    The gradient goes to the first maximum of a window; NaN is a maximum, as in NumPy.
    """

    _of, _rank = "max", 1


class MaxPool2D(_Pool):
    """The maximum of each channel over a window of an image.

    Parameters
    ----------
    pool_size : int or tuple of int, default 2
        Of the window.
    strides : int or tuple of int, optional
        Steps of the window; by default its size.
    padding : {"valid", "same"}
        "same": windows reach over the edge, and what lies there does not count.
    name : str, optional

    Notes
    -----
    The gradient goes to the first maximum of a window; NaN is a maximum, as in NumPy.
    """

    _of, _rank = "max", 2


class MaxPool3D(_Pool):
    """The maximum of each channel over a window of a video.

    Parameters
    ----------
    pool_size : int or tuple of int, default 2
        Of the window.
    strides : int or tuple of int, optional
        Steps of the window; by default its size.
    padding : {"valid", "same"}
        "same": windows reach over the edge, and what lies there does not count.
    name : str, optional

    Notes
    -----
    The gradient goes to the first maximum of a window; NaN is a maximum, as in NumPy.
    """

    _of, _rank = "max", 3


class AvgPool1D(_Pool):
    """The mean of each channel over a window of time.

    Parameters
    ----------
    pool_size : int or tuple of int, default 2
        Of the window.
    strides : int or tuple of int, optional
        Steps of the window; by default its size.
    padding : {"valid", "same"}
        "same": windows reach over the edge, and what lies there does not count.
    name : str, optional
    """

    _of, _rank = "mean", 1


class AvgPool2D(_Pool):
    """The mean of each channel over a window of an image.

    Parameters
    ----------
    pool_size : int or tuple of int, default 2
        Of the window.
    strides : int or tuple of int, optional
        Steps of the window; by default its size.
    padding : {"valid", "same"}
        "same": windows reach over the edge, and what lies there does not count.
    name : str, optional
    """

    _of, _rank = "mean", 2


class AvgPool3D(_Pool):
    """The mean of each channel over a window of a video.

    Parameters
    ----------
    pool_size : int or tuple of int, default 2
        Of the window.
    strides : int or tuple of int, optional
        Steps of the window; by default its size.
    padding : {"valid", "same"}
        "same": windows reach over the edge, and what lies there does not count.
    name : str, optional
    """

    _of, _rank = "mean", 3
