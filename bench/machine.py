"""What the figures were measured on: processor, caches, frequency governor, versions."""

from __future__ import annotations

import datetime
import importlib.metadata
import os
import platform
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

PACKAGES = ("pynn-cpu", "numpy", "scikit-learn", "torch", "jax", "jaxlib", "onnxruntime", "onnx")
MAX_OTHERS = 0.05  # cores: above, a thread that waits for another may wait for a time slice
CPU = Path("/sys/devices/system/cpu/cpu0")


def read(path: Path) -> str | None:
    """Text of a small file, None where there is none."""
    try:
        return path.read_text().strip()
    except OSError:
        return None


def cpu_model() -> str:
    """The processor's own name."""
    for line in (read(Path("/proc/cpuinfo")) or "").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    if sys.platform == "darwin":
        command = ["sysctl", "-n", "machdep.cpu.brand_string"]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    return platform.processor() or platform.machine()


def caches() -> list[str]:
    """Caches of the first core, such as ``"L1 Data 32K"``."""
    found = []
    for index in sorted((CPU / "cache").glob("index*")):
        level, kind, size = (read(index / name) for name in ("level", "type", "size"))
        if size:
            found.append(f"L{level} {kind} {size}")
    return found


def cores() -> list[int]:
    """Numbers of the cores that this process may use (empty where the system does not say)."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []


def versions() -> dict[str, str]:
    """Versions of the libraries that are installed."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def describe() -> dict[str, Any]:
    """Describe this machine."""
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "cpu": cpu_model(),
        "cores": len(cores()) or os.cpu_count(),
        "caches": caches(),
        "governor": read(CPU / "cpufreq" / "scaling_governor"),
        "load_average": os.getloadavg() if hasattr(os, "getloadavg") else None,
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "versions": versions(),
    }


def busy_seconds() -> float | None:
    """Processor time that all processes have used since the start, None where it is not told."""
    for line in (read(Path("/proc/stat")) or "").splitlines():
        if line.startswith("cpu "):
            user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, line.split()[1:9])
            ticks = user + nice + system + irq + softirq + steal
            return ticks / os.sysconf("SC_CLK_TCK")
    return None


class Neighbors:
    """How many cores other processes have kept busy since this object was made."""

    def __init__(self) -> None:
        self.start = self._now()

    @staticmethod
    def _now() -> tuple[float, float, float | None]:
        return time.perf_counter(), time.process_time(), busy_seconds()

    def cores(self) -> float | None:
        """Give the mean, None where the system does not tell."""
        (begin, own_before, busy_before), (end, own, busy) = self.start, self._now()
        if busy is None or busy_before is None:
            return None
        return max(0.0, (busy - busy_before - (own - own_before)) / (end - begin))


def warn(others: float | None) -> None:
    """Warn of figures that were measured beside other work."""
    if others is not None and others > MAX_OTHERS:
        print(f"WARNING: other processes kept {others:.2f} cores busy meanwhile: measure again")


def thread_pools() -> list[dict[str, Any]]:
    """Thread pools of the libraries loaded so far, as threadpoolctl sees them."""
    try:
        from threadpoolctl import threadpool_info
    except ImportError:
        return []
    return [{k: v for k, v in pool.items() if k != "filepath"} for pool in threadpool_info()]
