"""Which tests run which lines, in which order to try them, and how to run them.

The map of Python lines comes from one run of the suite under coverage.py with a context for each
test; what runs in a process of its own is not in it. C++ files have a table.
"""

from __future__ import annotations

import contextlib
import fnmatch
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mutation.mistake import Mistake
from mutation.plugin import VARIABLE

TOOLS = Path(__file__).resolve().parents[1]

# They compile C++ for other processors, emulate one, or run the gallery: minutes each.
LEFT_OUT = (
    "tests/docs/test_gallery.py",
    "tests/docs/test_gallery_1_to_6.py",
    "tests/docs/test_gallery_7_to_12.py",
    "tests/codebase/test_one_definition.py",
    "tests/codebase/test_mutate.py",
    "tests/kernels/test_cross_compiled.py",
    "tests/kernels/test_instruction_sets.py",
    "tests/reliability/test_aarch64.py",
    "tests/reliability/test_old_processors.py",
)
# C++ files and the tests that see most of them, likeliest first; then the rest of the suite.
TABLE = (
    ("csrc/kernels/gemm*", "tests/kernels/test_bits*.py tests/kernels/test_gemm_linear.py"),
    ("csrc/kernels/gemv.h", "tests/kernels/test_bits*.py tests/kernels/test_matmul.py"),
    ("csrc/kernels/outer.h", "tests/kernels/test_bits*.py tests/kernels/test_matmul.py"),
    ("csrc/kernels/gelu.h", "tests/kernels/test_gelu.py tests/kernels/test_new_activations.py"),
    ("csrc/kernels/math.h", "tests/kernels/test_*activations.py tests/kernels/test_bits.py"),
    (
        "csrc/kernels/double_double.h",
        "tests/kernels/test_gelu.py tests/kernels/test_*activations.py",
    ),
    ("csrc/kernels/*losses.h", "tests/kernels/test_*loss*.py tests/nn/test_gradients.py"),
    ("csrc/kernels/optimizers.h", "tests/nn/test_optimizers.py tests/nn/test_training.py"),
    ("csrc/kernels/dropout.h", "tests/nn/test_regularization.py tests/nn/test_training_mode.py"),
    ("csrc/kernels/sparse.h", "tests/nn/test_sparse.py tests/sklearn/test_sparse_samples.py"),
    ("csrc/kernels/*", "tests/kernels/*.py"),
    ("csrc/dispatch/*", "tests/test_runtime.py tests/kernels/test_bits.py"),
    ("csrc/*/activation*", "tests/kernels/test_*activations.py tests/kernels/test_builtins.py"),
    ("csrc/threads/barrier*", "tests/nn/test_threads.py"),
    ("csrc/nn/staging*", "tests/nn/test_column_major.py tests/nn/test_tables.py"),
    ("csrc/nn/convert.h", "tests/nn/test_predictions.py tests/nn/test_column_major.py"),
    ("csrc/threads/oversubscription*", "tests/threads/test_oversubscription.py"),
    ("csrc/nn/layers/dense*", "tests/nn/test_training.py tests/nn/test_regularization.py"),
    ("csrc/nn/layers/dropout*", "tests/nn/test_regularization.py tests/nn/test_training_mode.py"),
    ("csrc/threads/fp_environment.h", "tests/reliability/test_neighbors.py"),
    ("csrc/*/loss*", "tests/nn/test_gradients.py tests/kernels/test_*loss*.py"),
    ("csrc/*/optimizer*", "tests/nn/test_optimizers.py tests/nn/test_schedules.py"),
    ("csrc/threads/thread_count_tuner*", "tests/threads/test_thread_count_tuner.py"),
    ("csrc/threads/team*", "tests/nn/test_threads.py tests/reliability/test_callers.py"),
    ("csrc/nn/gemm*", "tests/kernels/test_gemm_linear.py tests/kernels/test_matmul.py"),
    ("csrc/*/[dm]at*", "tests/nn/test_fit_sources.py tests/nn/test_column_major.py"),
    ("csrc/nn/sparse*", "tests/nn/test_sparse.py tests/sklearn/test_sparse_samples.py"),
    ("csrc/nn/trainer*", "tests/nn/test_training.py tests/nn/test_not_finite.py tests/nn/*.py"),
    ("csrc/nn/network*", "tests/nn/test_predict*.py tests/nn/test_gradients.py tests/nn/*.py"),
    ("csrc/threads/*", "tests/nn/test_threads.py tests/threads/*.py"),
    ("csrc/nn/*", "tests/nn/*.py"),
    (
        "csrc/bindings/products.cpp",
        "tests/kernels/test_matmul.py tests/kernels/test_gemm_linear.py",
    ),
    ("csrc/bindings/network.cpp", "tests/nn/*.py"),
    ("csrc/bindings/layers.cpp", "tests/kernels/test_gemm_linear.py"),
    ("csrc/bindings/runtime.cpp", "tests/test_runtime.py tests/nn/test_threads.py"),
    ("csrc/bindings/*", "tests/kernels/test_builtins.py tests/kernels/test_operands.py"),
    ("csrc/*", "tests/kernels/*.py tests/nn/*.py"),
)


def digest(path: Path) -> str:
    """Return a short name of a file's content."""
    return hashlib.sha1(path.read_bytes()).hexdigest()[:16]


@dataclass
class Map:
    """The suite's tests, how long each takes, and which run which line of which file."""

    tests: list[str]
    seconds: list[float]
    # By file: its digest when the lines were counted, and each line's tests as places in `tests`.
    files: dict[str, tuple[str, dict[int, list[int]]]]

    def save(self, path: Path) -> None:
        """Write it as JSON."""
        path.write_text(json.dumps(vars(self)), encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> Map:
        """Read what `save` wrote."""
        found = json.loads(path.read_text(encoding="utf-8"))
        found["files"] = {
            file: (sha, {int(line): tests for line, tests in lines.items()})
            for file, (sha, lines) in found["files"].items()
        }
        return cls(**found)

    def covering(self, mistake: Mistake, checkout: Path) -> set[int]:
        """Return the tests that run the mistake's lines; of a file changed since, all of them."""
        sha, lines = self.files.get(mistake.file, ("", {}))
        if sha == digest(checkout / mistake.file):
            first, last = mistake.lines
            inside = {test for line in range(first, last + 1) for test in lines.get(line, [])}
            if inside:
                return inside
            if not any(line in lines for line in range(first, last + 1)):
                return set()
        return {test for tests in lines.values() for test in tests}

    def order(self, mistake: Mistake, checkout: Path) -> tuple[list[str], list[str]]:
        """Return the tests to run first (one of each function that fits), and then the others."""
        if mistake.file.endswith(".py"):
            covering = self.covering(mistake, checkout)
            words = [word for word in Path(mistake.file).with_suffix("").parts[2:] if word]
            likely = [word.strip("_") for word in words if word != "__init__"]
        else:
            covering, likely = set(), []
            patterns = " ".join(
                tests for files, tests in TABLE if fnmatch.fnmatch(mistake.file, files)
            ).split()
            names = list(dict.fromkeys(test.split("::")[0] for test in self.tests))
            chosen = [name for p in patterns for name in names if fnmatch.fnmatch(name, p)]
            files = {name: place for place, name in reversed(list(enumerate(chosen)))}
            likely = [Path(patterns[0]).stem.strip("*").removeprefix("test_")]
            if files:
                first = dict(sorted(files.items(), key=lambda item: item[1])[:4])
                covering = {i for i, test in enumerate(self.tests) if test.split("::")[0] in first}
        one_each = self._representatives(covering, likely)
        rest = self._by_file(covering - set(one_each), likely)
        others = set(range(len(self.tests))) - covering
        if mistake.file.endswith(".py") and covering:
            others = set()  # the map is exact, but for processes of their own
        other_ones = self._representatives(others, likely)
        rest += [*other_ones, *self._by_file(others - set(other_ones), likely)]
        return [self.tests[i] for i in one_each], [self.tests[i] for i in rest]

    def _file_order(self, tests: Iterable[int], likely: list[str]) -> dict[str, tuple[bool, float]]:
        total: defaultdict[str, float] = defaultdict(float)
        for i in tests:
            total[self.tests[i].split("::")[0]] += self.seconds[i]
        return {
            file: (not any(word and word in file for word in likely), seconds)
            for file, seconds in total.items()
        }

    def _representatives(self, tests: set[int], likely: list[str]) -> list[int]:
        quickest: dict[str, int] = {}
        for i in sorted(tests, key=lambda i: self.seconds[i]):
            quickest.setdefault(self.tests[i].split("[")[0], i)
        return self._by_file(set(quickest.values()), likely)

    def _by_file(self, tests: set[int], likely: list[str]) -> list[int]:
        files = self._file_order(tests, likely)
        return sorted(tests, key=lambda i: (files[self.tests[i].split("::")[0]], i))

    def within(self, tests: list[str], budget: float) -> list[str]:
        """Return the tests, from the first on, that take no longer than the budget."""
        seconds = dict(zip(self.tests, self.seconds, strict=True))
        kept = []
        for test in tests:
            budget -= seconds[test]
            if budget < 0:
                break
            kept.append(test)
        return kept

    def limit(self, test: str) -> float:
        """Return after how many seconds a test counts as hanging."""
        try:
            return 90 + 20 * self.seconds[self.tests.index(test)]
        except ValueError:
            return 90


@dataclass
class Run:
    """How a run of tests ended: `by` names the test that failed, hung or ended the process."""

    outcome: str  # passed, failed, timeout, crash
    by: str = ""
    count: int = 0


def environment(tree: Path, log: Path, tests: list[str] | None) -> dict[str, str]:
    """Return the variables for a process that imports the package of `tree` and runs the tests."""
    settings = log.with_suffix(".json")
    settings.write_text(json.dumps({"log": str(log), "tests": tests}), encoding="utf-8")
    kept = {k: v for k, v in os.environ.items() if k not in {"PYNN_ISA", "PYTEST_ADDOPTS"}}
    paths = [str(tree), str(TOOLS)]
    return {**kept, "PYTHONPATH": os.pathsep.join(paths), VARIABLE: str(settings)}


PYTEST = ("-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "mutation.plugin")


def run(tree: Path, tests: list[str], limits: Map, log: Path) -> Run:
    """Run the tests in their order until one fails, hangs or ends the process."""
    if not tests:
        return Run("passed")
    log.unlink(missing_ok=True)
    log.touch()
    files = list(dict.fromkeys(test.split("::")[0] for test in tests))
    command = [sys.executable, *PYTEST, "-x", "--no-header", "--tb=no", *files]
    with open(log.with_suffix(".out"), "w", encoding="utf-8") as output:
        process = subprocess.Popen(
            command,
            cwd=tree,
            env=environment(tree, log, tests),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        return _watch(process, log, limits)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _watch(process: subprocess.Popen[bytes], log: Path, limits: Map) -> Run:
    begun, limit, count, since = "", 300.0, 0, time.monotonic()
    with open(log, encoding="utf-8") as lines:
        while True:
            ended = process.poll() is not None
            for line in lines:
                entry = json.loads(line)
                since = time.monotonic()
                if "begins" in entry:
                    begun, limit = entry["begins"], limits.limit(entry["begins"])
                    count += 1
                elif entry["outcome"] == "failed":
                    return Run("failed", entry["ends"], count)
                elif entry["when"] == "teardown":
                    begun, limit = "", 300.0
            if ended:
                break
            if time.monotonic() - since > limit:
                return Run("timeout", begun, count)
            time.sleep(0.1)
    if process.returncode in {0, 5}:  # 5: no test was collected
        return Run("passed", "", count)
    if begun or process.returncode < 0:
        return Run("crash", begun, count)
    return Run("failed", "collection", count)


def make_map(tree: Path, work: Path) -> Map:
    """Run the suite once under coverage.py and note which test runs which line."""
    from coverage import CoverageData

    log, data_file = work / "map.log", work / "coverage.data"
    for file in (log, data_file):
        file.unlink(missing_ok=True)
    coverage = ["-m", "coverage", "run", f"--rcfile={os.devnull}", "--source=pynn"]
    left_out = [f"--ignore={test}" for test in LEFT_OUT]
    subprocess.run(
        [sys.executable, *coverage, f"--data-file={data_file}", *PYTEST, *left_out],
        cwd=tree,
        env=environment(tree, log, None),
        check=False,  # some tests fail while they are traced
    )
    return read_map(tree, log, data_file, CoverageData)


def read_map(tree: Path, log: Path, data_file: Path, reader: Any) -> Map:
    """Return the map of a run's log and its data."""
    seconds: defaultdict[str, float] = defaultdict(float)
    for line in log.read_text(encoding="utf-8").splitlines():
        entry = json.loads(line)
        if "ends" in entry and entry["when"] != "collect":
            seconds[entry["ends"]] += entry["seconds"]
    tests = list(seconds)
    place = {test: i for i, test in enumerate(tests)}
    data = reader(str(data_file))
    data.read()
    files = {}
    for measured in data.measured_files():
        path = Path(measured)
        name = path.as_posix()[path.as_posix().rindex("/pynn/") + 1 :]
        lines = {
            line: sorted(place[context] for context in contexts if context in place)
            for line, contexts in data.contexts_by_lineno(measured).items()
        }
        files[name] = (digest(tree / name), lines)
    return Map(tests, list(seconds.values()), files)
