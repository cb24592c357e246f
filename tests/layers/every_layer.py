"""A program for test_same_bits.py: trains and runs each kind of layer, writes the results to the
.npz file it is given, and prints the instruction set in use and whether it is fused."""

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

import layer_nets as nets

import pynn
from pynn import layers as L


def results(dtype, names=nets.NETS):
    """Outputs, gradients and parameters after some steps, by name."""
    for name in names:
        net = nets.make(name, dtype=dtype, scale=0.3)
        x, y = nets.samples(net, 75), nets.values(net, 75)
        yield f"{name}: outputs", net(x)
        yield f"{name}: outputs in training", net(x, training=True)
        if not isinstance(net.layers[0], L.Embedding):
            yield f"{name}: input gradient", net.input_gradient(x, y, training=True)
        for key, gradient in net.gradients(x, y, training=True)[1].items():
            yield f"{name}: gradient of {key}", gradient
        net.fit(
            x, y, epochs=2, batch_size=32, optimizer=pynn.SGD(0.01, momentum=0.9), shuffle=False
        )
        for key, array in net.parameters.items():
            yield f"{name}: {key}", array


if __name__ == "__main__":
    np.savez(
        sys.argv[1],
        **{
            f"{name} {np.dtype(dtype)}": value
            for dtype in (np.float32, np.float64)
            for name, value in results(dtype)
        },
    )
    config = pynn.show_config("dict")
    print(config["isa"], config["fused_multiply_add"])
