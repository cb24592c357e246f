"""What scikit-learn has moved between the versions that this package takes."""

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
        """The method that became a function in scikit-learn 1.6."""
        return estimator._validate_data(*args, **kwargs)


def validate_data(*args: Any, **kwargs: Any) -> Any:
    """scikit-learn's checks of samples and targets.

    They find NaN and infinities by a sum, which overflows near the largest float. That is no
    error of the caller's, whatever the caller's `numpy.errstate` says.
    """
    with np.errstate(all="ignore"):
        return _validate_data(*args, **kwargs)


def loss_by_keyword_before_1_7(init: Callable[..., None]) -> Callable[..., None]:
    """The constructor of the regressor, positional as in the scikit-learn that is installed.

    `loss` came in 1.7, before the parameter that was the first one.
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
    # (scikit-learn finds the parameters of estimators by the signature.)
    vars(constructor)["__signature__"] = signature.replace(parameters=[*rest, loss])
    return constructor


def lbfgs_messages(iprint: int) -> dict[str, int]:
    """The option that makes SciPy's L-BFGS-B print, where SciPy still has it."""
    import scipy

    version = tuple(int(part) for part in scipy.__version__.split(".")[:2])
    return {"iprint": iprint} if version < (1, 15) else {}


__all__ = ["VERSION", "lbfgs_messages", "loss_by_keyword_before_1_7", "validate_data"]
