"""A program for test_old_processors.py and test_aarch64.py: trains the digits, saves the results.

Its argument is the file to write; the digits are in digits.npz, since an emulator would take long
to import scikit-learn. Prints the instruction set that was used.
"""

import sys

import numpy as np

import pynn

with np.load("digits.npz") as file:
    x, y = file["x"], file["y"]
results = []
for dtype in ("float32", "float64"):
    net = pynn.MLP([64, 33, 10], "tanh", dtype=dtype, seed=0)
    history = net.fit(x[:1400], y[:1400], epochs=8, batch_size=32, optimizer=pynn.Adam(0.003))
    results += [*net.weights, *net.biases, net(x), np.array(history.loss)]
    assert net.evaluate(x[1400:], y[1400:])["accuracy"] > 0.85
np.savez(sys.argv[1], *results)
print(pynn.show_config("dict")["isa"])
