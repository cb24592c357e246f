"""Attributes: read-only ones, those that are checked when they are set, and unknown ones."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, TypeVar, overload

from pynn._keywords import place
from pynn._types import Array

if TYPE_CHECKING:
    from typing import Generic
else:

    class Generic:
        """Stands for `typing.Generic`, whose subclasses are slow to define."""

        def __class_getitem__(cls, item: Any) -> Any:
            return cls


V = TypeVar("V")
A = TypeVar("A", bound="_Attribute[Any]")


class _Attribute(Generic[V]):
    """An attribute whose value is in the object's ``__dict__`` under its own name."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self: A, owner: None, kind: type) -> A: ...
    @overload
    def __get__(self, owner: object, kind: type) -> V: ...
    def __get__(self, owner: Any, kind: type) -> Any:
        if owner is None:
            return self
        try:
            return owner.__dict__[self._name]
        except KeyError:  # (a half-made copy)
            raise AttributeError(
                f"{kind.__name__!r} object has no attribute {self._name!r}"
            ) from None


class Closed:
    """Base class of objects that refuse public attributes of unknown names.

    A class names those that it sets in ``_settable``. A subclass defined elsewhere may have any.
    """

    _settable: ClassVar[tuple[str, ...]] = ()

    if not TYPE_CHECKING:  # type checkers would then accept the assignment of any name

        def __setattr__(self, name: str, value: Any) -> None:
            if not (name[:1] == "_" or name in self._settable):
                kind = type(self)
                if not hasattr(kind, name) and kind.__module__.partition(".")[0] == "pynn":
                    cure = self._cure(name) or "; a subclass may have attributes of its own"
                    raise AttributeError(f"{kind.__name__} has no attribute {name!r}{cure}")
            object.__setattr__(self, name, value)

    def _cure(self, name: str) -> str:
        """What was probably meant, as the end of a message."""
        return place(name, list(self._settable))


class Fixed(_Attribute[V]):
    """An attribute that describes how a network was made, and that cannot be set."""

    def __set__(self, owner: object, value: V) -> NoReturn:
        kind, name = type(owner).__name__, self._name
        of_layers = hasattr(owner, "load_state_dict")
        cure = (
            "load_state_dict(net.state_dict())" if of_layers else "set_weights(net.get_weights())"
        )
        raise AttributeError(
            f"{kind}.{name} is read-only, since the network was made with it: make another network "
            f"and give it these weights, other.{cure}"
        )


class Checked(_Attribute[V]):
    """An attribute whose values are checked when they are set.

    Parameters
    ----------
    check : callable
        Returns the value that is kept, or raises.
    """

    def __init__(self, check: Callable[[Any], V]) -> None:
        self.check = check

    def __set__(self, owner: object, value: V) -> None:
        owner.__dict__[self._name] = self.check(value)


class _Arrays(tuple[Array, ...]):
    """A tuple that takes ``arrays[0] += 1``, which has changed the array already."""

    def __setitem__(self, index: Any, value: Any) -> None:
        if value is not self[index]:
            raise TypeError(
                "a network's tuple of arrays does not support item assignment: write into the "
                f"array, [{index}][...] = values, or call net.set_weights(weights, biases)"
            )


class Views:
    """A tuple of arrays that may be written into, but not replaced.

    Parameters
    ----------
    source : callable
        Gives the owner's arrays.
    doc : str
    """

    def __init__(self, source: Callable[[Any], Iterable[Array]], doc: str) -> None:
        self._source, self.__doc__ = source, doc

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, owner: None, kind: type) -> Views: ...
    @overload
    def __get__(self, owner: object, kind: type) -> tuple[Array, ...]: ...
    def __get__(self, owner: Any, kind: type) -> Any:
        return self if owner is None else _Arrays(self._source(owner))

    def __set__(self, owner: object, value: Any) -> NoReturn:
        name = self._name
        raise AttributeError(
            f"{type(owner).__name__}.{name} is read-only: write into the arrays, "
            f"net.{name}[0][...] = values, or call net.set_weights(weights, biases)"
        )
