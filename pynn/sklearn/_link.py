"""The core's network behind an estimator's ``coefs_`` and ``intercepts_``."""

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
    """A network whose parameters the estimator's arrays are views of.

    Parameters
    ----------
    coefs, intercepts : sequence of array_like
        The parameters are copied from them.
    activation : str or sequence of str
        Of the hidden layers, in scikit-learn's names.
    output : str
        The estimator's ``out_activation_``.
    settings : dict
        `l1`, `l2` and `dropout` of the network.
    onto : Link, optional
        Another one of the same shapes: its parameters are used, not copied.

    Attributes
    ----------
    net : MLP
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
        # (A list is copied: it may be changed in place later.)
        self.activation = activation if isinstance(activation, str) else list(activation)
        self.output = output
        self.settings = settings or {}
        self.net = net = MLP(
            sizes,
            activation=hidden_activations(activation, len(sizes) - 2),
            loss=loss_of(output),
            init="zeros",
            dtype="float32" if single else "float64",
            seed=0,
            **self.settings,
        )
        net._penalty_by_weight = True
        if onto is None:
            net.set_weights(arrays, intercepts)
            self.coefs, self.intercepts = net.weights, net.biases
        else:
            engine_of(net).share(engine_of(onto.net))
            self.coefs, self.intercepts = onto.coefs, onto.intercepts

    def is_current(self, estimator: Any) -> bool:
        """Whether an estimator still has these arrays and would make this network of them."""
        coefs, intercepts = estimator.coefs_, estimator.intercepts_
        activation = estimator.activation
        return (
            self.activation == (activation if isinstance(activation, str) else list(activation))
            and self.output == estimator.out_activation_
            and len(coefs) == len(self.coefs) == len(intercepts)
            and all(map(is_, coefs, self.coefs))
            and all(map(is_, intercepts, self.intercepts))
        )

    def with_settings(self, settings: dict[str, Any]) -> Link:
        """A link to the same parameters with these settings of the network."""
        if settings == self.settings:
            return self
        return Link(self.coefs, self.intercepts, self.activation, self.output, settings, self)

    @classmethod
    def of(cls, estimator: Any, settings: dict[str, Any] | None = None) -> Link:
        """A new link to an estimator's present coefficients."""
        return cls(
            estimator.coefs_,
            estimator.intercepts_,
            estimator.activation,
            estimator.out_activation_,
            settings,
        )

    def outputs(self, X: Any, layer: int | None = None) -> Array:
        """A hidden layer's outputs, or the network's."""
        return self.net(X) if layer is None else self.net.hidden(X, layer)
