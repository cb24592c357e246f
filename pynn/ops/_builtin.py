"""Compiled functions with a Python function behind them."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, TypeVar

from pynn import _core

F = TypeVar("F", bound=Callable[..., Any])


def builtin(function: F) -> F:
    """Make a compiled function with the name, signature and docstring of `function`.

    The compiled code answers calls on plain arrays without any Python. Plain arrays are
    C-contiguous and of one native float type; products take any strides. All other calls reach
    `function`, which makes the operands plain and calls the compiled function again, or calls
    NumPy, or raises.
    """
    # CPython's builtins write their signatures in this form.
    text = f"{function.__name__}($module, {', '.join(_parameters(function))})\n--\n\n"
    return _core.make_builtin(function, text + inspect.cleandoc(function.__doc__ or ""))


def _parameters(function: Callable[..., Any]) -> list[str]:
    """Return the signature's parts without annotations.

    `inspect.signature` takes four times as long.
    """
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
