"""Radial basis functions."""

from __future__ import annotations

from typing import Any, NoReturn

import numpy as np

from pynn import _checks
from pynn._keywords import refuse, refuses_unknown
from pynn._types import Array
from pynn.layers._base import Draw, Graph, Layer, constant, given
from pynn.layers._keywords import PLACES


class RBF(Layer):
    """Gaussian units: ``exp(-|x - center|**2 / (2 width**2))`` over the last axis [1]_.

    Parameters
    ----------
    units : int
        The number of centers.
    centers : array_like of shape (units, features), optional
        Where the centers start; `RBF.from_data` takes them from samples. By default they are drawn
        from a normal distribution, which fits standardized data.
    width : float or array_like of shape (units,), default 1.0
        Where the widths start.
    train_widths : bool, default True
        Train the widths, too.
    name : str, optional

    Notes
    -----
    Parameters: ``centers`` of shape (units, features) and ``widths`` of shape (units,).

    References
    ----------
    .. [1] D. S. Broomhead, D. Lowe, "Multivariable functional interpolation and adaptive networks",
       Complex Systems 2, 1988.

    Examples
    --------
    >>> from pynn import layers as L
    >>> L.RBF(10).output_shape((3,))
    (10,)
    """

    __match_args__ = ("units", "centers", "width", "train_widths", "name")
    units: int
    centers: Any
    width: Any
    train_widths: bool

    @refuses_unknown
    def __init__(
        self,
        units: int,
        centers: Any = None,
        width: Any = 1.0,
        *excess: NoReturn,
        train_widths: bool = True,
        name: str | None = None,
        **unknown: NoReturn,
    ) -> None:
        refuse(unknown, RBF.__init__, "RBF()", units, excess=excess, places=PLACES)
        count = _checks.integer(units, "units", 1)
        points = None if centers is None else _array(centers, "centers")
        if points is not None and (points.ndim != 2 or len(points) != count):
            raise ValueError(
                f"centers has shape {points.shape}, expected ({count}, features) for units={count}"
            )
        widths = _array(width, "width")
        if widths.shape not in ((), (count,)):
            raise ValueError(f"width has shape {widths.shape}, expected () or ({count},)")
        if not (widths > 0).all():
            raise ValueError("width must be positive")
        self._set(
            name,
            units=count,
            centers=None if points is None else tuple(map(tuple, points.tolist())),
            width=float(widths) if widths.ndim == 0 else tuple(widths.tolist()),
            train_widths=_checks.flag(train_widths, "train_widths"),
        )

    @classmethod
    def from_data(
        cls,
        X: Any,
        units: int,
        *,
        method: str = "kmeans",
        seed: Any = None,
        train_widths: bool = True,
        name: str | None = None,
    ) -> RBF:
        """Place the centers by samples, and make the widths fit the centers' distances.

        Parameters
        ----------
        X : array_like of shape (n, features)
        units : int
        method : {"kmeans", "sample"}
            The means of clusters (needs scikit-learn), or samples drawn without replacement.
        seed : None, int, SeedSequence or Generator
            As for `numpy.random.default_rng`.
        train_widths, name
            As for `RBF`.

        Returns
        -------
        RBF
            With ``width`` the mean distance of a center to the nearest other one.
        """
        samples, count = _array(X, "X"), _checks.integer(units, "units", 1)
        if samples.ndim != 2:
            raise ValueError(f"X has shape {samples.shape}, expected (n, features)")
        if count > len(samples):
            raise ValueError(f"X has {len(samples)} samples, too few for units={count}")
        rng = np.random.default_rng(seed)
        if method == "sample":
            centers = samples[rng.choice(len(samples), count, replace=False)]
        elif method == "kmeans":
            try:
                from sklearn.cluster import KMeans
            except ImportError:
                raise ImportError(
                    "method='kmeans' needs scikit-learn: pip install scikit-learn, or "
                    "method='sample'"
                ) from None
            state = int(rng.integers(2**31))
            centers = KMeans(count, n_init=1, random_state=state).fit(samples).cluster_centers_
        else:
            raise ValueError(f"method must be 'kmeans' or 'sample', got {method!r}")
        return cls(count, centers, _spacing(centers), train_widths=train_widths, name=name)

    def _assemble(self, graph: Graph, path: str) -> None:
        *positions, features = graph.shape
        shape = (self.units, features)
        if self.centers is not None and len(self.centers[0]) != features:
            raise ValueError(f"its centers have {len(self.centers[0])} features, not {features}")
        graph.node(
            "rbf",
            (*positions, self.units),
            inputs=features,
            units=self.units,
            trains_widths=self.train_widths,
        )
        graph.parameter(path, "centers", shape, _centers(self.centers, shape))
        width = self.width
        draw = (
            constant((self.units,), width)
            if isinstance(width, float)
            else given(np.array(width, np.float64))
        )
        graph.parameter(path, "widths", (self.units,), draw, trained=self.train_widths)

    def config(self) -> dict[str, Any]:
        """Give the settings as JSON has them, without the centers, which are parameters."""
        return {**super().config(), "centers": None, "width": 1.0}


def _centers(centers: Any, shape: tuple[int, int]) -> Draw:
    if centers is not None:
        return given(np.array(centers, np.float64))
    return lambda rng, dtype: rng.normal(size=shape).astype(dtype)


def _array(values: Any, name: str) -> Array:
    try:
        array = np.asarray(values, np.float64)
    except (TypeError, ValueError):
        raise TypeError(f"{name} must hold numbers, got {values!r:.60}") from None
    if not np.isfinite(array).all():
        raise ValueError(f"{name} must be finite")
    return array


def _spacing(centers: Array) -> float:
    """The mean distance of a center to the nearest other one; 1 where there is none."""
    squares = (centers**2).sum(axis=1)
    distances = squares[:, np.newaxis] - 2 * centers @ centers.T + squares
    np.fill_diagonal(distances, np.inf)
    nearest = np.sqrt(np.maximum(distances.min(axis=1), 0))
    nearest = nearest[np.isfinite(nearest) & (nearest > 0)]
    return float(nearest.mean()) if nearest.size else 1.0
