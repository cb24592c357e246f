"""Networks as plain data, and other libraries' forms of them.

`spec` holds the plain data. Each format has one module with one table from a layer's kind to the
function that writes it (and, for `torch`, that reads it). Nothing here imports a network: writers
take any object with a method ``to_spec()``, and readers return a specification, of which
`pynn.convert` makes a network.
"""

__all__: list[str] = []


def __dir__() -> list[str]:
    return __all__
