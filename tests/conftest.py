"""Tests run on as many threads as they ask for, however busy the machine is with other tests. What
is compiled for several of them is made once."""

import os
from concurrent.futures import ThreadPoolExecutor

import pytest
from toolchain import KernelObjects

os.environ.setdefault("OMP_DYNAMIC", "false")


@pytest.fixture(scope="session")
def kernel_objects(tmp_path_factory):
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        yield KernelObjects(tmp_path_factory.mktemp("kernel_objects"), pool)
