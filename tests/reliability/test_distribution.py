"""What is installed: the version of the one source, the license; NumPy is all that it needs."""

import importlib.metadata

import pytest

import pynn

try:
    PACKAGE = importlib.metadata.distribution("pynn-cpu")
except importlib.metadata.PackageNotFoundError:
    pytest.skip("pynn is not installed, but on the path", allow_module_level=True)


def test_one_version():
    assert PACKAGE.version == pynn.__version__


def test_the_license_is_there():
    assert PACKAGE.metadata["License-Expression"] == "BSD-3-Clause"
    (path,) = (file for file in PACKAGE.files or () if file.name == "LICENSE")
    assert path.parent.name == "licenses"
    assert "Redistribution and use" in path.read_text(encoding="utf-8")


def test_numpy_is_all_that_it_needs():
    always = [line for line in PACKAGE.requires or () if "extra ==" not in line]
    assert [line.split(">")[0] for line in always] == ["numpy"]


def test_a_repaired_wheel_lists_what_was_added():
    """auditwheel copies the OpenMP library into the wheel, and says so in CycloneDX."""
    files = [str(file) for file in PACKAGE.files or ()]
    if not any("libgomp" in file for file in files):
        pytest.skip("this wheel was not repaired")
    assert any(file.endswith(".cdx.json") for file in files)
