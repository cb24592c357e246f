"""The workspace of a product is bounded, however long its sums are."""

import sys

import pytest
from numpy_mlp import run_python
from sanitizers import not_sanitized

PROGRAM = """
import numpy as np
import pynn

def peak():
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmHWM"))

rows, k, columns = {sizes}
a, b = np.ones((rows, k), np.float32), np.ones((columns, k), np.float32)
out = np.empty((rows, columns), np.float32)
pynn.matmul(a[:, :64], b[:, :64].T, out=out)
before = peak()
pynn.matmul(a, b.T, out=out)
assert (out == k).all()
print(peak() - before)
"""


@not_sanitized("its own memory grows, too")
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("sizes", [(64, 300_000, 130), (500, 60_000, 600), (9, 1_000_000, 40)])
def test_a_long_sum_takes_no_memory(sizes, tmp_path):
    kilobytes = int(run_python(PROGRAM.format(sizes=sizes), tmp_path))
    assert kilobytes < 8000
