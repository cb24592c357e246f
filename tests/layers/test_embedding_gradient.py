"""The bits of an embedding's gradient: a sum over a token's occurrences in the order defined."""

import numpy as np
import pytest

import pynn
from pynn import layers as L

CUT, PIECE = 512, 512  # rows of a partial sum; samples of a piece


def expected(tokens, dout, vocabulary):
    """Add the rows of each token: in partial sums of CUT positions, in pieces of PIECE samples."""
    samples, _, units = dout.shape
    total = np.zeros((vocabulary, units), dout.dtype)
    for first in range(0, samples, PIECE):
        ids = tokens[first : first + PIECE].ravel()
        rows = dout[first : first + PIECE].reshape(-1, units)
        piece = np.zeros_like(total)
        for cut in range(0, len(ids), CUT):
            part = np.zeros_like(total)
            for token, row in zip(ids[cut : cut + CUT], rows[cut : cut + CUT], strict=True):
                part[token] += row
            piece += part
        total += piece
    return total


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("vocabulary", "samples", "time"),
    [
        (1, 300, 1),
        (3, 600, 3),
        (200, 20, 10),
        (256, 300, 1),
        (257, 300, 1),
        (1000, 30, 40),
        (70_000, 30, 40),
        (70_000, 700, 1),
    ],
)
def test_bits_of_the_gradient(vocabulary, samples, time, dtype):
    rng = np.random.default_rng(0)
    tokens = rng.integers(vocabulary, size=(samples, time))
    tokens[rng.random(tokens.shape) < 0.3] = vocabulary - 1  # in many cuts
    dout = rng.standard_normal((samples, time, 2)).astype(dtype)
    dout[:, 0] = -0.0
    net = pynn.Sequential([L.Embedding(vocabulary, 2)], (time,), "squared_error", dtype=dtype)
    _, gradients = net.backward(dout, tokens, training=True, parameters=True)
    found, wanted = gradients["0.embeddings"], expected(tokens, dout, vocabulary)
    assert found.tobytes() == wanted.tobytes()
