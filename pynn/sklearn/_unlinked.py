"""Outputs computed from an estimator's arrays as they are."""

from __future__ import annotations

from typing import Any

import numpy as np

from pynn import _core, ops
from pynn._types import Array
from pynn.architecture import check_activations
from pynn.formats.sklearn import hidden_activations, loss_of, output_activation
from pynn.losses import check_loss


def unlinked_outputs(estimator: Any, X: Array, layer: int | None = None) -> Array:
    """Compute a hidden layer's outputs, or the network's, without a copy of the coefficients.

    This is for an estimator whose ``coefs_`` or ``intercepts_`` hold other arrays than those of its
    fit. The results have the bits of `Link.outputs`.

    Parameters
    ----------
    estimator : BaseMLP
    X : ndarray of shape (n, inputs)
        Checked samples.
    layer : int, optional
        A hidden layer; negative numbers count from the last one.

    Returns
    -------
    ndarray of shape (n, units)

    Raises
    ------
    ValueError
        If the arrays do not fit each other, or there is no such layer.
    """
    weights = [np.asarray(coef) for coef in estimator.coefs_]
    biases = [np.asarray(intercept) for intercept in estimator.intercepts_]
    _check_shapes(weights, biases, X.shape[1])
    count = len(weights) - 1
    names = check_activations(hidden_activations(estimator.activation, count), count)
    single = all(weight.dtype == np.float32 for weight in weights)
    dtype = np.dtype(np.float32 if single else np.float64)
    last = count if layer is None else _index(layer, count)
    # Values outside float32's range become 0 or infinity, as in a network.
    with np.errstate(all="ignore"):
        values = X.astype(dtype, copy=False)
        for i in range(last + 1):
            weight, bias = (a[i].astype(dtype, copy=False) for a in (weights, biases))
            values = ops.linear(values, weight, bias)
            if i < count and names[i] != "identity":
                values = getattr(ops, names[i])(values)
    if last == count:
        output = estimator.out_activation_
        loss = check_loss(loss_of(output))
        _core.predict_into(loss.core_settings(output_activation(output), values.shape[1]), values)
    return values


def _index(layer: int, count: int) -> int:
    if count == 0:
        raise ValueError("this network has no hidden layer")
    try:
        return range(count)[layer]
    except (IndexError, TypeError):
        raise ValueError(
            f"layer must be an integer from {-count} to {count - 1}, got {layer!r}"
        ) from None


def _check_shapes(weights: list[Array], biases: list[Array], inputs: int) -> None:
    if len(weights) != len(biases):
        raise ValueError(f"coefs_ has {len(weights)} arrays, but intercepts_ has {len(biases)}")
    for i, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
        if weight.ndim != 2 or weight.shape[0] != inputs:
            raise ValueError(
                f"coefs_[{i}] has shape {weight.shape}, expected ({inputs}, units) for "
                f"{'the samples' if i == 0 else 'the layer before'}"
            )
        inputs = weight.shape[1]
        if bias.shape != (inputs,):
            raise ValueError(f"intercepts_[{i}] has shape {bias.shape}, expected ({inputs},)")
