"""The solver "lbfgs": SciPy's minimizer over the core's gradients."""

from __future__ import annotations

from typing import Any

import numpy as np

from pynn._types import Array
from pynn.sklearn._compat import lbfgs_messages
from pynn.sklearn._link import Link
from pynn.sklearn._samples import Samples

EPSILON = float(np.finfo(np.float64).eps)


def pack(*arrays: Array) -> Array:
    """Return arrays as one vector: coefficients before intercepts, as scikit-learn orders them."""
    return np.concatenate([array.ravel() for array in arrays])


class Objective:
    """The loss and its gradient as functions of the packed parameters.

    Parameters
    ----------
    link : Link
        Its penalties are divided by the total weight of all samples.
    samples : Samples
    """

    def __init__(self, link: Link, samples: Samples) -> None:
        self._link, self._samples = link, samples
        self._gradient = np.zeros_like(link.engine.parameters)
        # All weights, then all biases: the order of `pack`.
        self._parts = [*link.engine.named(self._gradient).values()]

    def set(self, packed: Array) -> None:
        """Set the network's parameters."""
        start = 0
        for array in (*self._link.coefs, *self._link.intercepts):
            array[...] = packed[start : start + array.size].reshape(array.shape)
            start += array.size

    def __call__(self, packed: Array) -> tuple[float, Array]:
        """Compute the loss that scikit-learn reports, and the packed gradient."""
        with np.errstate(all="ignore"):
            return self._evaluate(packed)

    def _evaluate(self, packed: Array) -> tuple[float, Array]:
        self.set(packed)
        loss = self._of(self._samples)
        gradient = pack(*self._parts)
        divisor = self._link.loss_divisor
        if divisor > 1:
            penalty = self._link.penalties()
            loss = (loss - penalty) / divisor + penalty
        return loss, gradient

    def _of(self, samples: Samples) -> float:
        """Compute the mean loss, and the gradient in its array."""
        result = self._link.engine.core.gradients(
            samples.X, samples.targets, samples.labels, samples.weights, self._gradient, None
        )
        if not result["finite"]:
            self._gradient[...] = np.nan
            return float(result["bad_loss"])
        loss = float(result["loss"] / samples.X.shape[0])
        differs = self._differs(samples, float(result["largest_loss"]))
        return self._from_probabilities(samples) if differs else loss

    # scikit-learn computes the loss from probabilities, clipped so that none is 0. The core uses
    # logits, whose loss is larger where a sample is far on the wrong side. The gradients agree, but
    # SciPy's line search also uses the loss.

    def _differs(self, samples: Samples, largest: float) -> bool:
        """Return True if some sample may be so far on the wrong side."""
        output = self._link.output
        if output not in ("softmax", "logistic"):
            return False
        # 1 - p loses digits long before it is 0.
        smallest = EPSILON if output == "softmax" else 1e-4
        least = 1.0
        if samples.weights is not None:
            least = float(samples.weights.min(where=samples.weights > 0, initial=np.inf))
        return bool(largest >= -np.log(smallest) * least)

    def _from_probabilities(self, samples: Samples) -> float:
        from scipy.special import expit

        softmax = self._link.output == "softmax"
        outputs = np.empty((samples.X.shape[0], self._link.net.layer_sizes[-1]))
        self._link.engine.core.forward(samples.X, len(self._link.coefs) - 1, softmax, outputs)
        # The digits of 1 - p depend on the last bit of p, so p is from scikit-learn's function.
        clipped = np.clip(outputs if softmax else expit(outputs), EPSILON, 1 - EPSILON)
        if softmax:
            true = np.take_along_axis(clipped, samples.targets[:, np.newaxis], axis=1)
        else:
            true = np.where(samples.targets.reshape(clipped.shape) != 0, clipped, 1 - clipped)
        losses = -np.log(true).sum(axis=1)
        return float(np.average(losses, weights=samples.weights)) + self._link.penalties()


def minimize(estimator: Any, link: Link, samples: Samples) -> None:
    """Minimize the loss, and write the result into the estimator."""
    import scipy.optimize
    from sklearn.utils.optimize import _check_optimize_result

    objective = Objective(link, samples)
    verbose = estimator.verbose is True or estimator.verbose >= 1
    result = scipy.optimize.minimize(
        objective,
        pack(*link.coefs, *link.intercepts),
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
