"""Tests get the threads they set, however busy the machine is. Shared objects are compiled once."""

import os
from concurrent.futures import ThreadPoolExecutor

import pytest
from toolchain import KernelObjects

os.environ.setdefault("OMP_DYNAMIC", "false")


@pytest.fixture(scope="session")
def kernel_objects(tmp_path_factory):
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        yield KernelObjects(tmp_path_factory.mktemp("kernel_objects"), pool)
