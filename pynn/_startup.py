"""What has to hold before the compiled core is loaded, and that there is one."""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def refuse_sub_interpreters() -> None:
    """Raise before the core is loaded: before 3.12 CPython asks no extension, and loading hangs.

    Raises
    ------
    ImportError
        In an interpreter that is not the main one.
    """
    if sys.version_info >= (3, 12):
        return
    try:
        interpreters = importlib.import_module("_xxsubinterpreters")
    except ImportError:  # then there is no way to make one from Python
        return
    if interpreters.get_current() != interpreters.get_main():
        raise ImportError("module pynn does not support loading in subinterpreters")


def load_core() -> None:
    """Load the compiled core.

    Raises
    ------
    ImportError
        If there is none, naming the cure: Python was started in a source tree, whose folder `pynn`
        comes before the installed package, the core was built for another Python, or the package
        is in an archive.
    """
    try:
        importlib.import_module("pynn._core")
    except ModuleNotFoundError as error:
        if error.name != "pynn._core":
            raise
        from pathlib import Path  # (`import pynn` is quick without it)

        raise ImportError(missing_core(Path(__file__).resolve().parent)) from None


def missing_core(package: Path) -> str:
    """Say why the core is missing from the folder of the package, and what helps."""
    archive = next((path for path in package.parents if path.is_file()), None)
    if archive is not None:
        return (
            f"pynn's compiled core cannot be loaded from the archive {archive}: Python imports "
            "extension modules from folders only. Install pynn, pip install pynn-cpu, or unpack "
            "the archive and put its folder on sys.path"
        )
    version = f"Python {sys.version_info.major}.{sys.version_info.minor}"
    others = ", ".join(
        sorted(path.name for path in package.glob("_core*") if path.suffix != ".pyi")
    )
    found = f" (found {others}, which {version} does not load)" if others else ""
    if not (package.parent / "CMakeLists.txt").is_file():
        return (
            f"pynn's compiled core is missing from {package}{found}: install pynn again for "
            f"{version}, pip install --force-reinstall pynn-cpu"
        )
    return (
        f"pynn's compiled core is missing: this is the source tree {package.parent}{found}, not an "
        "installed pynn. Start Python in another folder to import the installed package, or build "
        "the core for this one, pip install -e ."
    )


refuse_sub_interpreters()
load_core()
