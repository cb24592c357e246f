"""The solver "lbfgs": SciPy's minimiser over the core's gradients."""

from __future__ import annotations

from typing import Any

import numpy as np

from pynn._types import Array
from pynn.sklearn._compat import lbfgs_messages
from pynn.sklearn._link import Link
from pynn.sklearn._samples import Samples, _penalties

# Rows of a sparse matrix that are dense at a time.
BLOCK = 1024


def pack(coefs: list[Array], intercepts: list[Array]) -> Array:
    """One vector in scikit-learn's order: all coefficients, then all intercepts."""
    return np.concatenate([array.ravel() for array in (*coefs, *intercepts)])


class Objective:
    """The loss and its gradient as functions of the packed parameters.

    Parameters
    ----------
    link : Link
        With penalties as they count for all samples together.
    samples : Samples
    """

    def __init__(self, link: Link, samples: Samples) -> None:
        self._link, self._samples = link, samples
        self._gradient = np.zeros_like(link.net._parameters)
        self._views = link.net._views(self._gradient)
        net = link.net
        self._divisor = net.layer_sizes[-1] if net.loss == "squared_error" else 1

    def set(self, packed: Array) -> None:
        """Set the network's parameters."""
        start = 0
        for array in (*self._link.coefs, *self._link.intercepts):
            array[...] = packed[start : start + array.size].reshape(array.shape)
            start += array.size

    def __call__(self, packed: Array) -> tuple[float, Array]:
        """The loss as scikit-learn reports it, and the gradient packed."""
        self.set(packed)
        samples = self._samples
        if samples.is_sparse:
            loss, gradient = self._in_blocks()
        else:
            loss = self._of(samples)
            gradient = pack(*self._views)
        if self._divisor > 1:  # a mean over the outputs, with the gradient of the sum
            penalty = _penalties(self._link)
            loss = (loss - penalty) / self._divisor + penalty
        return loss, gradient

    def _in_blocks(self) -> tuple[float, Array]:
        samples = self._samples
        total = samples.total_weight
        loss: float = 0.0
        gradient: Any = 0.0
        for first in range(0, samples.X.shape[0], BLOCK):
            piece = samples.piece(slice(first, first + BLOCK))
            part = piece.total_weight / total
            if part == 0:
                continue
            loss += part * self._of(piece)
            gradient = gradient + part * pack(*self._views)
        return loss, gradient

    def _of(self, samples: Samples) -> float:
        """The mean loss; the gradient is in its room then."""
        result = self._link.net._core.gradients(
            samples.X, samples.targets, samples.labels, samples.weights, self._gradient, None
        )
        if not result["finite"]:
            self._gradient[...] = np.nan
            return float(result["bad_loss"])
        return float(result["loss"] / samples.X.shape[0])


def minimise(estimator: Any, link: Link, samples: Samples) -> None:
    """Minimise the loss, and write what comes of it into the estimator."""
    import scipy.optimize
    from sklearn.utils.optimize import _check_optimize_result

    objective = Objective(link, samples)
    verbose = estimator.verbose is True or estimator.verbose >= 1
    result = scipy.optimize.minimize(
        objective,
        pack(link.coefs, link.intercepts),
        method="L-BFGS-B",
        jac=True,
        options={
            "maxfun": estimator.max_fun,
            "maxiter": estimator.max_iter,
            "gtol": estimator.tol,
            **lbfgs_messages(1 if verbose else -1),
        },
    )
    estimator.n_iter_ = _check_optimize_result("lbfgs", result, estimator.max_iter)
    estimator.loss_ = result.fun
    objective.set(result.x)
