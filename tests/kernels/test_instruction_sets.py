"""Each usable instruction set runs here, in a separate process: the fused ones agree bit for bit,
the baseline to rounding."""

import itertools
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import reference
from sanitizers import PATIENCE

import pynn

CONFIG = pynn.show_config("dict")
USABLE = CONFIG["isas_usable"]
KNOWN = ["baseline", "avx2", "avx512", "neon"]
PROGRAM = Path(__file__).with_name("every_kernel.py")


def run(isa, folder, *command):
    """Run Python in `folder`, which shadows no package, with PYNN_ISA set or (None) not set."""
    environment = {name: value for name, value in os.environ.items() if name != "PYNN_ISA"}
    if isa is not None:
        environment["PYNN_ISA"] = isa
    return subprocess.run(
        [sys.executable, "-W", "error", *command],
        check=False,
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120 * PATIENCE,
    )


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    """The results of every kernel by instruction set, fused ones apart from the others."""
    folder = tmp_path_factory.mktemp("instruction_sets")
    out = {"True": {}, "False": {}}
    for isa in USABLE:
        process = run(isa, folder, PROGRAM, f"{isa}.npz")
        assert process.returncode == 0, process.stderr
        active, fused = process.stdout.split()
        assert active == isa
        with np.load(folder / f"{isa}.npz") as file:
            out[fused][isa] = dict(file)
    return out


def test_config_names_the_sets():
    assert set(USABLE) <= set(CONFIG["isas_built"]) <= set(KNOWN)
    assert CONFIG["isa"] == (os.environ.get("PYNN_ISA") or USABLE[-1])
    assert CONFIG["isa"] == "baseline" or CONFIG["fused_multiply_add"]


def test_fused_sets_agree_bit_for_bit(sets):
    assert {"avx2", "avx512", "neon"}.intersection(USABLE) <= sets["True"].keys()
    for first, second in itertools.pairwise(sets["True"].values()):
        assert first.keys() == second.keys()
        for name, expected in first.items():
            np.testing.assert_array_equal(second[name], expected, err_msg=name)
            reference.assert_same_bits(second[name], expected)


def test_the_others_agree_within_rounding(sets):
    for fused, other in itertools.product(sets["True"].values(), sets["False"].values()):
        assert fused.keys() == other.keys()
        for name, expected in fused.items():
            bound = 50 * np.finfo(name.split()[-1]).eps * np.max(abs(expected))
            np.testing.assert_allclose(other[name], expected, rtol=0, atol=bound, err_msg=name)


@pytest.mark.parametrize("isa", [None, ""])
def test_the_widest_is_the_default(isa, tmp_path):
    program = "import pynn; print(pynn.show_config('dict')['isa'])"
    process = run(isa, tmp_path, "-c", program)
    assert process.stdout.split() == [USABLE[-1]], process.stderr


@pytest.mark.parametrize(
    "isa", ["sse9", "AVX2", " baseline", *(isa for isa in KNOWN if isa not in USABLE)]
)
def test_an_impossible_set_is_an_error(isa, tmp_path):
    process = run(isa, tmp_path, "-c", "import pynn")
    assert process.returncode == 1
    last = process.stderr.strip().splitlines()[-1]
    assert last.startswith("ImportError:")
    assert f"PYNN_ISA='{isa}'" in last
    assert last.endswith("possible are: " + ", ".join(USABLE))
