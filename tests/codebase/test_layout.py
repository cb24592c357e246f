"""The package lies at the top of the checkout, and is not imported from there by mistake.

Python started in the checkout finds the folder `pynn` before the installed package. Without a
compiled core in it, the import says so and names the cure. pytest, in its importlib mode, does not
look there.
"""

import ast
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest
from sanitizers import PATIENCE

import pynn

ROOT = Path(__file__).resolve().parents[2]
TESTS = ROOT / "tests"
INSTALLED = Path(pynn.__file__).resolve().parent
IS_EDITABLE = any(type(finder).__module__.startswith("_pynn") for finder in sys.meta_path)

needs_checkout = pytest.mark.skipif(
    not (ROOT / "pynn" / "_startup.py").is_file(), reason="the sources are not here"
)
not_editable = pytest.mark.skipif(
    IS_EDITABLE, reason="an editable install finds its core in any folder"
)


@pytest.fixture
def checkout(tmp_path):
    """The package's Python files, as a fresh clone has them, and what marks a source tree."""
    folder = tmp_path / "checkout"
    shutil.copytree(
        ROOT / "pynn",
        folder / "pynn",
        ignore=shutil.ignore_patterns("_core.*.so", "_core.*.pyd", "_core.so", "__pycache__"),
    )
    for name in ("CMakeLists.txt", "pyproject.toml"):
        shutil.copy(ROOT / name, folder)
    (folder / "tests").mkdir()
    (folder / "tests" / "test_import.py").write_text(
        "import pynn\ndef test():\n    print('imported from', pynn.__file__)\n"
    )
    (folder / "script.py").write_text("import pynn\n")
    (folder / "scripts").mkdir()
    (folder / "scripts" / "script.py").write_text("import pynn\nprint(pynn.__file__)\n")
    return folder


def start(folder, *words):
    return subprocess.run(
        [sys.executable, *map(str, words)],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=60 * PATIENCE,
    )


PYTEST = ("-m", "pytest", "-p", "no:cacheprovider", "tests")


@needs_checkout
@not_editable
@pytest.mark.parametrize("words", [("-c", "import pynn"), PYTEST, ("script.py",)])
def test_the_checkout_without_a_core_says_so(checkout, words):
    done = start(checkout, *words)
    said = done.stdout + done.stderr
    assert done.returncode != 0
    assert "ImportError: pynn's compiled core is missing: this is the source tree" in said
    assert str(checkout) in said
    assert "Start Python in another folder" in said
    assert "pip install -e ." in said


@needs_checkout
@not_editable
def test_a_core_for_another_python_is_named(checkout):
    (checkout / "pynn" / "_core.cpython-27-x86_64-linux-gnu.so").write_bytes(b"")
    done = start(checkout, "-c", "import pynn")
    assert "(found _core.cpython-27-x86_64-linux-gnu.so, which Python 3." in done.stderr


@needs_checkout
@not_editable
def test_a_broken_installation_says_so(checkout):
    (checkout / "CMakeLists.txt").unlink()
    done = start(checkout, "-c", "import pynn")
    assert f"pynn's compiled core is missing from {checkout / 'pynn'}" in done.stderr
    assert "pip install --force-reinstall pynn-cpu" in done.stderr


@needs_checkout
@not_editable
@pytest.mark.parametrize("archive", ["app.zip", "app.pyz"])
def test_a_zipped_package_says_so(checkout, tmp_path, archive):
    """As a zip file on the path, and as one that Python runs."""
    target = tmp_path / archive
    with zipfile.ZipFile(target, "w") as file:
        file.writestr("__main__.py", "import pynn\n")
        for path in (checkout / "pynn").rglob("*.py"):
            file.write(path, path.relative_to(checkout))
        file.writestr("pynn/_core" + sysconfig.get_config_var("EXT_SUFFIX"), b"")
    done = start(checkout, target)
    said = done.stdout + done.stderr
    assert done.returncode != 0
    assert f"ImportError: pynn's compiled core cannot be loaded from the archive {target}" in said
    assert "pip install pynn-cpu, or unpack the archive" in said


@needs_checkout
def test_a_script_in_another_folder_imports_what_is_installed(checkout):
    done = start(checkout, "scripts/script.py")
    assert done.stderr == ""
    assert Path(done.stdout.strip()).resolve().parent == INSTALLED


@needs_checkout
def test_pytest_imports_what_is_installed(checkout, tmp_path):
    """Started as the command `pytest`, which does not put the working directory on the path."""
    command = tmp_path / "command"
    command.mkdir()
    (command / "run_pytest.py").write_text("import pytest\npytest.console_main()\n")
    done = start(checkout, command / "run_pytest.py", *PYTEST[2:], "-s")
    assert done.returncode == 0, done.stdout + done.stderr
    (line,) = [line for line in done.stdout.splitlines() if "imported from" in line]
    assert Path(line.split("imported from ")[1]).resolve().parent == INSTALLED


def _starts_python(call):
    name = ast.unparse(call.func)
    return name in {"subprocess.run", "subprocess.Popen", "Popen"} and any(
        "sys.executable" in ast.unparse(argument) for argument in call.args
    )


def test_tests_start_python_in_a_folder_of_their_own():
    """Python in the checkout would import the sources; in another folder it does not."""
    calls = [
        (path, call)
        for path in sorted(TESTS.rglob("*.py"))
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(call, ast.Call) and _starts_python(call)
    ]
    assert len(calls) > 5
    without = [
        f"{path.relative_to(TESTS)}:{call.lineno}"
        for path, call in calls
        if "cwd" not in {keyword.arg for keyword in call.keywords}
    ]
    assert without == []
