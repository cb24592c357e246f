"""The outputs of an estimator's network and of its hidden layers."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils._set_output import _get_output_config
from sklearn.utils.validation import check_is_fitted

from pynn._types import Array
from pynn.sklearn._compat import validate_data
from pynn.sklearn._link import Link
from pynn.sklearn._plain import FrameReader, is_finite, needs_no_check
from pynn.sklearn._unlinked import unlinked_outputs


class Predictions(ClassNamePrefixFeaturesOutMixin, TransformerMixin):  # type: ignore[misc]
    """The part of an estimator that computes outputs."""

    # The user may replace the arrays; `_link` belongs to those of the last fit.
    coefs_: list[Array]
    intercepts_: list[Array]
    _link: Link

    def _outputs(self, X: Any) -> Array:
        """Compute the network's outputs for a caller's samples."""
        # Samples that need no check skip scikit-learn's, which costs more than a small network.
        link = self._present_link()
        if link is not None:
            plain = type(X) is np.ndarray and "feature_names_in_" not in self.__dict__
            array: Array | None = X if plain else self._as_plain(X)
            if array is not None and array.ndim == 2:
                outputs: Array | None = link.plain_forward(array, None)
                if outputs is not None and is_finite(array):
                    return outputs
        X = self._checked(X)
        outputs = self._compute(link, X)
        return outputs.astype(np.result_type(X.dtype, outputs.dtype), copy=False)

    def _as_plain(self, X: Any) -> Array | None:
        """Return `X` as an array, or None if its columns' names need scikit-learn's check."""
        own = self.__dict__
        if "feature_names_in_" not in own:
            return X if type(X) is np.ndarray else None
        names = own["feature_names_in_"]
        reader: FrameReader | None = own.get("_frames")
        if reader is None or reader.names is not names:
            reader = self._frames = FrameReader(names)
        return reader.read(X)

    def _checked(self, X: Any) -> Any:
        """Check samples for a prediction as scikit-learn does."""
        own = self.__dict__
        if "coefs_" not in own:
            check_is_fitted(self)
        array = self._as_plain(X)
        if array is not None and needs_no_check(array, own.get("n_features_in_")):
            return array
        return validate_data(self, X, accept_sparse=["csr", "csc"], reset=False)

    def _present_link(self) -> Link | None:
        """Return the link to the present coefficients, or None if some were replaced."""
        link: Link | None = self.__dict__.get("_link")
        return link if link is not None and link.is_current(self) else None

    def _compute(self, link: Link | None, X: Any, layer: int | None = None) -> Array:
        """Compute a hidden layer's outputs for checked samples, or the network's."""
        if link is None:
            # A sparse product needs a network, which is made of copies.
            if not hasattr(X, "toarray"):
                return unlinked_outputs(self, X, layer)
            link = Link.of(self)
        return link.outputs(X, layer)

    def transform(self, X: Any, layer: int = -1) -> Array:
        """Compute a hidden layer's representation of the samples.

        Parameters
        ----------
        X : array_like or sparse matrix of shape (n_samples, n_features)
        layer : int, default -1
            The hidden layer, counted from 0; negative numbers count from the last one. As a step of
            a pipeline the estimator gives its last hidden layer.

        Returns
        -------
        ndarray of shape (n_samples, units)
        """
        X = self._checked(X)
        outputs = self._compute(self._present_link(), X, layer)
        if outputs.shape[1] != self._n_features_out and self._names_columns():
            raise ValueError(
                f"with set_output, transform has the last hidden layer's {self._n_features_out} "
                f"columns; hidden layer {layer} has {outputs.shape[1]} units"
            )
        return outputs

    def _names_columns(self) -> bool:
        """Return True if `set_output` chose data frames."""
        return str(_get_output_config("transform", self)["dense"]) != "default"

    @property
    def _n_features_out(self) -> int:
        """The last hidden layer's units, for the columns' names of `set_output`."""
        units: int = self.coefs_[-1].shape[0]
        return units
