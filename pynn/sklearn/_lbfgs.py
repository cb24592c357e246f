"""The solver "lbfgs": SciPy's minimizer over the core's gradients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pynn._types import Array
from pynn.sklearn._compat import lbfgs_messages
from pynn.sklearn._link import Link
from pynn.sklearn._samples import Samples, penalties

EPSILON = float(np.finfo(np.float64).eps)


def pack(coefs: Sequence[Array], intercepts: Sequence[Array]) -> Array:
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
        self._divisor = net.layer_sizes[-1] if net._loss.name == "squared_error" else 1

    def set(self, packed: Array) -> None:
        """Set the network's parameters."""
        start = 0
        for array in (*self._link.coefs, *self._link.intercepts):
            array[...] = packed[start : start + array.size].reshape(array.shape)
            start += array.size

    def __call__(self, packed: Array) -> tuple[float, Array]:
        """The loss as scikit-learn reports it, and the gradient packed."""
        with np.errstate(all="ignore"):
            return self._evaluate(packed)

    def _evaluate(self, packed: Array) -> tuple[float, Array]:
        self.set(packed)
        loss = self._of(self._samples)
        gradient = pack(*self._views)
        if self._divisor > 1:  # a mean over the outputs, with the gradient of the sum
            penalty = penalties(self._link)
            loss = (loss - penalty) / self._divisor + penalty
        return loss, gradient

    def _of(self, samples: Samples) -> float:
        """The mean loss; the gradient is in its room then."""
        result = self._link.net._core.gradients(
            samples.X, samples.targets, samples.labels, samples.weights, self._gradient, None
        )
        if not result["finite"]:
            self._gradient[...] = np.nan
            return float(result["bad_loss"])
        loss = float(result["loss"] / samples.X.shape[0])
        differs = self._differs(samples, float(result["largest_loss"]))
        return self._from_probabilities(samples) if differs else loss

    # scikit-learn computes the loss from probabilities, clipped so that none is 0: of a sample
    # that is far on the wrong side it knows less than the core, which goes by logits. The gradient
    # does not show it, but SciPy's line search also goes by the loss.

    def _differs(self, samples: Samples, largest: float) -> bool:
        """Whether some sample may be so far on the wrong side."""
        output = self._link.output
        if output not in ("softmax", "logistic"):
            return False
        # (1 - p has lost digits long before it is 0.)
        smallest = EPSILON if output == "softmax" else 1e-4
        least = 1.0
        if samples.weights is not None:
            least = float(samples.weights.min(where=samples.weights > 0, initial=np.inf))
        return bool(largest >= -np.log(smallest) * least)

    def _from_probabilities(self, samples: Samples) -> float:
        from scipy.special import expit

        net = self._link.net
        softmax = self._link.output == "softmax"
        outputs = np.empty((samples.X.shape[0], net.layer_sizes[-1]))
        net._core.forward(samples.X, len(self._link.coefs) - 1, softmax, outputs)
        # (What is left of 1 - p depends on the last bit of p, so it is from the same function.)
        clipped = np.clip(outputs if softmax else expit(outputs), EPSILON, 1 - EPSILON)
        if softmax:
            true = np.take_along_axis(clipped, samples.targets[:, np.newaxis], axis=1)
        else:
            true = np.where(samples.targets.reshape(clipped.shape) != 0, clipped, 1 - clipped)
        losses = -np.log(true).sum(axis=1)
        return float(np.average(losses, weights=samples.weights)) + penalties(self._link)


def minimize(estimator: Any, link: Link, samples: Samples) -> None:
    """Minimize the loss, and write what comes of it into the estimator."""
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
