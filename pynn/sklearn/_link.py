"""The network behind an estimator's ``coefs_`` and ``intercepts_``."""

from __future__ import annotations

from collections.abc import Sequence
from operator import is_
from typing import Any

import numpy as np

from pynn._types import Array
from pynn.engine import engine_of
from pynn.formats.sklearn import hidden_activations, loss_of
from pynn.mlp import MLP


class Link:
    """A network whose parameters are views of the estimator's arrays.

    Parameters
    ----------
    coefs, intercepts : sequence of array_like
        The parameters are copies of them.
    activation : str or sequence of str
        The hidden layers' activation, in scikit-learn's names.
    output : str
        The estimator's ``out_activation_``.
    settings : dict
        `l1`, `l2` and `dropout` of the network.
    onto : Link, optional
        Another link of the same shapes, whose parameters are shared, not copied.

    Attributes
    ----------
    net : MLP
    engine : Engine
        The network's.
    plain_forward : callable
        The engine's.
    coefs, intercepts : list of ndarray
    """

    def __init__(
        self,
        coefs: Sequence[Any],
        intercepts: Sequence[Any],
        activation: Any,
        output: str,
        settings: dict[str, Any] | None = None,
        onto: Link | None = None,
    ) -> None:
        arrays = [np.asarray(coef) for coef in coefs]
        sizes = [arrays[0].shape[0], *(array.shape[1] for array in arrays)]
        single = all(array.dtype == np.float32 for array in arrays)
        # A list is copied: the caller may change it in place later.
        self.activation = activation if isinstance(activation, str) else list(activation)
        self.output = output
        self.settings = settings or {}
        self.net = MLP(
            sizes,
            activation=hidden_activations(activation, len(sizes) - 2),
            loss=loss_of(output),
            init="zeros",
            dtype="float32" if single else "float64",
            seed=0,
            **self.settings,
        )
        self.engine = engine_of(self.net)
        self.engine.penalty_by_weight = True
        self.plain_forward = self.engine.plain_forward
        if onto is None:
            self.net.set_weights(arrays, intercepts)
            self.coefs, self.intercepts = self.net.weights, self.net.biases
        else:
            self.engine.share(onto.engine)
            self.coefs, self.intercepts = onto.coefs, onto.intercepts

    @classmethod
    def of(cls, estimator: Any, settings: dict[str, Any] | None = None) -> Link:
        """Make a link to an estimator's present coefficients."""
        return cls(
            estimator.coefs_,
            estimator.intercepts_,
            estimator.activation,
            estimator.out_activation_,
            settings,
        )

    def with_settings(self, settings: dict[str, Any]) -> Link:
        """Return a link to the same parameters with these settings of the network."""
        if settings == self.settings:
            return self
        return Link(self.coefs, self.intercepts, self.activation, self.output, settings, self)

    def is_current(self, estimator: Any) -> bool:
        """Return True if an estimator still has these arrays, and settings for this network."""
        coefs, intercepts = estimator.coefs_, estimator.intercepts_
        activation = estimator.activation
        return (
            self.activation == (activation if isinstance(activation, str) else list(activation))
            and self.output == estimator.out_activation_
            and len(coefs) == len(self.coefs) == len(intercepts)
            and all(map(is_, coefs, self.coefs))
            and all(map(is_, intercepts, self.intercepts))
        )

    def outputs(self, X: Any, layer: int | None = None) -> Array:
        """Compute a hidden layer's outputs, or the network's."""
        return self.net(X) if layer is None else self.net.hidden(X, layer)

    @property
    def loss_divisor(self) -> int:
        """The number that scikit-learn divides the loss by, and not its gradient.

        Its squared error is a mean over the outputs, with the gradient of the sum.
        """
        return self.net.layer_sizes[-1] if self.output == "identity" else 1

    def penalties(self) -> float:
        """Compute the penalties on the coefficients, undivided."""
        total = 0.0
        penalized = zip(self.coefs, self.settings["l1"], self.settings["l2"], strict=True)
        for weight, l1, l2 in penalized:
            flat = weight.ravel()
            total += l1 * float(np.abs(flat).sum()) if l1 else 0.0
            total += 0.5 * l2 * float(flat @ flat) if l2 else 0.0
        return total
