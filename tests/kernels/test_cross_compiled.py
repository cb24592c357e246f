"""The kernels without Python: kernel_driver.cpp runs each of them on fixed inputs, compiled for
every instruction set that can be run here. For ARM that is a cross compiler and QEMU's user-mode
emulation. The fused sets print the same hashes, so their bits agree, and so do the others."""

import functools
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sanitizers import not_sanitized
from toolchain import (
    COMPILER,
    CSRC,
    FLAGS,
    KERNELS,
    STRICT,
    instruction_sets,
    needs_compiler,
    needs_sources,
    run,
)

import pynn

DRIVER = Path(__file__).with_name("kernel_driver.cpp")

ARM_COMPILER = shutil.which("aarch64-linux-gnu-g++")
ARM_EMULATOR = shutil.which("qemu-aarch64") or shutil.which("qemu-aarch64-static")

# The builds for ARM and their compilers. (.ci/run sees by the first's name whether it was tested.)
NEON, NEON_CLANG = "neon", "neon_clang"
ARM = {NEON: "aarch64-linux-gnu-g++", NEON_CLANG: "clang++ that links for aarch64-linux-gnu"}

pytestmark = [
    not_sanitized("nothing of the built core runs in it"),
    pytest.mark.skipif(
        sys.platform != "linux" or platform.machine() != "x86_64",
        reason="compares with x86 instruction sets, on Linux",
    ),
    needs_compiler,
    needs_sources,
]

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


@functools.cache
def arm_compilers():
    """The compilers of `ARM` that are here, as commands."""
    found = {NEON: [ARM_COMPILER]} if ARM_COMPILER else {}
    clang = [shutil.which("clang++"), "--target=aarch64-linux-gnu"]
    if clang[0] and links(clang):
        found[NEON_CLANG] = clang
    return found


def links(command):
    """True if a compiler finds the headers and libraries of its target."""
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [*command, "-static", "-x", "c++", "-", "-o", Path(folder, "program")],
            input=b"#include <cstdio>\nint main() { std::puts(__func__); }\n",
            capture_output=True,
            check=False,
        )
    return done.returncode == 0


class Builds:
    """The objects and the results by name, an instruction set's or `NEON_CLANG`, each made once,
    at the same time."""

    def __init__(self, folder, pool, kernel_objects):
        self.folder = folder
        (folder / "scalar.cpp").write_text(SCALAR, encoding="utf-8")
        # What takes longest comes first.
        names = [*arm_compilers(), "scalar"]
        self.objects = {name: pool.submit(self._compile, name) for name in names}
        usable = sorted(set(X86).intersection(pynn.show_config("dict")["isas_usable"]))
        self.objects |= {name: kernel_objects.ask(name) for name in usable}
        names += usable
        self.results = {
            name: pool.submit(self._run, name) for name in names if ARM_EMULATOR or name not in ARM
        }

    def _compile(self, name):
        source = self.folder / "scalar.cpp" if name == "scalar" else KERNELS
        flags = [*FLAGS, *STRICT, f"-DPYNN_ISA={isa(name)}"]
        target = self.folder / f"kernels_{name}.o"
        run(*compiler(name), *flags, "-c", source, "-o", target)
        return target

    def _run(self, name):
        program = self.folder / f"driver_{name}"
        flags = [*FLAGS, *STRICT, f"-DPYNN_ISA_TABLE=kernel_table_{isa(name)}"]
        emulator = []
        if name in ARM:
            flags, emulator = [*flags, "-static"], [ARM_EMULATOR]
        kernels = self.objects[name].result()
        run(*compiler(name), *flags, DRIVER, kernels, "-o", program)
        lines = run(*emulator, program).splitlines()
        results = dict(line.split(": ") for line in lines)
        assert len(results) == len(lines), "two results of one name"
        return results

    def kernels(self, name):
        """The object compiled from kernels.cpp."""
        if name not in self.objects:
            pytest.skip(f"no {ARM[name]}" if name in ARM else f"this processor cannot run {name}")
        return self.objects[name].result()

    def hashes(self, name):
        """The hash of each result by its name."""
        self.kernels(name)
        if name not in self.results:
            pytest.skip("no emulator (qemu-aarch64)")
        return self.results[name].result()


def isa(name):
    return NEON if name == NEON_CLANG else name


def compiler(name):
    return arm_compilers().get(name, COMPILER)


@pytest.fixture(scope="module")
def builds(tmp_path_factory, kernel_objects):
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        yield Builds(tmp_path_factory.mktemp("cross_compiled"), pool, kernel_objects)


@pytest.mark.parametrize("name", ["scalar", NEON, NEON_CLANG])
def test_other_processors_compile_without_warnings(builds, name):
    builds.kernels(name)


@pytest.mark.parametrize("name", ["baseline", "scalar", "avx2", NEON, NEON_CLANG])
def test_every_kernel_is_run(builds, name):
    text = (CSRC / "kernels" / "kernel_table.h").read_text(encoding="utf-8")
    kernels = set(re.findall(r"\(\*(\w+)\)\(", text)) - {"gemm_workspace", "gemm_strategy"}
    assert {"gemm", "tanh", "log_softmax", "update"} <= kernels
    results = builds.hashes(name)
    assert results["fused"] == ("no" if name in {"baseline", "scalar"} else "yes")
    assert {tuple(result.split()[:2]) for result in results if result != "fused"} == {
        (dtype, kernel) for dtype in ("float32", "float64") for kernel in kernels
    }


@pytest.mark.parametrize(
    ("one", "other"),
    [
        *(("avx2", isa) for isa in [*X86, NEON, NEON_CLANG] if isa not in {"baseline", "avx2"}),
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
        assert {(dtype, kernel) for kernel in ("gemm", "exp", "softmax", "update")} <= different
        assert (dtype, "relu") not in different
        assert (dtype, "column_sums") not in different
