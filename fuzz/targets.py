"""What is fuzzed: the reader of model files, from bytes that may be anything.

The first byte says what the others are, so that checksums do not keep everything but whole files
from being reached:

- ``f``: a file;
- ``h``: the header of an .npz file that is otherwise good, ``s``: of a .safetensors file;
- ``a`` and a byte n: the n-th array of an .npz file that is otherwise good;
- ``l``: the header of an .npz file of a `Sequential` that is otherwise good.

`run` raises an AssertionError, or whatever came out of the reader, on a finding.
"""

from __future__ import annotations

import contextlib
import functools
import io
import json
import math
import random
import warnings
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

import pynn
from pynn import layers as L
from pynn.optimizers import settings_of

CORPUS = Path(__file__).parent / "corpus"
KINDS = b"fhsal"
# Larger networks would make the use of what was read slow; the file's size limits them anyway.
MOST_PARAMETERS = 10_000
REFUSED = "the file object cannot be read as a network: "


@functools.cache
def good() -> bytes:
    """A file that has everything."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(12, 3)), rng.normal(size=(12, 2))
    net = pynn.MLP(
        [3, 4, 2],
        "tanh",
        pynn.Huber(0.7),
        dropout=(0.1, 0.2),
        l1=1e-5,
        l2=(1e-3, 0.0),
        max_norm=(2.0, 0.0),
        seed=1,
    )
    schedule = pynn.ReduceOnPlateau(0.1, monitor="loss")
    optimizer = pynn.SGD(schedule, momentum=0.5, clip_norm=1.0)
    net.fit(x, y, epochs=2, batch_size=4, optimizer=optimizer)
    net.history.history["seconds"] = [0.5, 0.5]  # the same file each time
    file = io.BytesIO()
    net.save(file)
    return file.getvalue()


@functools.cache
def good_layers() -> bytes:
    """A file of a network of layers of every kind."""
    net = pynn.Sequential(
        [
            L.Embedding(5, 4),
            L.PositionEmbedding(),
            L.LayerNorm(),
            L.Residual([L.Dense(3, "gelu", name="inner"), L.Dropout(0.1), L.Dense(6)], "relu"),
            L.GlobalAvgPool1D(),
            L.BatchNorm(0.9),
            L.RBF(4),
            L.Reshape((2, 2)),
            L.Activation("tanh"),
            L.Flatten(),
            L.Dense(2, l2=0.1, max_norm=2.0, name="last"),
        ],
        input_shape=3,
        seed=1,
    )
    net.set_trainable("last.bias", False)
    x = np.arange(12).reshape(4, 3) % 5
    net.fit(x, [0, 1, 1, 0], epochs=2, optimizer="adam")
    net.history.history["seconds"] = [0.5, 0.5]
    return written(net)


@functools.cache
def members(layers: bool = False) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(good_layers() if layers else good())) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def zipped(parts: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in parts.items():
            archive.writestr(zipfile.ZipInfo(name), content)
    return file.getvalue()


def with_header(header: bytes, layers: bool = False) -> bytes:
    return zipped({**members(layers), "pynn.json": header})


def with_array(number: int, content: bytes) -> bytes:
    names = [name for name in members() if name.endswith(".npy")]
    return zipped({**members(), names[number % len(names)]: content})


def tensors_with_header(header: bytes) -> bytes:
    import safetensors.numpy

    arrays = {
        name.removesuffix(".npy"): np.load(io.BytesIO(content))
        for name, content in members().items()
        if name.endswith(".npy")
    }
    text = header.decode(errors="replace")
    crc = zlib.crc32(text.encode())
    for name in sorted(arrays):
        crc = zlib.crc32(arrays[name], crc)
    return safetensors.numpy.save(arrays, {"pynn": f'{{"crc32": "{crc:08x}", {text[1:]}'})


def file_of(data: bytes) -> bytes:
    """The model file that an input stands for."""
    kind, rest = data[:1], data[1:]
    if kind == b"h":
        return with_header(rest)
    if kind == b"l":
        return with_header(rest, layers=True)
    if kind == b"s":
        return tensors_with_header(rest)
    if kind == b"a" and rest:
        return with_array(rest[0], rest[1:])
    return rest


def seeds() -> dict[str, bytes]:
    """Inputs to start from, by name."""
    header = members()["pynn.json"]
    names = [name for name in members() if name.endswith(".npy")]
    noise = names.index("noise.npy")
    plain = io.BytesIO()
    pynn.MLP([2, 2], seed=0).save(plain)
    result = {
        "file-npz": b"f" + good(),
        "file-npz-plain": b"f" + plain.getvalue(),
        "header-npz": b"h" + header,
        "header-tensors": b"s" + header,
        "layers-header": b"l" + members(layers=True)["pynn.json"],
        "layers-file": b"f" + good_layers(),
        "array-weights": b"a\0" + members()["weights_0.npy"],
        "array-noise": b"a" + bytes([noise]) + members()["noise.npy"],
    }
    for kind in ("MT19937", "Philox", "SFC64"):
        file = io.BytesIO()
        pynn.MLP([2, 2], seed=np.random.Generator(getattr(np.random, kind)(1))).save(file)
        result[f"file-npz-{kind}"] = b"f" + file.getvalue()
    for optimizer in (pynn.Adam(pynn.WarmUp(pynn.OneCycle(0.1, 9), 3)), pynn.RMSprop(lambda _: 1)):
        changed = json.loads(header)
        changed["optimizer"]["settings"] = settings_of(optimizer)
        name = f"header-{type(optimizer).__name__}"
        result[name] = b"h" + json.dumps(changed).encode()
    result["file-tensors"] = b"f" + tensors_with_header(members()["pynn.json"])
    return result


# ------------------------------------------------------------------- mutations

ODD = [None, True, False, 0, 1, -1, 2, 0.5, -0.0, 1e308, 2**31, 2**53, 2**63, 2**64, 2**128, 10**39]
ODD += [
    float("nan"),
    float("inf"),
    -float("inf"),
    "",
    "m",
    "loss",
    "float64",
    "relu",
    "\0",
    "☃",
    [],
    [[]],
    [0],
    ["m", "v"],
    {},
    {"name": 1},
]


def mutated(data: bytes, rng: random.Random) -> bytes:
    """An input near another one."""
    for _ in range(rng.choice((1, 1, 1, 2, 3, 8))):
        change = (
            mutated_json if data[:1] in (b"h", b"s", b"l") and rng.random() < 0.8 else mutated_bytes
        )
        data = change(data, rng)
    return data


def mutated_bytes(data: bytes, rng: random.Random) -> bytes:
    if not data:
        return bytes([rng.choice(KINDS)])
    changed, place = bytearray(data), rng.randrange(len(data))
    length = rng.choice((1, 1, 2, 4, 8, 30))
    match rng.randrange(7):
        case 0:
            changed[place] ^= 1 << rng.randrange(8)
        case 1:
            changed[place] = rng.randrange(256)
        case 2:
            del changed[place:]
        case 3:
            del changed[place : place + length]
        case 4:
            changed[place:place] = rng.randbytes(length)
        case 5:  # a number, little-endian
            value = rng.choice((0, 1, 2**15, 2**16 - 1, 2**31, 2**32 - 1, 2**63, 2**64 - 1))
            size = rng.choice((2, 4, 8))
            changed[place : place + size] = (value % 2 ** (8 * size)).to_bytes(size, "little")
        case _:  # a piece from elsewhere
            source = rng.randrange(len(data))
            changed[place : place + length] = data[source : source + length]
    return bytes(changed)


def mutated_json(data: bytes, rng: random.Random) -> bytes:
    try:
        header = json.loads(data[1:])
    except (ValueError, RecursionError):
        return mutated_bytes(data, rng)
    places = list(places_in(header))
    if not places:
        return data[:1] + json.dumps(rng.choice(ODD)).encode()
    container, key = rng.choice(places)
    match rng.randrange(6):
        case 0:
            del container[key]
        case 1:
            other, name = rng.choice(places)
            container[key] = json.loads(json.dumps(other[name]))
        case 2 if isinstance(container[key], int | float):
            container[key] += rng.choice((-1, 1))
        case 3 if isinstance(container[key], list):
            container[key].append(rng.choice(ODD))
        case _:
            container[key] = rng.choice(ODD)
    return data[:1] + json.dumps(header).encode()


def places_in(value: Any) -> Any:
    """Each container in a JSON value with each of its keys."""
    if isinstance(value, dict | list):
        for key in list(value) if isinstance(value, dict) else range(len(value)):
            yield value, key
            yield from places_in(value[key])


# --------------------------------------------------------------------- the test


def read(data: bytes) -> Any:
    """The network in a file; None if it is refused as it should be."""
    try:
        return pynn.load(io.BytesIO(data))
    except ValueError as error:
        message = str(error)
        if type(error) is not ValueError or not message.startswith(REFUSED):
            raise AssertionError("not the reader's own error") from error
    if len(message) > 500:
        raise AssertionError(f"a message of {len(message)} characters")
    return None


def written(net: Any) -> bytes:
    file = io.BytesIO()
    net.save(file)
    return file.getvalue()


def samples_of(net: Any) -> tuple[Any, tuple[int, ...]]:
    """Three samples, and the shape of their outputs."""
    if isinstance(net, pynn.MLP):
        return np.ones((3, net.layer_sizes[0])), (3, net.layer_sizes[-1])
    tokens = any(isinstance(layer, L.Embedding) for layer in net.layers)
    return np.zeros((3, *net.input_shape), int if tokens else float), (3, *net.output_shape)


def is_small(net: Any) -> bool:
    if isinstance(net, pynn.MLP):
        return sum(weight.size for weight in net.weights) <= MOST_PARAMETERS
    sizes = [array.size for array in net.parameters.values()]
    sizes += [math.prod(shape) for _, _, shape in net.walk()]
    return sum(sizes) + math.prod(net.input_shape) <= MOST_PARAMETERS


def use(net: Any) -> None:
    """What was accepted is a network like any other."""
    again = written(net)
    twin = read(again)
    assert twin is not None
    assert written(twin) == again
    x, shape = samples_of(net)
    assert net(x).shape == shape
    net.rng.permutation(10)
    # The weights or a learning rate may be out of range.
    with contextlib.suppress(FloatingPointError, ValueError):
        net.fit(x, np.full(shape, 0.5), epochs=2, batch_size=2)


def run(data: bytes) -> bool:
    """Try one input.

    Returns
    -------
    bool
        True if it was accepted as a network.
    """
    net = read(file_of(data))
    if net is None:
        return False
    if is_small(net):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            use(net)
    return True


if __name__ == "__main__":
    CORPUS.mkdir(exist_ok=True)
    for name, data in seeds().items():
        (CORPUS / name).write_bytes(data)
