"""Files are the old one or the new one, and missing packages are named."""

import importlib
import os
import stat
import subprocess
import sys

import pytest

import pynn
from pynn import convert
from pynn.formats.write import check_path, write_atomically


def failing():
    yield b"half of "
    raise OSError("no space left")


def test_a_failure_leaves_the_old_file(tmp_path):
    target = check_path(tmp_path / "file")
    write_atomically(target, [b"old ", b"one"])
    with pytest.raises(OSError, match="no space left"):
        write_atomically(target, failing())
    assert target.read_bytes() == b"old one"
    assert list(tmp_path.iterdir()) == [target]


def test_a_failure_leaves_no_new_file(tmp_path):
    with pytest.raises(OSError, match="no space left"):
        write_atomically(tmp_path / "file", failing())
    assert not list(tmp_path.iterdir())


def test_kinds_of_paths(tmp_path):
    path = tmp_path / "file"
    for kind in (path, str(path), os.fsencode(path)):
        assert check_path(kind) == path
    with pytest.raises(TypeError, match="path must be a string or path-like, got 1"):
        check_path(1)
    with pytest.raises(IsADirectoryError, match="path must name a file"):
        check_path(tmp_path)
    with pytest.raises(FileNotFoundError, match="no folder"):
        check_path(tmp_path / "none" / "file")


@pytest.mark.skipif(sys.platform == "win32", reason="modes and links are of POSIX")
def test_mode_and_links(tmp_path):
    plain, target, link = tmp_path / "plain", tmp_path / "target", tmp_path / "link"
    plain.write_bytes(b"")
    target.write_bytes(b"old")
    link.symlink_to(target)
    write_atomically(check_path(link), [b"new"])
    assert link.is_symlink()
    assert target.read_bytes() == b"new"
    # As readable as any file that this process makes.
    assert stat.S_IMODE(target.stat().st_mode) == stat.S_IMODE(plain.stat().st_mode)


@pytest.mark.parametrize(
    ("package", "install", "call"),
    [
        ("torch", "torch", lambda: convert.to_torch(pynn.MLP([2, 2]))),
        ("torch", "torch", lambda: convert.from_torch(None)),
        ("sklearn.neural_network", "scikit-learn", lambda: convert.to_sklearn(pynn.MLP([2, 2]))),
        ("sklearn.neural_network", "scikit-learn", lambda: convert.from_sklearn(None)),
        ("onnx", "onnx", lambda: convert.to_onnx(pynn.MLP([2, 2]))),
    ],
)
def test_a_missing_package_is_named(monkeypatch, package, install, call):
    real = importlib.import_module

    def without(name, *args):
        if name == package:
            raise ImportError(f"No module named {name!r}")
        return real(name, *args)

    monkeypatch.setattr(importlib, "import_module", without)
    with pytest.raises(ImportError, match=rf"needs {install}: pip install {install}"):
        call()


def test_importing_the_conversions_imports_no_package(tmp_path):
    code = (
        "import sys, pynn, pynn.convert\n"
        "print(sorted({'torch', 'sklearn', 'onnx', 'scipy'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
