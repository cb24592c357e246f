"""Put plausible mistakes into the code, one at a time, and say which the tests do not see.

    python tools/mutate.py --seed 1 --count 100 --cpp 50       # hours: 50 in Python, 50 in C++
    python tools/mutate.py --seed 1 --count 100 --cpp 50 --quick      # the likeliest test files
    python tools/mutate.py --seed 1 --count 100 --cpp 50 --again      # what survived, once more
    python tools/mutate.py --file pynn/losses.py --count 20 --cpp 0
    python tools/mutate.py --seed 1 --count 100 --cpp 50 --list       # print them, run nothing

The checkout stays as it is: a copy is built and broken below `--work` (build/mutate), for one
instruction set. The first run also runs the suite under coverage.py, which maps lines to tests;
`--map` repeats that. Each mistake is one line of JSON in `--results`, and the same command
resumes a run. A mistake is caught if a test fails twice with it and passes without it, or if the
tests hang or crash. Mistakes that do not compile, or compile to the same code, give way to the
next ones of the sample.

Needs a C++ compiler, CMake, pybind11 and the `test` extra; uses Ninja and ccache if they are
there.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import shutil
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from mutation import cpp_rules, python_rules, suite
from mutation.mistake import Mistake, sample

ROOT = Path(__file__).resolve().parents[1]
CAUGHT = {"failed", "timeout", "crash", "no build"}


def best_instruction_set() -> str:
    """Return the name of the instruction set to build: one with fused multiply-adds."""
    if platform.machine() in {"aarch64", "arm64"}:
        return "neon"
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="utf-8").split()
    except OSError:
        return "baseline"
    return "avx2" if {"avx2", "fma"} <= set(flags) else "baseline"


class Copy:
    """A copy of the checkout with a build of its own."""

    def __init__(self, work: Path, isa: str, jobs: int) -> None:
        self.work, self.isa, self.jobs = work, isa, jobs
        self.tree, self.build, self.clean = work / "tree", work / "cmake", work / "clean"

    def refresh(self) -> None:
        """Copy what has changed in the checkout; an unchanged file keeps its time."""
        command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout
        names = {name for name in listed.decode().split("\0") if (ROOT / name).is_file() and name}
        for tree in (self.tree, self.clean):
            for name in names:
                source, target = ROOT / name, tree / name
                if not target.is_file() or target.read_bytes() != source.read_bytes():
                    target.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copy(source, target)
            for folder in ("pynn", "csrc", "tests"):
                for path in (tree / folder).rglob("*"):
                    known = path.relative_to(tree).as_posix() in names
                    if path.is_file() and path.suffix in {".py", ".h", ".cpp"} and not known:
                        path.unlink()

    def configure(self) -> None:
        """Configure the build for one instruction set."""
        command = [sys.executable, "-m", "pybind11", "--cmakedir"]
        pybind11 = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        options = [
            "-DCMAKE_BUILD_TYPE=Release",
            "-DCMAKE_CXX_FLAGS_RELEASE=-O1 -DNDEBUG",  # half the time; the bits are the same
            f"-DPYNN_ISAS={self.isa}",
            f"-DPython_EXECUTABLE={sys.executable}",
            f"-Dpybind11_DIR={pybind11.strip()}",
        ]
        if shutil.which("ninja"):
            options += ["-G", "Ninja"]
        if ccache := shutil.which("ccache"):
            options.append(f"-DCMAKE_CXX_COMPILER_LAUNCHER={ccache}")
        cmake = ["cmake", "-S", str(self.tree), "-B", str(self.build), *options]
        subprocess.run(cmake, check=True, stdout=subprocess.DEVNULL)

    def compile(self) -> Path | None:
        """Build the core and return it; None: it does not compile."""
        command = ["cmake", "--build", str(self.build), "-j", str(self.jobs)]
        with open(self.work / "build.log", "w", encoding="utf-8") as log:
            done = subprocess.run(command, stdout=log, stderr=subprocess.STDOUT, check=False)
        return next(self.build.glob("_core*")) if done.returncode == 0 else None

    def install(self, core: Path, tree: Path) -> None:
        """Put a core into the package of a tree."""
        target = tree / "pynn" / core.name
        target.unlink(missing_ok=True)
        shutil.copy(core, target)

    def headers(self) -> set[str]:
        """Return the C++ files that the build compiles, the headers among them."""
        found = set()
        for listed in self._dependencies():
            path = Path(listed)
            if path.is_absolute() and path.is_relative_to(self.tree / "csrc"):
                found.add(path.relative_to(self.tree).as_posix())
        return found

    def _dependencies(self) -> list[str]:
        if shutil.which("ninja"):
            command = ["ninja", "-C", str(self.build), "-t", "deps"]
            words = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            return [os.path.normpath(self.build / word) for word in words.split()]
        files = [file.read_text(encoding="utf-8") for file in self.build.rglob("*.d")]
        return [os.path.normpath(word) for text in files for word in text.split()]


class Trial:
    """The search for a test that sees a mistake."""

    def __init__(self, copy: Copy, tests: suite.Map, budget: float, *, quick: bool) -> None:
        self.copy, self.map, self.budget, self.quick = copy, tests, budget, quick
        self.log = copy.work / "run.log"
        self.core = copy.work / "core" / "good"
        # Tests that fail without a mistake, too.
        self.failing: set[str] = set()
        self.stamp = 1_000_000_000

    def passes_clean(self, tests: list[str], last: str) -> bool:
        """Say whether the last test passes without a mistake, after its file's tests before it."""
        before = tests[: tests.index(last) + 1]
        own = [test for test in before if test.split("::")[0] == last.split("::", maxsplit=1)[0]]
        while own:
            done = suite.run(self.copy.clean, own, self.map, self.copy.work / "clean.log")
            if done.outcome == "passed":
                return True
            self.failing.add(done.by)
            if done.by in {last, "", "collection"}:
                break
            own = own[own.index(done.by) + 1 :]
        return False

    def search(self, stages: list[list[str]]) -> suite.Run:
        """Run tests until one catches the mistake for certain."""
        count, budget = 0, self.budget
        for stage in stages[: 1 if self.quick else None]:
            tests = self.map.within(stage, budget)
            budget -= self.map.total(tests)
            while True:
                left = [test for test in tests if test not in self.failing]
                found = suite.run(self.copy.tree, left, self.map, self.log)
                count += found.count
                if found.outcome == "passed":
                    break
                if found.by == "collection" or not found.by:
                    return suite.Run(found.outcome, found.by, count)
                if "::" not in found.by or self.passes_clean(left, found.by):
                    return suite.Run(found.outcome, found.by, count)
                self.failing.add(found.by)
                tests = left[left.index(found.by) + 1 :]
        return suite.Run("survived", "", count)

    def of(self, mistake: Mistake) -> dict[str, Any] | None:
        """Try one mistake; None: it does not compile, or to the same code."""
        path = self.copy.tree / mistake.file
        text = path.read_text(encoding="utf-8")
        broken = mistake.apply(text)
        begin = time.monotonic()
        entry = {
            "id": mistake.identifier(text),
            "file": mistake.file,
            "line": mistake.line,
            "rule": mistake.rule,
            "diff": mistake.diff(text),
        }
        python = path.suffix == ".py"
        try:
            if python:
                new = python_rules.compiled(broken, mistake.file)
                if new is None or new == python_rules.compiled(text, mistake.file):
                    return None
                path.write_text(broken, encoding="utf-8")
                # Python compares a cached file's time in seconds and its size.
                self.stamp += 1
                os.utime(path, (self.stamp, self.stamp))
            else:
                path.write_text(broken, encoding="utf-8")
                core = self.copy.compile()
                if core is None or core.read_bytes() == self.core.read_bytes():
                    return None
                self.copy.install(core, self.copy.tree)
            found = self.search(self.map.order(mistake, self.copy.clean))
        finally:
            path.write_text(text, encoding="utf-8")
            if not python:
                for core in self.copy.clean.glob("pynn/_core*"):
                    if core.suffix != ".pyi":
                        self.copy.install(core, self.copy.tree)
        entry |= {"outcome": found.outcome, "by": found.by, "tests": found.count}
        return {**entry, "seconds": round(time.monotonic() - begin, 1)}


def candidates(files: list[str], tree: Path) -> list[Mistake]:
    """Return every possible mistake of these files."""
    found = []
    for file in sorted(files):
        text = (tree / file).read_text(encoding="utf-8")
        rules = python_rules if file.endswith(".py") else cpp_rules
        found += rules.mistakes(file, text)
    return found


def chosen_files(arguments: argparse.Namespace, names: set[str]) -> tuple[list[str], list[str]]:
    """Return the Python files and the C++ files to break."""
    python = [p.relative_to(ROOT).as_posix() for p in sorted((ROOT / "pynn").rglob("*.py"))]
    cpp = sorted(names)
    if arguments.file:
        python = [name for name in python if name in arguments.file]
        cpp = [name for name in cpp if name in arguments.file]
    return python, cpp


def parsed() -> argparse.Namespace:
    """Return the command's arguments."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seed", type=int, default=0, help="which sample (default: 0)")
    parser.add_argument("--count", type=int, default=20, help="mistakes in all (default: 20)")
    parser.add_argument("--cpp", type=int, help="mistakes in C++ (default: half)")
    parser.add_argument("--file", action="append", help="break this file only (may be repeated)")
    parser.add_argument("--work", type=Path, default=ROOT / "build" / "mutate", help="folder")
    parser.add_argument(
        "--results", type=Path, help="lines of JSON (default: WORK/seed-SEED.jsonl)"
    )
    parser.add_argument("--isa", default=best_instruction_set(), help="instruction set to build")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="compilers at a time")
    parser.add_argument("--budget", type=float, default=600, help="seconds of tests a mistake")
    parser.add_argument("--map", action="store_true", help="make the map of lines and tests again")
    parser.add_argument("--quick", action="store_true", help="run the likeliest test files only")
    parser.add_argument("--again", action="store_true", help="try what survived, once more")
    parser.add_argument("--list", action="store_true", help="print the sample and run nothing")
    arguments = parser.parse_args()
    if arguments.cpp is None:
        arguments.cpp = arguments.count // 2
    if not 0 <= arguments.cpp <= arguments.count:
        parser.error("--cpp must be between 0 and --count")
    arguments.work = arguments.work.resolve()
    arguments.results = arguments.results or arguments.work / f"seed-{arguments.seed}.jsonl"
    return arguments


def show(entries: list[dict[str, Any]]) -> None:
    """Print what survived, and the figures."""
    for entry in entries:
        if entry["outcome"] not in CAUGHT:
            print(f"\n{entry['outcome']} {entry['id']} {entry['file']}:{entry['line']}")
            print(f"{entry['rule']}, {entry['tests']} tests\n{entry['diff']}")
    for kind, suffixes in (("Python", (".py",)), ("C++", (".h", ".cpp"))):
        of_kind = [entry for entry in entries if entry["file"].endswith(suffixes)]
        outcomes = Counter(entry["outcome"] for entry in of_kind)
        caught = sum(outcomes[outcome] for outcome in CAUGHT)
        parts = ", ".join(f"{count} {outcome}" for outcome, count in sorted(outcomes.items()))
        print(f"\n{kind}: {caught} of {len(of_kind)} caught ({parts})")


def main() -> None:
    """Sample mistakes, try each, print what survived."""
    arguments = parsed()
    arguments.work.mkdir(parents=True, exist_ok=True)
    copy = Copy(arguments.work, arguments.isa, arguments.jobs)
    copy.refresh()
    copy.configure()
    core = copy.compile()
    if core is None:
        sys.exit(f"the build fails: see {arguments.work / 'build.log'}")
    for tree in (copy.tree, copy.clean):
        copy.install(core, tree)
    good = arguments.work / "core" / "good"
    good.parent.mkdir(exist_ok=True)
    shutil.copy(core, good)

    python, cpp = chosen_files(arguments, copy.headers())
    samples = [
        (sample(candidates(files, copy.tree), random.Random(f"{kind} {arguments.seed}")), count)
        for kind, files, count in (
            ("Python", python, arguments.count - arguments.cpp),
            ("C++", cpp, arguments.cpp),
        )
    ]
    texts = {file: (copy.tree / file).read_text(encoding="utf-8") for file in [*python, *cpp]}
    if arguments.list:
        for mistakes, count in samples:
            for mistake in mistakes[:count]:
                print(f"{mistake.rule}\n{mistake.diff(texts[mistake.file])}\n")
        return

    map_file = arguments.work / "map.json"
    if arguments.map or not map_file.is_file():
        print("the suite under coverage.py ...", flush=True)
        suite.make_map(copy.tree, arguments.work).save(map_file)
    tests = suite.Map.load(map_file)
    tests.update(copy.clean)
    trial = Trial(copy, tests, arguments.budget, quick=arguments.quick)

    done: dict[str, dict[str, Any]] = {}
    if arguments.results.is_file():
        for line in arguments.results.read_text(encoding="utf-8").splitlines():
            entry = json.loads(line)
            done[entry["id"]] = entry
    entries = []
    for mistakes, count in samples:
        tried = 0
        for mistake in mistakes:
            if tried == count:
                break
            name = mistake.identifier(texts[mistake.file])
            found = done.get(name)
            if found is None or (arguments.again and found["outcome"] == "survived"):
                found = trial.of(mistake) or {"id": name, "outcome": "same"}
                with open(arguments.results, "a", encoding="utf-8") as results:
                    results.write(json.dumps(found) + "\n")
            if found["outcome"] != "same":
                tried += 1
                entries.append(found)
                print(
                    tried,
                    *(found[k] for k in ("outcome", "file", "line", "rule", "by")),
                    flush=True,
                )
    show(entries)


if __name__ == "__main__":
    main()
