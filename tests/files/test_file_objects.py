"""File objects whose `write` writes only a part, and widths in a checkpoint's path."""

import io

import numpy as np
import pytest
from numpy_mlp import run_python

import pynn
from pynn.checkpoint import Checkpoint
from pynn.files.npz import npy_header


class Short(io.RawIOBase):
    """Writes at most `most` bytes at a time, as an unbuffered file or a socket may."""

    def __init__(self, most):
        self.most, self.content = most, io.BytesIO()

    def writable(self):
        return True

    def write(self, data):
        return self.content.write(bytes(data[: self.most])) if self.most is not None else None


@pytest.mark.parametrize("most", [1000, 4097])
def test_short_writes(most):
    net, file = pynn.MLP([40, 30, 3], seed=0), Short(most)
    net.save(file)
    again = pynn.load(io.BytesIO(file.content.getvalue()))
    assert again._engine.parameters.tobytes() == net._engine.parameters.tobytes()


def test_a_file_object_that_does_not_say_how_much():
    class Silent(Short):
        def write(self, data):
            self.content.write(data)

    file = Silent(0)
    net = pynn.MLP([4, 3], seed=0)
    with pytest.raises(BlockingIOError, match="takes no more bytes now"):
        net.save(file)  # a raw file that would block says so by None

    class Plain:
        def __init__(self):
            self.content = io.BytesIO()

        def write(self, data):
            self.content.write(data)

        def flush(self):
            pass

    file = Plain()
    net.save(file)
    assert np.all(pynn.load(io.BytesIO(file.content.getvalue())).weights[0] == net.weights[0])


def test_a_file_object_that_takes_nothing():
    with pytest.raises(OSError, match="the file object wrote 0 of"):
        pynn.MLP([4, 3]).save(Short(0))


@pytest.mark.parametrize("spec", ["1000000000", ".1000000000f", "0256d", "<300"])
def test_a_width_beyond_reason(spec):
    with pytest.raises(ValueError, match="wider than a file's name may be, 255"):
        Checkpoint("{loss:" + spec + "}.npz")


@pytest.mark.parametrize("rows", [2, 2000])
def test_out_must_not_overlap_the_parameters(rows):
    net = pynn.MLP([rows, rows], seed=0)
    before = net._engine.parameters.copy()
    all_rows = np.ones((rows, rows), np.float32)
    one = all_rows[0]
    weights, biases = net.weights[0], net.biases[0]
    for X, out in ((all_rows, weights), (one, weights[1]), (one, biases)):
        with pytest.raises(ValueError, match="shares memory with the network's own parameters"):
            net(X, out=out)
    assert net._engine.parameters.tobytes() == before.tobytes()
    other = np.empty((rows, rows), np.float32)
    assert net(np.ones((rows, rows), np.float32), out=other) is other


AT_THE_END = """
import sys, pynn

class Job:
    def __init__(self):
        self.net, self.path = pynn.MLP([3, 2], seed=0), sys.argv[1]
        self.net.fit([[0.0, 1.0, 2.0]] * 40, [0, 1] * 20, epochs=1)

    def __del__(self):
        self.net.save(self.path)

job = Job()
"""


def test_saving_at_the_end_of_the_process(tmp_path):
    """In `__del__`, where nothing can be imported any more."""
    assert run_python(AT_THE_END, tmp_path, tmp_path / "net.npz") == ""
    assert pynn.load(tmp_path / "net.npz").layer_sizes == (3, 2)


@pytest.mark.parametrize("dtype", ["<f4", "<f8", "<u8", "|u1"])
@pytest.mark.parametrize("shape", [(), (0,), (3,), (3, 4), (10**6, 1), (12, 345, 6), (2,) * 20])
def test_arrays_in_files_have_numpys_bytes(shape, dtype):
    array = np.zeros(shape, dtype)
    expected = io.BytesIO()
    np.lib.format.write_array(expected, array, version=(1, 0))
    assert npy_header(array) + array.tobytes() == expected.getvalue()
