"""Compiled functions with a Python function behind them."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, TypeVar

from pynn import _core

F = TypeVar("F", bound=Callable[..., Any])


def builtin(function: F) -> F:
    """Make the compiled function of `function`'s name, signature and docstring.

    A call on plain arrays (C-contiguous, of one native float type; for the products of any strides)
    is answered without any Python. All other calls come to `function`: it makes its operands plain
    and calls the compiled function again, or answers by NumPy, or raises.
    """
    # The form in which CPython's own builtins have their signatures.
    text = f"{function.__name__}($module, {', '.join(_parameters(function))})\n--\n\n"
    return _core.make_builtin(function, text + inspect.cleandoc(function.__doc__ or ""))


def _parameters(function: Callable[..., Any]) -> list[str]:
    """The signature's parts without annotations (`inspect.signature` takes four times as long)."""
    code, defaults = function.__code__, function.__defaults__ or ()
    named = code.co_varnames[: code.co_argcount]
    required = len(named) - len(defaults)
    parts = [*named[:required]]
    parts += [f"{name}={value!r}" for name, value in zip(named[required:], defaults, strict=True)]
    if code.co_posonlyargcount:
        parts.insert(code.co_posonlyargcount, "/")
    if code.co_kwonlyargcount:
        by_keyword = code.co_varnames[code.co_argcount :][: code.co_kwonlyargcount]
        values = function.__kwdefaults__ or {}
        parts.append("*")
        parts += [f"{name}={values[name]!r}" if name in values else name for name in by_keyword]
    return parts
