"""Time pynn beside NumPy, scikit-learn, PyTorch, JAX, ONNX Runtime and BLAS libraries, in one run.

    python bench/compare.py --threads 1,2 --json compare.json --plot compare.png
    python bench/compare.py --threads 1,2 --only layers,layers_prediction --peak measure

The second times networks of layers (`nets.py`), with PyTorch eager and compiled. Compiling takes
seconds for each network; ``--quick`` leaves it out.

Thread pools read the environment when a library is loaded, so a separate process measures
each thread count. Its environment and cores are set before anything is imported. Libraries
that are not installed are left out. Every round times every library once, in turn; the ratios are
taken round by round. Before it is timed, each is checked to compute the same as pynn.

The environment also holds a library to an instruction set: `PYNN_ISA=avx2` does it for pynn,
`OPENBLAS_CORETYPE=Haswell` for NumPy's OpenBLAS. The lines below the machine's say what is in use.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import machine
from cases import NET_NAMES
from nets import NETS
from report import print_machine

SECTIONS = (
    "training",
    "variants",
    "prediction",
    "layers",
    "layers_prediction",
    "matmul",
    "activations",
)
PEERS = (
    "numpy",
    "sklearn",
    "torch",
    "torch_compile",
    "jax",
    "onnxruntime",
    "onednn",
    "openblas",
)
ALL_NETS = (*NET_NAMES, *(net.name for net in NETS))
THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NPROC",  # JAX's pool
)


def listed(allowed: Sequence[str]) -> Any:
    """Give the type of a comma-separated option."""

    def parse(text: str) -> list[str]:
        items = [item for item in text.split(",") if item]
        unknown = [item for item in items if item not in allowed]
        if unknown or not items:
            raise argparse.ArgumentTypeError(f"{text!r} is not a list of {', '.join(allowed)}")
        return items

    return parse


def thread_counts(text: str) -> list[int]:
    """Read a comma-separated list of positive numbers."""
    try:
        counts = [int(item) for item in text.split(",")]
    except ValueError:
        counts = []
    if not counts or min(counts) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of thread counts")
    return counts


def peak_of_a_core(text: str) -> float | str:
    """Read a positive number, or the word "measure"."""
    if text == "measure":
        return text
    try:
        peak = float(text)
    except ValueError:
        peak = math.nan
    if not 0 < peak < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is neither a number nor 'measure'")
    return peak


def parser() -> argparse.ArgumentParser:
    """The options."""
    lines = (__doc__ or "").split("\n")
    options = argparse.ArgumentParser(description=lines[0])
    add = options.add_argument
    add("--threads", type=thread_counts, default=[1], help="thread counts, such as 1,2 (1)")
    add("--only", type=listed(SECTIONS), default=list(SECTIONS), help="of " + ", ".join(SECTIONS))
    add("--nets", type=listed(ALL_NETS), help="only these networks, such as 4-16-3,rbf")
    add("--peers", type=listed(PEERS), default=list(PEERS), help="of " + ", ".join(PEERS))
    add("--rounds", type=int, default=15, help="rounds at most (%(default)s)")
    add(
        "--seconds",
        type=float,
        default=600,
        help="time budget of the whole run; every case gets five rounds all the same (%(default)s)",
    )
    add(
        "--peak",
        type=peak_of_a_core,
        metavar="GFLOPS",
        help="peak of one core, or 'measure' (see peak.py): adds pynn's share of it",
    )
    add("--json", metavar="PATH", help="write all figures")
    add("--plot", metavar="PATH", help="draw the speeds relative to pynn")
    add("--quick", action="store_true", help="a few small cases, three rounds: does it run?")
    add("--worker", type=int, help=argparse.SUPPRESS)
    return options


def environment(threads: int) -> dict[str, str]:
    """Give the environment in which every library uses `threads` threads."""
    found = {**os.environ, **dict.fromkeys(THREAD_VARIABLES, str(threads))}
    if threads == 1:
        flags = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
        found["XLA_FLAGS"] = f"{found.get('XLA_FLAGS', '')} {flags}".strip()
    return found


def work(options: dict[str, Any], threads: int) -> int:
    """Measure in this process, whose environment `environment` made."""
    cores = machine.cores()[:threads]
    if len(cores) == threads:
        os.sched_setaffinity(0, cores)
    else:
        print(f"not bound to {threads} cores: the system allows {len(cores)} to this process")
    import worker

    Path(options["json"]).write_text(json.dumps(worker.run(options, threads)))
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Run a process per thread count, then write the files that the options name."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    options = vars(parser().parse_args(arguments))
    if options["quick"]:
        options.update(rounds=3, seconds=min(options["seconds"], 20))
        options["peers"] = [name for name in options["peers"] if name != "torch_compile"]
    if options["worker"]:
        options["seconds"] /= len(options["threads"])
        return work(options, options["worker"])

    description = machine.describe()
    print_machine(description)
    sys.stdout.flush()  # before the workers write
    runs = []
    with tempfile.TemporaryDirectory() as folder:
        for threads in options["threads"]:
            result = Path(folder, f"{threads}.json")
            command = [sys.executable, __file__, *arguments]
            command += ["--worker", str(threads), "--json", str(result)]
            done = subprocess.run(command, env=environment(threads), check=False)
            if done.returncode:
                return done.returncode
            runs.append(json.loads(result.read_text()))
    results = {"machine": description, "options": options, "runs": runs}
    if options["json"]:
        Path(options["json"]).write_text(json.dumps(results, indent=1) + "\n")
        print(f"figures: {options['json']}")
    if options["plot"]:
        import plot

        plot.save(options["plot"], results)
        print(f"plot: {options['plot']}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
