"""One mistake: a place in a file and what stands there instead."""

from __future__ import annotations

import difflib
import hashlib
import random
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Mistake:
    """The text from `start` to `end` of `file` (relative to the checkout) replaced by `new`."""

    file: str
    start: int
    end: int
    new: str
    rule: str
    line: int
    # First and last line of the statement around it: coverage.py counts a statement at its first.
    lines: tuple[int, int]

    def apply(self, text: str) -> str:
        """Return the file's text with the mistake in it."""
        return text[: self.start] + self.new + text[self.end :]

    def diff(self, text: str) -> str:
        """Return the mistake as a diff of one line of context."""
        lines = difflib.unified_diff(
            text.splitlines(), self.apply(text).splitlines(), self.file, self.file, "", "", 1, ""
        )
        return "\n".join(lines)

    def identifier(self, text: str) -> str:
        """Return a name that holds as long as the statement and what precedes it are unchanged."""
        key = f"{self.file}\0{text[: self.end]}\0{self.start}\0{self.new}"
        return hashlib.sha1(key.encode()).hexdigest()[:10]


def sample(mistakes: Iterable[Mistake], generator: random.Random) -> list[Mistake]:
    """Return the mistakes in random order, one a line first: a table of numbers counts once."""
    at_line: defaultdict[tuple[str, int], list[Mistake]] = defaultdict(list)
    for mistake in mistakes:
        at_line[mistake.file, mistake.line].append(mistake)
    lines = list(at_line.values())
    for found in lines:
        generator.shuffle(found)
    generator.shuffle(lines)
    most = max(map(len, lines), default=0)
    return [found[turn] for turn in range(most) for found in lines if turn < len(found)]
