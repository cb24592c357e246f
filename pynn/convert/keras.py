"""Networks from Keras models."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from numpy.typing import DTypeLike

from pynn.architecture import check_dtype
from pynn.convert._build import make_sequential
from pynn.formats.keras import OWN_LAYERS, import_keras, own_layer, read_model
from pynn.layers._base import check_shape
from pynn.sequential import Sequential


def __getattr__(name: str) -> Any:
    # Pickle finds them here.
    if name in OWN_LAYERS:
        return own_layer(name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def from_keras(
    model: Any,
    loss: Any = None,
    dtype: DTypeLike | None = None,
    seed: Any = None,
    *,
    input_shape: int | Sequence[int] | None = None,
) -> Sequential:
    """Make a network of a Keras model, whatever Keras' backend.

    Parameters
    ----------
    model : keras.Sequential or keras.Model
        A built model of Keras 3 of the layers ``Dense``, ``Activation`` (``ReLU``, ``LeakyReLU``
        with slope 0.01, ``ELU``, ``Softmax``), ``Dropout``, ``Flatten``, ``Reshape``,
        ``BatchNormalization``, ``LayerNormalization``, ``Embedding``, ``GlobalAveragePooling`` and
        ``GlobalMaxPooling``, channels last. Nested models are read in order. A functional model
        may have residuals: ``Add`` of layers and their input, or of a ``Dense`` of it.
    loss : str or loss object, optional
        The loss of later training, as for `from_torch`: it also sets the output activation of a
        model that ends in logits. The default follows the last activation.
    dtype : {"float32", "float64"}, optional
        By default the model's.
    seed : None, int, numpy.random.SeedSequence or numpy.random.Generator
        The seed of later training.
    input_shape : int or tuple of int, optional
        The shape of a sample, where the model leaves a size open. By default a network for any
        length if that is the first size.

    Returns
    -------
    Sequential
        A network with copies of the parameters, and the penalties and max-norms of ``Dense``
        layers. What `compile` set is not copied.

    Raises
    ------
    TypeError
        If `model` is no model.
    ValueError
        If pynn cannot express the model. The message names the layer in the way and its place.
    ImportError
        If Keras 3 is not installed.

    Examples
    --------
    >>> import keras, pynn  # doctest: +SKIP
    >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])  # doctest: +SKIP
    >>> pynn.convert.from_keras(model, "softmax_cross_entropy").output_shape  # doctest: +SKIP
    (3,)
    """
    import_keras("from_keras")
    spec = read_model(model)
    if dtype is not None:
        spec = replace(spec, dtype=check_dtype(dtype))
    sizes: tuple[Any, ...] = tuple(None if n == -1 else n for n in spec.input_shape)
    shape = (
        sizes if input_shape is None else check_shape(input_shape, "input_shape", any_length=True)
    )
    if None in shape[1:]:
        raise ValueError(f"model takes inputs of shape {sizes}; pass input_shape without None")
    if len(shape) != len(sizes) or any(
        own not in (None, n) for own, n in zip(sizes, shape, strict=True)
    ):
        raise ValueError(f"input_shape is {shape}, but model takes inputs of shape {sizes}")
    return make_sequential(spec, loss, seed=seed, input_shape=shape)
