"""Vectors for tokens and for positions."""

from __future__ import annotations

from typing import NoReturn

import numpy as np

from pynn import _checks
from pynn._keywords import refuse, refuses_unknown
from pynn._types import Array
from pynn.layers._base import Draw, Graph, Layer, Shape, given
from pynn.layers._keywords import PLACES


class Embedding(Layer):
    """A trained vector for each token of a vocabulary; only as the first layer.

    The network then takes integers of shape (n, time) in [0, vocabulary); the output has shape
    (time, units).

    Parameters
    ----------
    vocabulary : int
        The number of tokens.
    units : int
        The length of a token's vector.
    sparse : bool, default False
        Update only the vectors of tokens that occur, with any optimizer (torch's ``SparseAdam``,
        but epsilon counts as in `Adam`). Where gradients are clipped or applied by hand, tokens
        whose gradient is 0 count as absent.
        With plain SGD that is always so, since the others do not change.
    name : str, optional

    Notes
    -----
    Parameter: ``embeddings`` of shape (vocabulary, units), which starts uniform in
    [-0.05, 0.05], as in Keras.
    """

    __match_args__ = ("vocabulary", "units", "sparse", "name")
    vocabulary: int
    units: int
    sparse: bool

    @refuses_unknown
    def __init__(
        self,
        vocabulary: int,
        units: int,
        *excess: NoReturn,
        sparse: bool = False,
        name: str | None = None,
        **unknown: NoReturn,
    ) -> None:
        refuse(
            unknown,
            Embedding.__init__,
            "Embedding()",
            vocabulary,
            units,
            excess=excess,
            places=PLACES,
        )
        self._set(
            name,
            vocabulary=_checks.integer(vocabulary, "vocabulary", 1),
            units=_checks.integer(units, "units", 1),
            sparse=_checks.flag(sparse, "sparse"),
        )

    def _assemble(self, graph: Graph, path: str) -> None:
        if graph.last != -1:
            raise ValueError("it reads tokens: make it the first layer")
        if len(graph.shape) != 1:
            raise ValueError("it reads tokens, of shape (time,)")
        graph.tokens = True
        shape = (self.vocabulary, self.units)
        graph.node(
            "embedding",
            (*graph.shape, self.units),
            vocabulary=self.vocabulary,
            units=self.units,
            sparse=self.sparse,
        )
        graph.parameter(path, "embeddings", shape, _uniform(shape, 0.05))


class PositionEmbedding(Layer):
    """A vector for each position of a sequence, added to it.

    Parameters
    ----------
    kind : {"learned", "sinusoidal"}
        Sinusoidal ones are fixed [1]_: ``sin(t / 10000**(2 i / units))`` in channel 2 i and the
        cosine in the next.
    name : str, optional

    Notes
    -----
    Parameter: ``embeddings`` of shape (time, units); learned ones start uniform in [-0.05, 0.05].

    References
    ----------
    .. [1] A. Vaswani et al., "Attention is all you need", NeurIPS 2017.
    """

    __match_args__ = ("kind", "name")
    kind: str

    @refuses_unknown
    def __init__(
        self, kind: str = "learned", *excess: NoReturn, name: str | None = None, **unknown: NoReturn
    ) -> None:
        refuse(
            unknown, PositionEmbedding.__init__, "PositionEmbedding()", excess=excess, places=PLACES
        )
        if kind not in ("learned", "sinusoidal"):
            raise ValueError(f"kind must be 'learned' or 'sinusoidal', got {kind!r}")
        self._set(name, kind=kind)

    def _assemble(self, graph: Graph, path: str) -> None:
        if len(graph.shape) != 2:
            raise ValueError("it takes sequences, of shape (time, features)")
        length, channels = graph.shape
        if length is None:
            raise ValueError("it needs a fixed length")
        learned = self.kind == "learned"
        graph.node(
            "position_embedding", graph.shape, length=length, channels=channels, trained=learned
        )
        draw = _uniform(graph.shape, 0.05) if learned else given(_sinusoids(length, channels))
        graph.parameter(path, "embeddings", graph.shape, draw, trained=learned)


def _uniform(shape: Shape, limit: float) -> Draw:
    return lambda rng, dtype: rng.uniform(-limit, limit, shape).astype(dtype)


def _sinusoids(length: int, channels: int) -> Array:
    pair = np.arange(channels) // 2 * 2
    angle = np.arange(length)[:, np.newaxis] / 10000.0 ** (pair / channels)
    return np.where(np.arange(channels) % 2, np.cos(angle), np.sin(angle))
