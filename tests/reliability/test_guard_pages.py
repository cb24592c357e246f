"""Kernels and networks read and write their operands only. A protected page follows every array in
one run, and precedes it in another."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from sanitizers import PATIENCE

import pynn

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux only")

PROGRAM = Path(__file__).with_name("guarded_calls.py")
# Every length where reading too far is likely; PYNN_GUARD_PAGES=all: everywhere (minutes).
STEPS = {
    ("end", "kernels"): 1,
    ("begin", "kernels"): 7,
    ("end", "training"): 7,
    ("begin", "training"): 14,
}
everywhere = os.environ.get("PYNN_GUARD_PAGES") == "all"
edges = pytest.mark.parametrize("edge", ["end", "begin"])


def run(isa, *arguments):
    """The program's process, ended; a segmentation fault is its, and names the line in stderr."""
    return subprocess.run(
        [sys.executable, "-W", "error", "-X", "faulthandler", PROGRAM, *arguments],
        cwd=PROGRAM.parent,
        env={**os.environ, "PYNN_ISA": isa},
        capture_output=True,
        text=True,
        timeout=600 * PATIENCE,
        check=False,
    )


@pytest.mark.parametrize("isa", pynn.show_config("dict")["isas_usable"])
@pytest.mark.parametrize("what", ["kernels", "training"])
@edges
def test_nothing_is_read_or_written_beyond_an_array(edge, what, isa):
    step = 1 if everywhere else STEPS[edge, what]
    done = run(isa, edge, what, str(step))
    assert done.returncode == 0, done.stderr
    used, arrays = done.stdout.split()
    assert used == isa
    assert int(arrays) > 10_000, "NumPy does not take its memory from the guard"


@edges
def test_the_guard_sees_a_read_beyond_its_edge(edge):
    done = run("", edge, "too far")
    assert done.returncode == -signal.SIGSEGV
    assert "in too_far" in done.stderr


@edges
def test_the_guard_sees_a_write_beyond_the_other_edge(edge):
    done = run("", edge, "over the edge")
    assert done.returncode == 1
    assert "beyond an array of 64 bytes" in done.stderr
