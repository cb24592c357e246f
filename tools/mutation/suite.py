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
from dataclasses import dataclass, field
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
# A mistake's first tests come from so many files: importing the whole suite takes a while.
FIRST_FILES = 5
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
    (
        "csrc/kernels/rows.h",
        "tests/kernels/test_softmax_losses.py tests/nn/test_regularization.py "
        "tests/kernels/test_straddle.py tests/nn/test_gradients.py",
    ),
    ("csrc/kernels/softmax*", "tests/kernels/test_softmax_losses.py tests/nn/test_gradients.py"),
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
    (
        "csrc/nn/trainer*",
        "tests/nn/test_training.py tests/nn/test_not_finite.py tests/nn/test_regularization.py "
        "tests/nn/test_threads.py tests/nn/*.py",
    ),
    (
        "csrc/nn/layer.h",
        "tests/nn/test_training.py tests/nn/test_predictions.py tests/nn/test_gradients.py",
    ),
    ("csrc/threads/thread_supply*", "tests/reliability/test_thread_shortage.py"),
    (
        "csrc/bindings/access*",
        "tests/reliability/test_states.py tests/nn/test_threads.py tests/nn/test_interrupts.py",
    ),
    ("csrc/bindings/forward_call.h", "tests/kernels/test_gemm_linear.py tests/nn/test_predict.py"),
    ("csrc/nn/network*", "tests/nn/test_predict*.py tests/nn/test_gradients.py tests/nn/*.py"),
    ("csrc/threads/*", "tests/nn/test_threads.py tests/threads/*.py"),
    ("csrc/nn/*", "tests/nn/*.py"),
    (
        "csrc/bindings/products.cpp",
        "tests/kernels/test_matmul.py tests/kernels/test_gemm_linear.py",
    ),
    (
        "csrc/bindings/network.cpp",
        "tests/nn/test_gradients.py tests/nn/test_training.py tests/nn/test_predictions.py "
        "tests/nn/test_regularization.py tests/nn/*.py",
    ),
    ("csrc/bindings/layers.cpp", "tests/kernels/test_gemm_linear.py"),
    ("csrc/bindings/runtime.cpp", "tests/test_runtime.py tests/nn/test_threads.py"),
    ("csrc/bindings/*", "tests/kernels/test_builtins.py tests/kernels/test_operands.py"),
    ("csrc/*", "tests/kernels/*.py tests/nn/*.py"),
)
# The order of the folders. Tests of texts and pictures come last.
FOLDERS = ("tests/nn", "tests/kernels", "tests/sklearn", "tests/files", "tests/threads")
LAST = ("tests/docs", "tests/plot", "tests/codebase", "tests/test_")


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
    # By test file: its digest when it was collected.
    collected: dict[str, str] = field(default_factory=dict)
    # Tests that are newer than the map: they may run any line.
    newer: list[int] = field(default_factory=list)

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
        newer = set(self.newer)
        if sha == digest(checkout / mistake.file):
            first, last = mistake.lines
            inside = {test for line in range(first, last + 1) for test in lines.get(line, [])}
            if inside:
                return inside | newer
            if not any(line in lines for line in range(first, last + 1)):
                return set()
        return {test for tests in lines.values() for test in tests} | newer

    def order(self, mistake: Mistake, checkout: Path) -> list[list[str]]:
        """Return the tests that may see a mistake, in stages.

        The likeliest files come first, then one test of each function of the others, then the
        rest. All files of a stage are imported at once.
        """
        if mistake.file.endswith(".py"):
            words = Path(mistake.file).with_suffix("").parts[1:]
            likely = [word.strip("_") for word in words if word != "__init__"]
            covering = self.covering(mistake, checkout)
            # Where the lines are mapped, the others do not run them.
            reach = covering or set(range(len(self.tests)))
            files = list(self._file_order(reach, likely))
        else:
            patterns = " ".join(
                tests for files, tests in TABLE if fnmatch.fnmatch(mistake.file, files)
            ).split()
            likely = [Path(patterns[0]).stem.strip("*").removeprefix("test_")]
            names = list(dict.fromkeys(test.split("::")[0] for test in self.tests))
            chosen = [name for p in patterns for name in names if fnmatch.fnmatch(name, p)]
            files = list(dict.fromkeys(chosen))
            reach = set(range(len(self.tests)))
        first = set(files[:FIRST_FILES])
        near = {i for i in reach if self.tests[i].split("::")[0] in first}
        one_each = self._representatives(reach - near, likely)
        stages = [
            [*self._representatives(near, likely), *self._by_file(near, likely)],
            one_each,
            self._by_file(reach - near - set(one_each), likely),
        ]
        return [[self.tests[i] for i in dict.fromkeys(stage)] for stage in stages]

    def _file_order(self, tests: Iterable[int], likely: list[str]) -> dict[str, tuple[Any, ...]]:
        total: defaultdict[str, float] = defaultdict(float)
        for i in tests:
            total[self.tests[i].split("::")[0]] += self.seconds[i]
        folders = [*FOLDERS, "", *LAST]
        rank = {
            file: (
                not any(word and word in file for word in likely),
                next((folders.index(f) for f in folders if f and file.startswith(f)), len(FOLDERS)),
                seconds,
            )
            for file, seconds in total.items()
        }
        return dict(sorted(rank.items(), key=lambda item: item[1]))

    def _representatives(self, tests: set[int], likely: list[str]) -> list[int]:
        quickest: dict[str, int] = {}
        for i in sorted(tests, key=lambda i: self.seconds[i]):
            quickest.setdefault(self.tests[i].split("[")[0], i)
        return self._by_file(set(quickest.values()), likely)

    def _by_file(self, tests: set[int], likely: list[str]) -> list[int]:
        files = self._file_order(tests, likely)
        return sorted(tests, key=lambda i: (files[self.tests[i].split("::")[0]], i))

    def total(self, tests: list[str]) -> float:
        """Return how many seconds the tests take."""
        seconds = dict(zip(self.tests, self.seconds, strict=True))
        return sum(seconds[test] for test in tests)

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

    def update(self, tree: Path) -> None:
        """Add the tests of files that are new or have changed since they were collected."""
        changed = {
            path.relative_to(tree).as_posix(): digest(path)
            for path in sorted((tree / "tests").rglob("test_*.py"))
        }
        changed = {
            file: sha
            for file, sha in changed.items()
            if file not in LEFT_OUT and self.collected.get(file) != sha
        }
        if not changed:
            return
        known = set(self.tests)
        found = [test for test in collect(tree, list(changed)) if test not in known]
        self.newer += range(len(self.tests), len(self.tests) + len(found))
        self.tests += found
        self.seconds += [1.0] * len(found)
        self.collected |= changed

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
    files = [file for file in files if (tree / file).is_file()]
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


def _queued(pid: int) -> float:
    """Return the seconds that a process has waited for a processor, as far as Linux says so."""
    try:
        return int(Path(f"/proc/{pid}/schedstat").read_text(encoding="ascii").split()[1]) / 1e9
    except (OSError, ValueError, IndexError):
        return 0.0


def _children(session: int) -> list[int]:
    """Return the other processes of a session."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        except OSError:  # it has ended
            continue
        if int(fields[3]) == session != int(path.parent.name):
            found.append(int(path.parent.name))
    return found


def _watch(process: subprocess.Popen[bytes], log: Path, limits: Map) -> Run:
    begun, limit, count, since, queued = "", 300.0, 0, time.monotonic(), 0.0
    with open(log, encoding="utf-8") as lines:
        while True:
            ended = process.poll() is not None
            for line in lines:
                entry = json.loads(line)
                since, queued = time.monotonic(), _queued(process.pid)
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
                # What the processes waited for a busy processor does not count.
                waits = [_queued(process.pid) - queued, *map(_queued, _children(process.pid))]
                if time.monotonic() - since - sum(waits) > limit:
                    return Run("timeout", begun, count)
                time.sleep(1)
            time.sleep(0.1)
    if process.returncode in {0, 5}:  # 5: no test was collected
        return Run("passed", "", count)
    if begun or process.returncode < 0:
        return Run("crash", begun, count)
    return Run("failed", "collection", count)


def collect(tree: Path, files: list[str]) -> list[str]:
    """Return the identifiers of the tests of these files."""
    done = subprocess.run(
        [sys.executable, *PYTEST, "--collect-only", *files],
        cwd=tree,
        env=environment(tree, tree.parent / "collect.log", None),
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    return [line for line in done.stdout.splitlines() if line.startswith(tuple(files))]


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
    collected = {file: digest(tree / file) for file in {test.split("::")[0] for test in tests}}
    return Map(tests, list(seconds.values()), files, collected)
