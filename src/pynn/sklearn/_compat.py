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
    """The option that makes SciPy's L-BFGS-B print, as this version of scikit-learn gives it."""
    try:
        from sklearn.utils.fixes import _get_additional_lbfgs_options_dict
    except ImportError:
        return {"iprint": iprint}
    options: dict[str, int] = _get_additional_lbfgs_options_dict("iprint", iprint)
    return options


__all__ = ["VERSION", "lbfgs_messages", "validate_data"]
