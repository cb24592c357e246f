"""Files of networks, valid and damaged. The damage is done without pynn's code."""

import io
import json
import zipfile
import zlib

import numpy as np
from numpy_mlp import make_samples

import pynn

SUFFIXES = (".npz", ".safetensors")


def trained(optimizer=None, loss="mse", dtype="float32", *, sizes=(4, 6, 5, 3), **options):
    """A network that has been trained for two epochs, with validation."""
    net = pynn.MLP(sizes, "tanh", loss, dtype=dtype, **{"seed": 0, **options})
    x, y = make_samples(loss, 30, sizes[0], sizes[-1])
    net.fit(x, y, epochs=2, batch_size=7, optimizer=optimizer, validation_data=(x, y))
    return net


def as_bytes(net, suffix=".npz", folder=None):
    """What `save` writes."""
    if folder is None:
        assert suffix == ".npz"
        file = io.BytesIO()
        net.save(file)
        return file.getvalue()
    net.save(folder / f"as_bytes{suffix}")
    return (folder / f"as_bytes{suffix}").read_bytes()


def load_bytes(data):
    return pynn.load(io.BytesIO(data))


def members(data):
    """The files in a zip file."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def zipped(files, compression=zipfile.ZIP_STORED):
    """A zip file of a dict, or of pairs with repeated names."""
    file = io.BytesIO()
    pairs = files.items() if isinstance(files, dict) else files
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name, content in pairs:
            archive.writestr(name, content)
    return file.getvalue()


def npy(array, **options):
    """An array in NumPy's format, by NumPy."""
    file = io.BytesIO()
    np.save(file, array, **options)
    return file.getvalue()


def header_of(data):
    return json.loads(members(data)["pynn.json"])


def with_header(data, header):
    """An .npz file with another header: a dict, or any text."""
    text = header if isinstance(header, str | bytes) else json.dumps(header)
    return zipped({**members(data), "pynn.json": text})


def tensors_with_header(arrays, header):
    """A .safetensors file with a right checksum."""
    import safetensors.numpy

    text = header if isinstance(header, str) else json.dumps(header)
    crc = zlib.crc32(text.encode())
    for name in sorted(arrays):
        crc = zlib.crc32(np.ascontiguousarray(arrays[name]), crc)
    return safetensors.numpy.save(arrays, {"pynn": f'{{"crc32": "{crc:08x}", {text[1:]}'})
