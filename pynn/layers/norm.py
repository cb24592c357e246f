"""Normalization over the mini-batch, and over a position's channels."""

from __future__ import annotations

from typing import NoReturn

from pynn._keywords import refuse, refuses_unknown
from pynn.layers._base import Graph, Layer, constant, not_negative
from pynn.layers._keywords import PLACES


class BatchNorm(Layer):
    """Batch normalization of each channel (the last axis) [1]_.

    In training each channel gets the mean 0 and the variance 1 over the mini-batch and all its
    positions, then ``gamma * x + beta``. Predictions use the running statistics, as does training
    where the layer is frozen.

    Parameters
    ----------
    momentum : float, default 0.99
        ``moving = momentum * moving + (1 - momentum) * of the mini-batch`` (Keras' convention;
        torch's momentum is 1 minus this).
    epsilon : float, default 1e-3
        Added to the variance.
    name : str, optional

    Notes
    -----
    Parameters: ``gamma``, ``beta``, and untrained ``moving_mean``, ``moving_variance``, each of
    shape (channels,). The moving variance follows the variance over n, as in Keras; torch's follows
    that over n - 1.

    References
    ----------
    .. [1] S. Ioffe, C. Szegedy, "Batch normalization: accelerating deep network training by
       reducing internal covariate shift", ICML 2015.
    """

    __match_args__ = ("momentum", "epsilon", "name")
    momentum: float
    epsilon: float

    @refuses_unknown
    def __init__(
        self,
        momentum: float = 0.99,
        *excess: NoReturn,
        epsilon: float = 1e-3,
        name: str | None = None,
        **unknown: NoReturn,
    ) -> None:
        refuse(unknown, BatchNorm.__init__, "BatchNorm()", excess=excess, places=PLACES)
        self._set(
            name,
            momentum=not_negative(momentum, "momentum"),
            epsilon=not_negative(epsilon, "epsilon"),
        )
        if self.momentum > 1:
            raise ValueError(f"momentum must be in [0, 1], got {momentum!r}")

    def _assemble(self, graph: Graph, path: str) -> None:
        shape = graph.shape[-1:]
        graph.node(
            "batch_norm",
            graph.shape,
            channels=shape[0],
            epsilon=self.epsilon,
            momentum=self.momentum,
        )
        graph.parameter(path, "gamma", shape, constant(shape, 1))
        graph.parameter(path, "beta", shape, constant(shape, 0))
        graph.parameter(path, "moving_mean", shape, constant(shape, 0), trained=False)
        graph.parameter(path, "moving_variance", shape, constant(shape, 1), trained=False)


class LayerNorm(Layer):
    """Layer normalization: each position's channels to mean 0 and variance 1 [1]_.

    Parameters
    ----------
    epsilon : float, default 1e-3
        Added to the variance.
    name : str, optional

    Notes
    -----
    Parameters: ``gamma`` and ``beta`` of shape (channels,).

    References
    ----------
    .. [1] J. L. Ba, J. R. Kiros, G. E. Hinton, "Layer normalization", arXiv:1607.06450, 2016.
    """

    __match_args__ = ("epsilon", "name")
    epsilon: float

    @refuses_unknown
    def __init__(
        self, *excess: NoReturn, epsilon: float = 1e-3, name: str | None = None, **unknown: NoReturn
    ) -> None:
        refuse(unknown, LayerNorm.__init__, "LayerNorm()", excess=excess, places=PLACES)
        self._set(name, epsilon=not_negative(epsilon, "epsilon"))

    def _assemble(self, graph: Graph, path: str) -> None:
        shape = graph.shape[-1:]
        graph.node("layer_norm", graph.shape, channels=shape[0], epsilon=self.epsilon)
        graph.parameter(path, "gamma", shape, constant(shape, 1))
        graph.parameter(path, "beta", shape, constant(shape, 0))
