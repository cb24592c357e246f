"""Layers of a `pynn.Sequential`: small immutable descriptions, with Keras' names and meanings.

Channels come last. A layer's ``output_shape(input_shape)`` infers shapes without a network.
"""

from typing import Any

from pynn.layers._base import Layer
from pynn.layers.convolution import (
    AvgPool1D,
    AvgPool2D,
    AvgPool3D,
    Conv1D,
    Conv2D,
    Conv3D,
    MaxPool1D,
    MaxPool2D,
    MaxPool3D,
)
from pynn.layers.dense import Activation, Dense, Dropout, Flatten, Reshape
from pynn.layers.embedding import Embedding, PositionEmbedding
from pynn.layers.norm import BatchNorm, LayerNorm
from pynn.layers.pool import (
    GlobalAvgPool1D,
    GlobalAvgPool2D,
    GlobalAvgPool3D,
    GlobalMaxPool1D,
    GlobalMaxPool2D,
    GlobalMaxPool3D,
)
from pynn.layers.rbf import RBF
from pynn.layers.residual import Residual

__all__ = [
    "RBF",
    "Activation",
    "AvgPool1D",
    "AvgPool2D",
    "AvgPool3D",
    "BatchNorm",
    "Conv1D",
    "Conv2D",
    "Conv3D",
    "Dense",
    "Dropout",
    "Embedding",
    "Flatten",
    "GlobalAvgPool1D",
    "GlobalAvgPool2D",
    "GlobalAvgPool3D",
    "GlobalMaxPool1D",
    "GlobalMaxPool2D",
    "GlobalMaxPool3D",
    "Layer",
    "LayerNorm",
    "MaxPool1D",
    "MaxPool2D",
    "MaxPool3D",
    "PositionEmbedding",
    "Reshape",
    "Residual",
    "from_config",
]


def from_config(config: Any) -> Layer:
    """Make the layer that a layer's ``config()`` describes.

    Parameters
    ----------
    config : dict

    Returns
    -------
    Layer

    Raises
    ------
    ValueError, TypeError
        If it describes none.

    Examples
    --------
    >>> from pynn import layers as L
    >>> L.from_config(L.Dense(3, "relu").config())
    Dense(3, activation='relu')
    """
    if not isinstance(config, dict):
        raise ValueError(f"a layer must be an object, got {config!r:.80}")
    settings = dict(config)
    kind = settings.pop("layer", None)
    made = globals().get(kind) if isinstance(kind, str) and kind in __all__ else None
    if not isinstance(made, type) or made is Layer:
        raise ValueError(f"there is no layer {kind!r:.40}")
    if "layers" in settings:
        held = settings["layers"]
        if not isinstance(held, list):
            raise ValueError(f"layers must be a list, got {held!r:.80}")
        settings["layers"] = [from_config(each) for each in held]
    layer: Layer = made(**settings)
    return layer
