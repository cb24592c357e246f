"""The reader turns thousands of damaged files into a network or a ValueError.

`fuzz/load.py` does the same guided by coverage; here its inputs are replayed and mutated blindly.
"""

import importlib.util
import pathlib
import random
import sys

import pytest

FOLDER = pathlib.Path(__file__).parents[2] / "fuzz"
if not (FOLDER / "targets.py").exists():
    pytest.skip("fuzz/ is not here", allow_module_level=True)
spec = importlib.util.spec_from_file_location("targets", FOLDER / "targets.py")
targets = importlib.util.module_from_spec(spec)
spec.loader.exec_module(targets)
CORPUS = sorted(targets.CORPUS.iterdir())


def needs_safetensors(data):
    return data[:1] == b"s" or data[9:10] == b"{"


@pytest.mark.parametrize("path", CORPUS, ids=lambda path: path.name)
def test_the_corpus(path):
    data = path.read_bytes()
    if needs_safetensors(data):
        pytest.importorskip("safetensors")
    good = not path.name.startswith("found-") or path.name == "found-infinite-best"
    assert targets.run(data) is good


def test_seeds_are_good():
    pytest.importorskip("safetensors")
    for name, data in targets.seeds().items():
        assert targets.run(data), name


@pytest.mark.parametrize("kind", ["file-npz", "header-npz", "array", "layers", "tensors"])
def test_mutations(kind):
    if kind == "tensors":
        pytest.importorskip("safetensors")
    seeds = [
        data
        for path in CORPUS
        if not path.name.startswith("found-")  # most of these are refused
        if needs_safetensors(data := path.read_bytes()) == (kind == "tensors")
        and (kind == "tensors" or path.name.startswith(kind))
    ]
    rng = random.Random(kind)
    accepted = 0
    for number in range(400):
        data = targets.mutated(rng.choice(seeds), rng)
        if needs_safetensors(data) and "safetensors" not in sys.modules:
            continue
        try:
            accepted += targets.run(data)
        except BaseException as error:
            raise AssertionError(f"mutation {number}: {data!r:.2000}") from error
    # Were none or all accepted, the mutations would be too wild or too tame.
    assert 4 < accepted < 280
