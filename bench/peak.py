"""Measure the peak of one core: fused multiply-adds in float32, with each instruction set.

    python bench/peak.py

`peak.c` is compiled with the system's compiler, or the one named in CC. `compare.py --peak measure`
takes the median of the instruction set that pynn uses.
"""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from machine import cpu_model

SOURCE = Path(__file__).with_name("peak.c")


class PeakError(Exception):
    """The peak cannot be measured here."""


def compiler() -> list[str]:
    """Give the command that compiles C."""
    command = shlex.split(os.environ.get("CC", "cc"))
    if not command or not shutil.which(command[0]):
        raise PeakError(
            f"no C compiler ({shlex.join(command) or 'CC is empty'}): install one, or name it in CC"
        )
    return command


def measure() -> dict[str, list[float]]:
    """Measure on the cores that this process may use.

    Returns
    -------
    dict
        Instruction set to GFLOP/s of each trial; empty on a processor that `peak.c` does not know.

    Raises
    ------
    PeakError
        Where there is no compiler, or it fails.
    """
    with tempfile.TemporaryDirectory() as folder:
        program = str(Path(folder, "peak"))
        command = [*compiler(), "-std=c11", "-O2", str(SOURCE), "-o", program]
        built = subprocess.run(command, capture_output=True, text=True, check=False)
        if built.returncode:
            raise PeakError(f"{shlex.join(command)} failed:\n{built.stderr}")
        lines = subprocess.run([program], capture_output=True, text=True, check=True).stdout
    trials: dict[str, list[float]] = {}
    for line in lines.splitlines():
        name, speed = line.split()
        trials.setdefault(name, []).append(float(speed))
    return trials


def measured(isa: str) -> float:
    """Measure the median of an instruction set of pynn's, in GFLOP/s.

    Raises
    ------
    PeakError
        Where it cannot be measured.
    """
    trials = measure()
    if isa not in trials:
        raise PeakError(f"no peak is measured for {isa}: only for {', '.join(trials) or 'none'}")
    return statistics.median(trials[isa])


def main() -> int:
    """Print the peaks."""
    argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0]).parse_args()
    try:
        trials = measure()
    except PeakError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{cpu_model()}: peak of one core, float32, GFLOP/s")
    for name, speeds in trials.items():
        print(
            f"{name:>8}: median {statistics.median(speeds):.1f}, "
            f"best of {len(speeds)} {max(speeds):.1f}"
        )
    return 0 if trials else 1


if __name__ == "__main__":
    sys.exit(main())
