"""Networks from other libraries and for other run times.

`from_torch`, `to_torch`, `from_keras`, `to_keras`, `from_sklearn` and `to_sklearn` move networks
between pynn and PyTorch, Keras or scikit-learn; `to_onnx` writes an ONNX model and `to_c` one file
of C. These two, `to_torch` and `to_keras` take fitted estimators too. The result is a copy that
shares no memory with the original.
"""

from pynn.convert.keras import from_keras
from pynn.convert.sklearn import from_sklearn
from pynn.convert.torch import from_torch
from pynn.formats.c import to_c
from pynn.formats.keras import to_keras
from pynn.formats.onnx import to_onnx
from pynn.formats.sklearn import to_sklearn
from pynn.formats.torch import to_torch

__all__ = [
    "from_keras",
    "from_sklearn",
    "from_torch",
    "to_c",
    "to_keras",
    "to_onnx",
    "to_sklearn",
    "to_torch",
]


def __dir__() -> list[str]:
    return __all__
