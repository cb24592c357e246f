"""Differences between the supported versions of scikit-learn and SciPy."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Any

import numpy as np
import sklearn

VERSION = tuple(int(part) for part in sklearn.__version__.split(".")[:2])

if VERSION >= (1, 6):
    from sklearn.utils.validation import validate_data as _validate_data
else:

    def _validate_data(estimator: Any, *args: Any, **kwargs: Any) -> Any:
        """Call the method that became a function in scikit-learn 1.6."""
        return estimator._validate_data(*args, **kwargs)


def validate_data(*args: Any, **kwargs: Any) -> Any:
    """Check samples and targets as scikit-learn does.

    Its check for NaN and infinities is a sum, which overflows near the largest float. The caller's
    `numpy.errstate` must not turn that into an error.
    """
    with np.errstate(all="ignore"):
        return _validate_data(*args, **kwargs)


def loss_by_keyword_before_1_7(init: Callable[..., None]) -> Callable[..., None]:
    """Give the regressor's constructor the positional parameters of the installed scikit-learn.

    Version 1.7 added `loss` as the first parameter.
    """
    if VERSION >= (1, 7):
        return init

    @wraps(init)
    def constructor(
        self: Any, hidden_layer_sizes: Any = (100,), activation: Any = "relu", **others: Any
    ) -> None:
        init(self, hidden_layer_sizes=hidden_layer_sizes, activation=activation, **others)

    signature = inspect.signature(init)
    loss = signature.parameters["loss"].replace(kind=inspect.Parameter.KEYWORD_ONLY)
    rest = [p for name, p in signature.parameters.items() if name != "loss"]
    # scikit-learn reads the parameters of estimators from the signature.
    vars(constructor)["__signature__"] = signature.replace(parameters=[*rest, loss])
    return constructor


def lbfgs_messages(iprint: int) -> dict[str, int]:
    """Return the option that makes SciPy's L-BFGS-B print, if SciPy still has it."""
    import scipy

    version = tuple(int(part) for part in scipy.__version__.split(".")[:2])
    return {"iprint": iprint} if version < (1, 15) else {}


__all__ = ["VERSION", "lbfgs_messages", "loss_by_keyword_before_1_7", "validate_data"]
