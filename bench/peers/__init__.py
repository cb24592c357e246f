"""The libraries that are compared, one a file."""

from __future__ import annotations

import importlib

from .base import Peer

PYNN = "pynn"
PEERS = ("numpy", "sklearn", "torch", "torch_compile", "jax", "onnxruntime", "onednn", "openblas")


def load(name: str, threads: int) -> Peer:
    """Import a library, limit its threads and give its programs.

    Raises
    ------
    ImportError
        Where it is not installed.
    """
    peer: Peer = importlib.import_module(f".{name}_peer", __name__).load(threads)
    return peer
