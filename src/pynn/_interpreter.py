"""Refuses sub-interpreters where CPython itself does not."""

from __future__ import annotations

import importlib
import sys


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
    except ImportError:  # then nobody can make one from Python
        return
    if interpreters.get_current() != interpreters.get_main():
        raise ImportError("module pynn does not support loading in subinterpreters")


refuse_sub_interpreters()
