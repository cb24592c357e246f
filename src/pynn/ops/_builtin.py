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
    signature = inspect.signature(function)
    bare = signature.replace(
        parameters=[p.replace(annotation=p.empty) for p in signature.parameters.values()],
        return_annotation=signature.empty,
    )
    # The form in which CPython's own builtins have their signatures.
    text = f"{function.__name__}($module, {str(bare)[1:]}\n--\n\n"
    return _core.make_builtin(function, text + inspect.cleandoc(function.__doc__ or ""))
