"""CPU quotas of control groups, as containers have them: threads beyond one only wait for it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from sanitizers import HAS_THREADS, PATIENCE
from toolchain import COMPILER, CSRC, FLAGS, STRICT, needs_compiler, needs_sources, run

V1, V2 = Path("/sys/fs/cgroup/cpu"), Path("/sys/fs/cgroup")

DRIVER = """
#include <cstdio>

#include "threads/cpu_quota.h"

int main(int count, char** roots) {
    for (int i = 1; i < count; ++i) std::printf("%g\\n", pynn::read_cpu_quota(roots[i]));
}
"""

MOUNT_V2 = "30 23 0:28 {} /sys/fs/cgroup rw shared:9 - cgroup2 cgroup2 rw\n"
MOUNT_V1 = "32 31 0:29 {} /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
OTHERS = (
    "31 23 0:28 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset\n22 1 8:1 / / rw - ext4 /\n"
)

# By name: /proc/self/cgroup, /proc/self/mountinfo, other files, the quota.
TREES = {
    "none": ("0::/\n", MOUNT_V2.format("/"), {}, 0),
    "no files": (None, None, {}, 0),
    "garbage": ("0::\n:\nx\n", "a b c - d\n - \n\n", {}, 0),
    "v2": ("0::/\n", OTHERS + MOUNT_V2.format("/"), {"cpu.max": "150000 100000\n"}, 1.5),
    "v2 without a limit": ("0::/\n", MOUNT_V2.format("/"), {"cpu.max": "max 100000\n"}, 0),
    "v2 in a group": ("0::/a/b\n", MOUNT_V2.format("/"), {"a/b/cpu.max": "50000 100000"}, 0.5),
    "v2 below groups": (
        "0::/a/b/c\n",
        MOUNT_V2.format("/"),
        {"a/b/c/cpu.max": "max 100000", "a/b/cpu.max": "7 2", "a/cpu.max": "3 1", "cpu.max": "4 1"},
        3,
    ),
    "v2 from outside": ("0::/../other\n", MOUNT_V2.format("/"), {"cpu.max": "2 1"}, 2),
    "v1": (
        "9:name=systemd:/a\n4:cpu,cpuacct:/a\n3:cpuset:/b\n0::/\n",
        OTHERS + MOUNT_V1.format("/"),
        {
            "cpu,cpuacct/a/cpu.cfs_quota_us": "250000\n",
            "cpu,cpuacct/a/cpu.cfs_period_us": "100000\n",
            "cpu,cpuacct/b/cpu.cfs_quota_us": "1\n",
            "cpu,cpuacct/b/cpu.cfs_period_us": "100000\n",
        },
        2.5,
    ),
    "v1 without a limit": (
        "4:cpu,cpuacct:/\n",
        MOUNT_V1.format("/"),
        {"cpu,cpuacct/cpu.cfs_quota_us": "-1\n", "cpu,cpuacct/cpu.cfs_period_us": "100000\n"},
        0,
    ),
    "v1 in a container": (
        "4:cpu,cpuacct:/docker/1234\n",
        MOUNT_V1.format("/docker/1234"),
        {"cpu,cpuacct/cpu.cfs_quota_us": "200000\n", "cpu,cpuacct/cpu.cfs_period_us": "100000\n"},
        2,
    ),
    "another controller": (
        "3:cpuset:/\n",
        OTHERS,
        {"cpuset/cpu.cfs_quota_us": "200000\n", "cpuset/cpu.cfs_period_us": "100000\n"},
        0,
    ),
}


@needs_compiler
@needs_sources
def test_quotas_of_every_kind_of_group(tmp_path):
    source, program = tmp_path / "driver.cpp", tmp_path / "driver"
    source.write_text(DRIVER)
    quota = CSRC / "threads" / "cpu_quota.cpp"
    run(*COMPILER, *FLAGS, *STRICT, source, quota, "-o", program)
    for name, (groups, mounts, files, _) in TREES.items():
        proc, sys = tmp_path / name / "proc/self", tmp_path / name / "sys/fs/cgroup"
        proc.mkdir(parents=True)
        for path, text in ((proc / "cgroup", groups), (proc / "mountinfo", mounts)):
            if text is not None:
                path.write_text(text)
        for file, text in files.items():
            path = sys / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    found = run(program, *(tmp_path / name for name in TREES)).split()
    assert dict(zip(TREES, map(float, found), strict=True)) == {
        name: tree[3] for name, tree in TREES.items()
    }


PROGRAM = """
import hashlib, json, os, sys
os.environ.pop("OMP_NUM_THREADS", None)
os.environ.update(json.loads(sys.argv[2]))
for file in sys.argv[1].split():
    with open(file, "w") as group:
        group.write(str(os.getpid()))
import numpy as np
import pynn

def trained():
    net = pynn.MLP([64, 128, 10], seed=0)
    net.fit(X, y, epochs=2, batch_size=1000)
    return b"".join(w.tobytes() for w in (*net.weights, *net.biases))

rng = np.random.default_rng(0)
X, y = rng.normal(size=(4000, 64)).astype("f4"), rng.integers(10, size=4000)
by_default = pynn.get_num_threads()
first = trained()
pynn.set_num_threads(2)
print(by_default, pynn.get_num_threads(), trained() == first)
"""


@pytest.fixture(params=[100000, 150000])
def group(request):
    """The file that takes a process into a group with a quota of microseconds in 100 ms."""
    v1 = (V1 / "cpu.cfs_quota_us").is_file()
    folder = (V1 if v1 else V2) / f"pynn-test-{os.getpid()}-{request.param}"
    try:
        folder.mkdir()
    except OSError:
        pytest.skip("no control group can be made here")
    try:
        if v1:
            (folder / "cpu.cfs_period_us").write_text("100000")
            (folder / "cpu.cfs_quota_us").write_text(str(request.param))
        elif not (folder / "cpu.max").is_file():
            pytest.skip("no control group with a quota can be made here")
        else:
            (folder / "cpu.max").write_text(f"{request.param} 100000")
        yield folder / "cgroup.procs"
    finally:
        folder.rmdir()


@pytest.mark.skipif(not HAS_THREADS, reason="built for one thread")
@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="one processor")
@pytest.mark.parametrize(
    ("environment", "expected"),
    [("{}", 1), ('{"OMP_NUM_THREADS": "2"}', 2), ('{"OMP_NUM_THREADS": "1"}', 1)],
)
def test_a_quota_limits_the_default_number_of_threads(group, tmp_path, environment, expected):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(group), environment],
        cwd=tmp_path,
        timeout=60 * PATIENCE,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{expected} 2 True\n", "")
