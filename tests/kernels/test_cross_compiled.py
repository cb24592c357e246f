"""The kernels without Python: kernel_driver.cpp runs each of them on fixed inputs, compiled for
every instruction set that can be run here. For ARM that is a cross compiler and QEMU's user-mode
emulation. The fused sets print the same hashes, so their bits agree, and so do the others."""

import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import pynn

ROOT = Path(__file__).resolve().parents[2]
CSRC = ROOT / "csrc"
CMAKELISTS = ROOT / "CMakeLists.txt"
KERNELS = CSRC / "kernels" / "kernels.cpp"
DRIVER = Path(__file__).with_name("kernel_driver.cpp")

# -O1: without contraction the bits do not depend on the optimiser, and it takes half the time.
FLAGS = ["-O1", "-std=c++17", "-ffp-contract=off", f"-I{CSRC}"]
STRICT = ["-Wall", "-Wextra", "-Werror"]

COMPILER = next(
    (c for c in (os.environ.get("CXX"), "c++", "g++", "clang++") if c and shutil.which(c)), None
)
ARM_COMPILER = shutil.which("aarch64-linux-gnu-g++")
ARM_EMULATOR = shutil.which("qemu-aarch64") or shutil.which("qemu-aarch64-static")

pytestmark = [
    pytest.mark.skipif(
        sys.platform != "linux" or platform.machine() != "x86_64",
        reason="compares with x86 instruction sets, on Linux",
    ),
    pytest.mark.skipif(COMPILER is None, reason="no C++ compiler"),
    pytest.mark.skipif(
        not (KERNELS.is_file() and CMAKELISTS.is_file()), reason="the C++ sources are not here"
    ),
]
needs_arm_compiler = pytest.mark.skipif(
    ARM_COMPILER is None, reason="no cross compiler (aarch64-linux-gnu-g++)"
)


def instruction_sets() -> dict[str, list[str]]:
    """The x86 rows of the build's table of instruction sets, and their compiler flags."""
    if not CMAKELISTS.is_file():
        return {}
    text = re.sub(r"#[^\n]*", "", CMAKELISTS.read_text(encoding="utf-8"))
    rows = re.findall(r'\bpynn_add_isa\(\s*(\w+)\s+"([^"]*)"', text)
    return {
        name: flags.replace(";", " ").split()
        for name, flags in rows
        if name != "neon" and not flags.startswith("/")  # a slash: Microsoft's compiler
    }


X86 = instruction_sets()

# vec_scalar.h is for processors that have no vector header. To the preprocessor, this is one.
SCALAR = """
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#undef __x86_64__
#undef __AVX2__
#undef __AVX512F__
#include "kernels/kernels.cpp"
"""


def run(*command: object) -> str:
    """Standard output of a command that must succeed."""
    words = [str(word) for word in command]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, f"{shlex.join(words)}\n{done.stderr}"
    return done.stdout


class Builds:
    """The objects and the results of instruction sets by name, each made once, at the same time."""

    def __init__(self, folder, pool):
        self.folder = folder
        (folder / "scalar.cpp").write_text(SCALAR, encoding="utf-8")
        # What takes longest comes first.
        names = ["neon"] if ARM_COMPILER else []
        names += ["scalar", *sorted(set(X86).intersection(pynn.show_config("dict")["isas_usable"]))]
        self.objects = {name: pool.submit(self._compile, name) for name in names}
        self.results = {
            name: pool.submit(self._run, name) for name in names if name != "neon" or ARM_EMULATOR
        }

    @staticmethod
    def _compiler(isa):
        return [ARM_COMPILER] if isa == "neon" else shlex.split(str(COMPILER))

    def _compile(self, isa):
        source = self.folder / "scalar.cpp" if isa == "scalar" else KERNELS
        # (The intrinsics of x86 warn by themselves: CMakeLists.txt.)
        flags = X86.get(isa, STRICT)
        target = self.folder / f"kernels_{isa}.o"
        run(*self._compiler(isa), *FLAGS, *flags, f"-DPYNN_ISA={isa}", "-c", source, "-o", target)
        return target

    def _run(self, isa):
        program = self.folder / f"driver_{isa}"
        flags = [*FLAGS, *STRICT, f"-DPYNN_ISA_TABLE=kernel_table_{isa}"]
        flags += ["-static"] if isa == "neon" else []
        kernels = self.objects[isa].result()
        run(*self._compiler(isa), *flags, DRIVER, kernels, "-o", program)
        lines = run(*([ARM_EMULATOR] if isa == "neon" else []), program).splitlines()
        results = dict(line.split(": ") for line in lines)
        assert len(results) == len(lines), "two results of one name"
        return results

    def hashes(self, isa):
        """The hash of each result by its name."""
        if isa == "neon" and not ARM_COMPILER:
            pytest.skip("no cross compiler (aarch64-linux-gnu-g++)")
        if isa == "neon" and not ARM_EMULATOR:
            pytest.skip("no emulator (qemu-aarch64)")
        if isa not in self.results:
            pytest.skip(f"this processor cannot run {isa}")
        return self.results[isa].result()


@pytest.fixture(scope="module")
def builds(tmp_path_factory):
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        yield Builds(tmp_path_factory.mktemp("cross_compiled"), pool)


@needs_arm_compiler
def test_compiles_for_arm_without_warnings(builds):
    builds.objects["neon"].result()


def test_compiles_for_an_unknown_processor_without_warnings(builds):
    builds.objects["scalar"].result()


@pytest.mark.parametrize("isa", ["baseline", "scalar", "avx2", "neon"])
def test_every_kernel_is_run(builds, isa):
    text = (CSRC / "kernels" / "kernel_table.h").read_text(encoding="utf-8")
    kernels = set(re.findall(r"\(\*(\w+)\)\(", text)) - {"gemm_workspace"}
    assert {"gemm", "tanh", "log_softmax", "sgd"} <= kernels
    results = builds.hashes(isa)
    assert results["fused"] == ("yes" if isa in {"avx2", "neon"} else "no")
    assert {tuple(name.split()[:2]) for name in results if name != "fused"} == {
        (dtype, kernel) for dtype in ("float32", "float64") for kernel in kernels
    }


@pytest.mark.parametrize(
    ("one", "other"),
    [
        *(("avx2", isa) for isa in [*X86, "neon"] if isa not in {"baseline", "avx2"}),
        ("baseline", "scalar"),
    ],
)
def test_instruction_sets_agree_bit_for_bit(builds, one, other):
    expected, actual = builds.hashes(one), builds.hashes(other)
    assert expected.keys() == actual.keys()
    different = [name for name, value in expected.items() if actual[name] != value]
    # (kernel_driver.cpp prints the bits of the result whose name it is given.)
    assert not different, f"{len(different)} of {len(expected)} differ:\n" + "\n".join(different)


def test_the_hashes_show_a_rounding(builds):
    """With and without fused multiply-add, what consists of sums of products differs."""
    fused, other = builds.hashes("avx2"), builds.hashes("baseline")
    different = {tuple(name.split()[:2]) for name in fused if fused[name] != other[name]}
    for dtype in ("float32", "float64"):
        assert {(dtype, kernel) for kernel in ("gemm", "exp", "softmax", "sgd")} <= different
        assert (dtype, "relu") not in different
        assert (dtype, "column_sums") not in different
