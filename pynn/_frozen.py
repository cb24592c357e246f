"""Small immutable objects: what ``@dataclass(frozen=True)`` gives, without its cost at import.

A dataclass writes its methods as source and compiles them when the class is defined. That took a
third of the time of ``import pynn``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any


class Frozen:
    """Base class of objects that are equal if their settings are, and do not change.

    A subclass names its settings in ``__match_args__``, in the order of its constructor, and
    assigns each of them once, in the constructor.
    """

    __match_args__: tuple[str, ...] = ()

    if not TYPE_CHECKING:  # type checkers would then accept the assignment of any name

        def __setattr__(self, name: str, value: Any) -> None:
            # A subclass defined elsewhere may have further attributes.
            if name in self.__match_args__:
                refused = name in self.__dict__
            else:
                refused = "__match_args__" in type(self).__dict__
            if refused:
                raise _error(f"cannot assign to field {name!r}")
            object.__setattr__(self, name, value)

        def __delattr__(self, name: str) -> None:
            if name in self.__match_args__ or "__match_args__" in type(self).__dict__:
                raise _error(f"cannot delete field {name!r}")
            object.__delattr__(self, name)

    def _settings(self) -> dict[str, Any]:
        """The settings by name, in the constructor's order."""
        return {name: getattr(self, name) for name in self.__match_args__}

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        try:
            return self.__dict__ == other.__dict__
        except ValueError:  # arrays, in a class defined elsewhere
            return NotImplemented

    def __hash__(self) -> int:
        return hash((type(self), *self._settings().values()))

    def __repr__(self) -> str:
        settings = ", ".join(f"{name}={value!r}" for name, value in self._settings().items())
        return f"{type(self).__qualname__}({settings})"

    def __replace__(self, /, **changes: Any) -> Any:
        # For copy.replace of Python 3.13.
        return type(self)(**{**self._settings(), **changes})


def _error(message: str) -> AttributeError:
    from dataclasses import FrozenInstanceError

    return FrozenInstanceError(message)
