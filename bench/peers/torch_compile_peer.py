"""PyTorch with ``torch.compile``: networks of layers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from . import torch_layers
from .base import Array, Data, LayeredModel, LayersTrainer, Peer
from .torch_peer import load as load_torch


class TorchCompilePeer(Peer):
    """Speaks for compiled PyTorch."""

    name = "torch_compile"

    def layers_trainer(self, model: LayeredModel, data: Data) -> LayersTrainer:
        torch.compiler.reset()
        return torch_layers.TorchLayers(model, data, compiled=True)

    def layers_predictor(self, model: LayeredModel, x: Array) -> Callable[[], Any]:
        torch.compiler.reset()
        return torch_layers.predictor(model, x, compiled=True)


def load(threads: int) -> Peer:
    """Limit PyTorch's threads."""
    load_torch(threads)
    return TorchCompilePeer()
