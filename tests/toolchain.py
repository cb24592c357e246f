"""The compilers that tests find, and the project's C++ sources as the build compiles them."""

import os
import re
import shlex
import shutil
import subprocess
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
CSRC = ROOT / "csrc"
CMAKELISTS = ROOT / "CMakeLists.txt"
KERNELS = CSRC / "kernels" / "kernels.cpp"

# Without contraction the results do not depend on the optimizer. -O1 takes half of -O3's time, and
# -O0 half of -O1's: for objects whose symbols are read, or whose code runs for a second.
FLAGS = ["-O1", "-std=c++17", "-ffp-contract=off", f"-I{CSRC}"]
PLAIN_FLAGS = ["-O0", *FLAGS[1:]]
STRICT = ["-Wall", "-Wextra", "-Werror"]


def _native_compiler() -> list[str]:
    for command in (os.environ.get("CXX"), "c++", "g++", "clang++"):
        words = shlex.split(command or "")
        if words and shutil.which(words[0]):
            return words
    return []


# A command as a list of words, empty where there is none.
COMPILER = _native_compiler()
needs_compiler = pytest.mark.skipif(not COMPILER, reason="no C++ compiler")
needs_sources = pytest.mark.skipif(
    not (KERNELS.is_file() and CMAKELISTS.is_file()), reason="the C++ sources are not here"
)


def cmakelists() -> str:
    """CMakeLists.txt without its comments, empty where it is not here."""
    if not CMAKELISTS.is_file():
        return ""
    return re.sub(r"#[^\n]*", "", CMAKELISTS.read_text(encoding="utf-8"))


def instruction_sets() -> dict[str, list[str]]:
    """The x86 rows of the build's table of instruction sets, and their compiler flags."""
    rows = re.findall(r'\bpynn_add_isa\(\s*(\w+)\s+"([^"]*)"', cmakelists())
    return {
        name: flags.replace(";", " ").split()
        for name, flags in rows
        if name != "neon" and not flags.startswith("/")  # a slash: Microsoft's compiler
    }


def run(*command: object) -> str:
    """Standard output of a command that must succeed."""
    words = [str(word) for word in command]
    # A compiler is ten times as slow with a sanitizer's run time, which Python was given.
    environment = {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}
    done = subprocess.run(
        words, env=environment, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, f"{shlex.join(words)}\n{done.stderr}"
    return done.stdout


class KernelObjects:
    """The kernels compiled for x86 instruction sets, each once for all tests that look at them."""

    def __init__(self, folder: Path, pool: ThreadPoolExecutor) -> None:
        self._folder, self._pool = folder, pool
        self._jobs: dict[str, Future[Path]] = {}

    def ask(self, isa: str) -> Future[Path]:
        if isa not in self._jobs:
            self._jobs[isa] = self._pool.submit(self._compile, isa)
        return self._jobs[isa]

    def _compile(self, isa: str) -> Path:
        target = self._folder / f"kernels_{isa}.o"
        # (They throw nothing. Only an optimizer would see that; the flag refuses a `throw`.)
        flags = [*PLAIN_FLAGS, "-fno-exceptions", "-fPIC"]
        flags += [*instruction_sets()[isa], f"-DPYNN_ISA={isa}"]
        run(*COMPILER, *flags, "-c", KERNELS, "-o", target)
        return target
