"""Many networks in one call, one on each core: a grid, folds, an ensemble."""

from pynn.many.fit import fit_many as fit_many
from pynn.many.result import FitManyResult as FitManyResult

__all__ = ["FitManyResult", "fit_many"]


def __dir__() -> list[str]:
    return __all__
