"""What scikit-learn has moved between the versions that this package takes."""

from __future__ import annotations

from typing import Any

import sklearn

VERSION = tuple(int(part) for part in sklearn.__version__.split(".")[:2])

if VERSION >= (1, 6):
    from sklearn.utils.validation import validate_data
else:

    def validate_data(estimator: Any, *args: Any, **kwargs: Any) -> Any:
        """The method that became a function in scikit-learn 1.6."""
        return estimator._validate_data(*args, **kwargs)


def lbfgs_messages(iprint: int) -> dict[str, int]:
    """The option that makes SciPy's L-BFGS-B print, where SciPy still has it."""
    import scipy

    version = tuple(int(part) for part in scipy.__version__.split(".")[:2])
    return {"iprint": iprint} if version < (1, 15) else {}


__all__ = ["VERSION", "lbfgs_messages", "validate_data"]
