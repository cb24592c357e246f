"""Loading a damaged or foreign file is a ValueError that names it and says what is wrong."""

import io
import json
import os
import pickle
import re
import struct
import tracemalloc
import zipfile

import numpy as np
import pytest
from model_files import (
    as_bytes,
    header_of,
    load_bytes,
    members,
    npy,
    tensors_with_header,
    trained,
    with_header,
    zipped,
)
from numpy_mlp import assert_same_bits

import pynn
import pynn.schedules  # (now: its memory is not a file's)

NET = trained(pynn.Adam(0.01))
GOOD = as_bytes(NET)
PARTS = members(GOOD)
WEIGHTS = NET.weights[0].copy()
DELETE = object()


def refused(data, message, tmp_path=None):
    """Reading it is a ValueError that names the file, and allocates nothing to speak of."""
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=message) as caught:
            load_bytes(data)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert type(caught.value) is ValueError
    assert str(caught.value).startswith("the file object cannot be read as a network: ")
    assert peak < 4 * len(data) + 2**20
    if tmp_path is not None:
        path = tmp_path / "bad.npz"
        path.write_bytes(data)
        with pytest.raises(ValueError, match=message) as caught:
            pynn.load(path)
        assert str(caught.value).startswith(f"{path} cannot be read as a network: ")


def test_the_good_file_is_good():
    assert_same_bits(load_bytes(zipped(PARTS)), NET)
    assert_same_bits(load_bytes(with_header(GOOD, header_of(GOOD))), NET)


# ------------------------------------------------------------------ no container


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "it is empty"),
        (b"P", "is neither an .npz nor a .safetensors file"),
        (b"PK\x03\x04", "zip file's directory is damaged"),
        (b"PK\x05\x06" + b"\0" * 18, "is neither"),
        (b"\0" * 100, "is neither"),
        (npy(WEIGHTS), "is neither"),
        (pickle.dumps(NET), "is neither"),
        (GOOD[:-1], "zip file's directory is damaged"),
        (GOOD[: len(GOOD) // 2], "zip file's directory is damaged"),
        (GOOD[100:], "is neither"),
    ],
)
def test_no_container(tmp_path, data, message):
    refused(data, message, tmp_path)


def test_every_truncation():
    for length in (*range(0, len(GOOD), 29), *range(len(GOOD) - 200, len(GOOD), 7)):
        refused(GOOD[:length], "cannot be read as a network")


def bits_of(data):
    net = load_bytes(data)
    return as_bytes(net)


SMALL = trained(pynn.SGD(0.1, momentum=0.5), sizes=(2, 1))
SMALL.history = None


def test_flipped_bits():
    """They are found, or were in a place (a date, an attribute) that means nothing."""
    good, harmless = as_bytes(SMALL), 0
    for place in range(len(good)):
        data = bytearray(good)
        data[place] ^= 1 << (place % 8)
        try:
            same = bits_of(bytes(data))
        except ValueError:
            continue
        assert same == good
        harmless += 1
    assert harmless < 45 * len(members(good))


# ------------------------------------------------------------------- the members


def replaced(**changes):
    """The file with other members; a dot is written as two underscores."""
    parts = dict(PARTS)
    for key, value in changes.items():
        name = key.replace("__", ".")
        if value is DELETE:
            del parts[name]
        else:
            parts[name] = npy(value) if isinstance(value, np.ndarray) else value
    return zipped(parts)


class Evil:
    def __reduce__(self):
        return (os.mkdir, ("run-from-a-file",))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pynn__json": DELETE}, "there is no member 'pynn.json': it was not written by MLP.save"),
        ({"weights_0__npy": DELETE}, "there is no array 'weights_0'"),
        ({"biases_2__npy": DELETE}, "there is no array 'biases_2'"),
        ({"noise__npy": DELETE}, "there is no array 'noise'"),
        ({"v_weights_1__npy": DELETE}, "there is no array 'v_weights_1'"),
        ({"history_0__npy": DELETE}, "there is no array 'history_0'"),
        ({"history_epoch__npy": DELETE}, "there is no array 'history_epoch'"),
        ({"weights_3__npy": WEIGHTS}, "there is an unexpected array 'weights_3'"),
        ({"history_9__npy": np.zeros(2)}, "there is an unexpected array 'history_9'"),
        ({"readme__txt": b"hello"}, "there is an unexpected member 'readme.txt'"),
        ({"folder/": b""}, "there is an unexpected member 'folder/'"),
        ({"weights_0__npy": WEIGHTS.T}, "not a plain array of numbers in C's order"),
        ({"weights_0__npy": WEIGHTS.T.copy()}, r"'weights_0' has shape \(6, 4\), expected \(4, 6"),
        ({"weights_0__npy": WEIGHTS.ravel()}, r"'weights_0' has shape \(24,\), expected \(4, 6\)"),
        ({"weights_0__npy": WEIGHTS[:, :5].copy()}, r"shape \(4, 5\), expected \(4, 6\)"),
        ({"weights_0__npy": WEIGHTS.astype(float)}, "has dtype '<f8', expected '<f4'"),
        ({"weights_0__npy": WEIGHTS.astype(">f4")}, "has dtype '>f4', expected '<f4'"),
        ({"weights_0__npy": WEIGHTS.view("<i4")}, "has dtype '<i4', expected '<f4'"),
        ({"weights_0__npy": WEIGHTS.astype("<c8")}, "has dtype '<c8', expected '<f4'"),
        ({"weights_0__npy": WEIGHTS.view("V4")}, "has dtype '|V4', expected '<f4'"),
        ({"weights_0__npy": WEIGHTS.astype("U3")}, "has 416 bytes, but|has dtype '<U3'"),
        ({"weights_0__npy": np.zeros(3, "f4,f4")}, "not a plain array of numbers"),
        ({"weights_0__npy": np.zeros(3, "M8[s]")}, "not a plain array of numbers"),
        ({"weights_0__npy": np.array(1, "f4")}, r"has shape \(\), expected \(4, 6\)"),
        ({"noise__npy": np.zeros(3, "u8")}, r"'noise' has shape \(3,\), expected \(2,\)"),
        ({"noise__npy": np.zeros(2, "i8")}, "'noise' has dtype '<i8', expected '<u8'"),
        ({"history_0__npy": np.zeros((1, 2))}, r"has shape \(1, 2\), expected one dimension"),
        ({"history_0__npy": np.array(1.0)}, "expected one dimension"),
        ({"history_0__npy": np.zeros(3)}, "has more values than there are epochs"),
        ({"weights_0__npy": b""}, "is not an array in NumPy's format 1.0"),
        ({"weights_0__npy": b"\x93NUMPY\x01"}, "is not an array in NumPy's format 1.0"),
        ({"weights_0__npy": b"\x93NUMPY\x01\x00\xff\xff{"}, "not a plain array"),
        ({"weights_0__npy": b"\x93NUMPY\x02\x00" + b"\0" * 200}, "NumPy's format 1.0"),
        ({"weights_0__npy": pickle.dumps(WEIGHTS)}, "is not an array in NumPy's format 1.0"),
        ({"weights_0__npy": PARTS["weights_0.npy"][:-1]}, "has 223 bytes, but its shape"),
        ({"weights_0__npy": PARTS["weights_0.npy"] + b"\0"}, "has 225 bytes, but its shape"),
    ],
)
def test_members(tmp_path, changes, message):
    refused(replaced(**changes), message, tmp_path)


def test_objects_are_not_unpickled(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    evil = npy(np.array([[Evil()] * 6] * 4), allow_pickle=True)
    refused(replaced(weights_0__npy=evil), "not a plain array of numbers")
    # An object array's header with a plain array's size, and the other way round.
    header = evil.replace(b"|O", b"<f4")
    refused(replaced(weights_0__npy=header), "not a plain array|bytes, but its shape")
    assert list(tmp_path.iterdir()) == []
    # The attack works on a reader that unpickles.
    np.load(io.BytesIO(evil), allow_pickle=True)
    assert (tmp_path / "run-from-a-file").exists()


@pytest.mark.parametrize(
    "header",
    [
        "{'descr': '<f4', 'fortran_order': False, 'shape': (4, 6), 'evil': 1, }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (4, 6), } and more",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (-4, -6), }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (4., 6), }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': [4, 6], }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (4, 6,, ), }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (4" + "0" * 30 + ", 6), }",
        "{'descr': '<f4', 'fortran_order': 0, 'shape': (4, 6), }",
        "{'descr': 'float32', 'fortran_order': False, 'shape': (4, 6), }",
        "{'descr': '<f" + "4" * 1000 + "', 'fortran_order': False, 'shape': (4, 6), }",
        "(" * 5000,
        "__import__('os').mkdir('run-from-a-file')",
        "",
    ],
)
def test_headers_of_arrays(tmp_path, monkeypatch, header):
    monkeypatch.chdir(tmp_path)
    text = header.encode() + b"\n"
    data = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + WEIGHTS.tobytes()
    refused(replaced(weights_0__npy=data), "not a plain array of numbers")
    assert list(tmp_path.iterdir()) == []


# ----------------------------------------------------------------------- the zip


def test_compressed():
    refused(zipped(PARTS, zipfile.ZIP_DEFLATED), "'pynn.json' is compressed")
    refused(zipped(PARTS, zipfile.ZIP_BZIP2), "is compressed")
    refused(zipped(PARTS, zipfile.ZIP_LZMA), "is compressed")


def test_a_bomb():
    """A kilobyte that becomes a hundred megabytes, as an array and as the header."""
    zeros = bytes(10**8)
    for name in ("weights_0.npy", "pynn.json", "other.npy"):
        bomb = zipped({**PARTS, name: zeros}, zipfile.ZIP_DEFLATED)
        assert len(bomb) < 2 * 10**5
        refused(bomb, "is compressed")


def test_members_twice():
    pairs = [*PARTS.items(), ("weights_0.npy", PARTS["weights_0.npy"])]
    with pytest.warns(UserWarning, match="Duplicate name"):
        data = zipped(pairs)
    refused(data, "a member of the zip file occurs twice")


def directory_entry(data, name):
    """Where the zip file's directory has a member."""
    place = data.index(b"PK\x01\x02")
    while data[place + 46 : place + 46 + len(name)] != name.encode():
        place = data.index(b"PK\x01\x02", place + 4)
    return place


def patched(data, name, offset, form, *values):
    changed = bytearray(data)
    struct.pack_into(form, changed, directory_entry(data, name) + offset, *values)
    return bytes(changed)


def test_a_size_beyond_the_file():
    data = patched(GOOD, "weights_0.npy", 20, "<II", 2**32 - 2, 2**32 - 2)
    refused(data, f"claim [0-9]+ bytes, but the file has {len(GOOD)}")
    refused(patched(GOOD, "weights_0.npy", 24, "<I", 2**31), "is compressed")


def test_members_that_overlap():
    """Many arrays in one place would take many times the file's size."""
    sizes = [1000, *[1000] * 50]
    header = header_of(GOOD)
    header.update(optimizer=None, history=None)
    header["config"].update(layer_sizes=sizes, activation=["relu"] * 49, bias=False)
    parts = {"pynn.json": json.dumps(header), "noise.npy": PARTS["noise.npy"]}
    parts["weights_0.npy"] = npy(np.zeros((1000, 1000), "f4"))
    parts |= {f"weights_{i}.npy": b"" for i in range(1, 50)}
    data = zipped(parts)
    first = directory_entry(data, "weights_0.npy")
    fields = struct.unpack_from("<III", data, first + 16)
    (where,) = struct.unpack_from("<I", data, first + 42)
    for i in range(1, 50):
        data = patched(data, f"weights_{i}.npy", 16, "<III", *fields)
        data = patched(data, f"weights_{i}.npy", 42, "<I", where)
    refused(data, f"claim [0-9]+ bytes, but the file has {len(data)}")


def test_encrypted():
    refused(patched(GOOD, "weights_0.npy", 8, "<H", 1), "'weights_0.npy' is encrypted")


@pytest.mark.parametrize("version", [46, 255])
def test_versions_of_zip(version):
    try:
        assert bits_of(patched(GOOD, "weights_0.npy", 6, "<H", version)) == GOOD
    except ValueError as error:
        assert "cannot be read as a network" in str(error)  # noqa: PT017


def test_names_in_the_members_and_in_the_directory():
    place = GOOD.index(b"weights_0.npy")
    refused(GOOD[:place] + b"X" + GOOD[place + 1 :], "member 'weights_0.npy' is damaged")


# -------------------------------------------------------------------- the header


def changed_header(path, value):
    """The header with the value at `path`, such as "config.bias", changed."""
    header = header_of(GOOD)
    *keys, last = path.split(".")
    inside = header
    for key in keys:
        inside = inside[key]
    if value is DELETE:
        del inside[last]
    else:
        inside[last] = value
    return header


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "the header is not valid JSON"),
        (b"\xff\xfe\xfd", "the header is not UTF-8"),
        ("hello", "the header is not valid JSON"),
        ("[" * 100_000, "the header is nested too deeply"),
        ('{"a":' * 100_000, "the header is nested too deeply"),
        ("[]", "the header must be an object"),
        ("null", "the header must be an object"),
        ("3", "the header must be an object"),
        ("{}", "it has version None of the format"),
        ('{"format": 1}', "the header must have"),
        ('{"format": 1, "format": 1}', "a name occurs twice"),
        ('{"format": NaN}', "it has version nan of the format"),
        ('{"format": -Infinity}', "it has version -inf of the format"),
        ('{"format": ' + "9" * 100_000 + "}", "a number of 100000 digits"),
        ('{"format": 1e999}', "it has version inf of the format"),
        (" " * 2**22 + "{}", "the header has 4194306 bytes, more than 4194304"),
    ],
)
def test_no_header(tmp_path, text, message):
    refused(with_header(GOOD, text), message, tmp_path)


@pytest.mark.parametrize("version", [0, 2, -1, 1.0, True, "1", None, [1], 10**30])
def test_versions(version):
    message = f"it has version {version!r} of the format, but pynn {pynn.__version__} reads vers"
    refused(with_header(GOOD, changed_header("format", version)), re.escape(message))


STATE = header_of(GOOD)["generator"]["state"]
WRONG = [
    float("nan"),
    float("inf"),
    0,
    -1,
    1.5,
    True,
    "x",
    "",
    None,
    [],
    {},
    [1],
    ["x"],
    {"a": 1},
    2**64,
    -(2**70),
    1e308,
]


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("config", None, "config must be an object"),
        ("config", [], "config must be an object"),
        ("config.layer_sizes", DELETE, "layer_sizes must be a list of positive integers"),
        ("config.layer_sizes", [], "layer_sizes must be a list of positive integers"),
        ("config.layer_sizes", [4], "layer_sizes must be a list of positive integers"),
        ("config.layer_sizes", [4, 0, 3], "layer_sizes must be a list of positive integers"),
        ("config.layer_sizes", [4, -6, 5, 3], "layer_sizes must be a list of positive integers"),
        ("config.layer_sizes", [4, 6.0, 5, 3], "layer_sizes must be a list of positive integers"),
        ("config.layer_sizes", [True, 6, 5, 3], "layer_sizes must be a list of positive integers"),
        ("config.layer_sizes", [4, "6", 5, 3], "layer_sizes must be a list of positive integers"),
        ("config.layer_sizes", {"4": 6}, "layer_sizes must be a list of positive integers"),
        ("config.layer_sizes", [4, 6, 5], "there is an unexpected array 'weights_2'"),
        ("config.layer_sizes", [4, 6, 5, 3, 3], "there is no array 'weights_3'"),
        ("config.layer_sizes", [4, 7, 5, 3], r"'weights_0' has shape \(4, 6\), expected \(4, 7\)"),
        ("config.layer_sizes", [10**6, 10**6, 5, 3], r"expected \(1000000, 1000000\)"),
        ("config.layer_sizes", [10**38, 6, 5, 3], "shape"),
        ("config.dtype", "float16", "dtype must be one of float32, float64, got 'float16'"),
        ("config.dtype", "O", "dtype must be one of float32, float64, got 'O'"),
        ("config.dtype", "float64", "has dtype '<f4', expected '<f8'"),
        ("config.dtype", ["float32"], "dtype must be one of float32, float64"),
        ("config.bias", 1, "bias must be true or false, got 1"),
        ("config.bias", False, "there is an unexpected array 'biases_0'"),
        ("config.activation", "swoosh", "config: activation must be one of"),
        ("config.activation", ["relu"], "config: activation has 1 names"),
        ("config.activation", 3, "config: activation must be"),
        ("config.loss", "regret", "config: loss must be"),
        ("config.output_activation", "swoosh", "config: output_activation must be"),
        ("config.init", "he_normal", "config: .*init"),
        ("config.seed", 3, "config: .*seed"),
        ("config.evil", 3, "config: .*evil"),
        ("generator", None, "the generator must be one of PCG64"),
        ("generator.bit_generator", "XKCD", "the generator must be one of PCG64"),
        ("generator.bit_generator", "Generator", "the generator must be one of PCG64"),
        ("generator.bit_generator", ["PCG64"], "the generator must be one of PCG64"),
        ("generator.bit_generator", "MT19937", "the MT19937 generator's state must hold"),
        ("generator.has_uint32", 2, "has_uint32 must hold integers from 0 to 1"),
        ("generator.uinteger", 2**32, "uinteger must hold integers from 0 to 4294967295"),
        ("generator.uinteger", True, "uinteger must hold integers"),
        ("generator.state", DELETE, "the PCG64 generator's state must hold"),
        ("generator.state.inc", STATE["inc"] - 1, "increment must be odd"),
        ("generator.state.inc", 2**128 + 1, "inc must hold integers"),
        ("generator.state.state", -1, "state must hold integers"),
        ("generator.state.more", 1, "the PCG64 generator's state must hold state, inc"),
        ("optimizer", [], "optimizer must be an object"),
        ("optimizer", {}, "optimizer must have moments, settings, steps"),
        ("optimizer", None, "there is an unexpected array 'm_weights_0'"),
        ("optimizer.moments", ["v"], "there is an unexpected array 'm_weights_0'"),
        ("optimizer.moments", ["m", "m"], "optimizer: moments must be a list of m and v"),
        ("optimizer.moments", ["__class__"], "optimizer: moments must be a list of m and v"),
        ("optimizer.moments", None, "optimizer: moments must be a list of m and v"),
        ("optimizer.steps", None, "optimizer: steps must be an integer from 0, got None"),
        ("optimizer.steps", -1, "optimizer: steps must be an integer from 0, got -1"),
        ("optimizer.steps", 2**63, "optimizer: steps must be an integer from 0"),
        ("optimizer.steps", 1.5, "optimizer: steps must be an integer from 0"),
        ("optimizer.settings", None, "optimizer: settings must be an object"),
        ("optimizer.settings", {}, "optimizer: "),
        ("optimizer.settings.name", "Evil", "optimizer: .*name must be one of"),
        ("optimizer.settings.name", 3, "optimizer: .*name must be one of"),
        ("optimizer.settings.learning_rate", -1, r"optimizer: learning_rate must be in \(0, inf\)"),
        ("optimizer.settings.learning_rate", "fast", "optimizer: learning_rate must be"),
        ("optimizer.settings.learning_rate", 10**39, "optimizer: |expected"),
        ("optimizer.settings.learning_rate", {"schedule": {}}, "optimizer: "),
        ("optimizer.settings.learning_rate", float("inf"), r"learning_rate must be in \(0, inf\)"),
        ("optimizer.settings.learning_rate", float("nan"), r"learning_rate must be in \(0, inf\)"),
        ("optimizer.settings.beta1", 1.0, r"optimizer: beta1 must be in \[0, 1\)"),
        ("optimizer.settings.evil", 1.0, "optimizer: .*evil"),
        ("history", {}, "history must be a list of names or null"),
        ("history", ["loss"], "there is an unexpected array 'history_1'"),
        ("history", [1, 2, 3, 4], "history must be a list of names or null"),
        ("history", ["loss", "loss", "val_loss", "seconds"], "history must be a list of names"),
        ("history", None, "there is an unexpected array 'history_epoch'"),
        ("more", 1, "the header must have"),
        ("written_by", DELETE, "the header must have"),
    ],
)
def test_headers(tmp_path, path, value, message):
    if path.endswith("learning_rate") and value == 10**39:
        # A number like any other for now: too large for float32, which `fit` says.
        net = load_bytes(with_header(GOOD, changed_header(path, value)))
        with pytest.raises(ValueError, match="out of range for float32"):
            net.fit(np.ones((2, 4)), np.ones((2, 3)))
        return
    refused(with_header(GOOD, changed_header(path, value)), message, tmp_path)


def paths_of(value, prefix=""):
    for key, inside in value.items():
        yield prefix + key
        if isinstance(inside, dict):
            yield from paths_of(inside, f"{prefix}{key}.")


@pytest.mark.parametrize("path", list(paths_of(header_of(GOOD))))
def test_anything_anywhere_in_the_header(path):
    """No other exception comes out, and what is accepted can be used."""
    for value in (DELETE, *WRONG):
        data = with_header(GOOD, changed_header(path, value))
        try:
            net = load_bytes(data)
        except ValueError as error:
            assert "cannot be read as a network" in str(error)  # noqa: PT017
            continue
        net(np.ones((2, 4)))
        assert as_bytes(load_bytes(as_bytes(net))) == as_bytes(net)


@pytest.mark.parametrize(
    ("kind", "path", "value", "message"),
    [
        ("MT19937", "state.pos", 625, "pos must hold integers from 0 to 624"),
        ("MT19937", "state.pos", -1, "pos must hold integers from 0 to 624"),
        ("MT19937", "state.key", [1] * 623, "key must be a list of 624 integers"),
        ("MT19937", "state.key", [0.5] * 624, "key must hold integers"),
        ("MT19937", "state.key", [2**32] * 624, "key must hold integers"),
        ("MT19937", "state.key", [0] * 624, "key must not be 0"),
        ("Philox", "buffer_pos", 5, "buffer_pos must hold integers from 0 to 4"),
        ("Philox", "buffer_pos", -1, "buffer_pos must hold integers from 0 to 4"),
        ("Philox", "buffer", [0] * 5, "buffer must be a list of 4 integers"),
        ("Philox", "state.counter", 7, "counter must be a list of 4 integers"),
        ("SFC64", "state.state", [0, 0, 0, 2**64], "state must hold integers"),
        ("PCG64DXSM", "state.inc", 0, "increment must be odd"),
    ],
)
def test_generators(kind, path, value, message):
    """NumPy itself takes a position outside of its arrays, and then reads there."""
    data = as_bytes(pynn.MLP([3, 2], seed=np.random.Generator(getattr(np.random, kind)(1))))
    header = header_of(data)
    inside = header["generator"]
    *keys, last = path.split(".")
    for key in keys:
        inside = inside[key]
    inside[last] = value
    refused(with_header(data, header), message)


def test_a_configuration_of_billions():
    """With every array named in the directory, but few bytes."""
    header = header_of(GOOD)
    header.update(optimizer=None, history=None)
    header["config"].update(layer_sizes=[10**6, 10**6], activation=[], bias=False)
    claim = b"{'descr': '<f4', 'fortran_order': False, 'shape': (1000000, 1000000), }\n"
    array = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(claim)) + claim
    parts = {"pynn.json": json.dumps(header), "noise.npy": PARTS["noise.npy"]}
    refused(zipped({**parts, "weights_0.npy": array}), "but its shape .* make 4000000000")


# ------------------------------------------------------------------- safetensors


@pytest.fixture
def tensors(tmp_path):
    """The file's bytes, its arrays and its header."""
    package = pytest.importorskip("safetensors.numpy")
    data = as_bytes(NET, ".safetensors", tmp_path)
    return data, package.load(data), header_of(GOOD)


def test_tensors_that_are_good(tensors):
    data, arrays, header = tensors
    assert_same_bits(load_bytes(data), NET)
    assert_same_bits(load_bytes(tensors_with_header(arrays, header)), NET)


def test_truncated_tensors(tensors):
    data = tensors[0]
    for length in range(0, len(data), 23):
        refused(data[:length], "cannot be read as a network")
    refused(data + b"\0", "the safetensors file is damaged")


def test_flipped_bits_of_tensors(tmp_path):
    pytest.importorskip("safetensors")
    data = as_bytes(SMALL, ".safetensors", tmp_path)
    for place in range(0, len(data), 3):
        changed = bytearray(data)
        changed[place] ^= 1 << (place % 8)
        refused(bytes(changed), "cannot be read as a network")


@pytest.mark.parametrize(
    ("name", "array", "message"),
    [
        ("weights_0", None, "there is no array 'weights_0'"),
        ("other", np.zeros(3, "f4"), "there is an unexpected array 'other'"),
        ("weights_0", WEIGHTS.T.copy(), r"has shape \(6, 4\), expected \(4, 6\)"),
        ("weights_0", WEIGHTS.astype("f8"), "has dtype '<f8', expected '<f4'"),
        ("weights_0", WEIGHTS.astype("f2"), "has dtype 'F16', expected '<f4'"),
        ("weights_0", WEIGHTS > 0, "has dtype 'BOOL', expected '<f4'"),
        ("history_0", np.zeros((2, 2)), "expected one dimension"),
    ],
)
def test_arrays_of_tensors(tensors, name, array, message):
    _, arrays, header = tensors
    arrays = {**arrays, name: array}
    refused(
        tensors_with_header({k: v for k, v in arrays.items() if v is not None}, header), message
    )


def test_other_safetensors_files(tensors):
    import safetensors.numpy

    _, arrays, header = tensors
    save = safetensors.numpy.save
    refused(save(arrays), "its metadata have no 'pynn': it was not written by MLP.save")
    refused(save(arrays, {"pynn": json.dumps(header)}), "does not begin with a checksum")
    refused(save(arrays, {"pynn": '{"crc32": "00000000", }'}), "the checksum is wrong")
    refused(tensors_with_header(arrays, "{"), "the header is not valid JSON")
    refused(tensors_with_header(arrays, {**header, "format": 2}), "it has version 2 of the format")
    wrong = {**header, "config": {**header["config"], "layer_sizes": [10**9, 10**9]}}
    refused(tensors_with_header(arrays, wrong), "cannot be read as a network")


def tensors_file(directory, data=b""):
    text = directory if isinstance(directory, bytes) else json.dumps(directory).encode()
    return struct.pack("<Q", len(text)) + text + data


CRC = {"pynn": '{"crc32": "00000000", "format": 1}'}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (struct.pack("<Q", 2**63) + b"{}", "announces a directory of 9223372036854775808 bytes"),
        (struct.pack("<Q", 10**6) + b"{}", "announces a directory of 1000000 bytes"),
        (tensors_file(b"{"), "is not valid JSON"),
        (tensors_file(b'{"\xff": 1}'), "is not valid JSON"),
        (tensors_file(b'{"a":' * 100_000), "nested too deeply"),
        (tensors_file({}), "have no 'pynn'"),
        (tensors_file({"__metadata__": []}), "directory is damaged"),
        (tensors_file({"__metadata__": {"pynn": 3}}), "directory is damaged"),
        (tensors_file({"__metadata__": CRC, "weights_0": 3}), "is damaged"),
        (
            tensors_file(
                {
                    "__metadata__": CRC,
                    "a": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 2**42]},
                }
            ),
            "is damaged",
        ),
        (
            tensors_file(
                {
                    "__metadata__": CRC,
                    "a": {"dtype": "F32", "shape": [2**63, 2**63], "data_offsets": [0, 4]},
                },
                b"abcd",
            ),
            "is damaged",
        ),
        (
            tensors_file(
                {
                    "__metadata__": CRC,
                    "a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]},
                    "b": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]},
                },
                b"abcd",
            ),
            "is damaged",
        ),
    ],
)
def test_directories_of_tensors(tmp_path, data, message):
    pytest.importorskip("safetensors")
    refused(data, message, tmp_path)
