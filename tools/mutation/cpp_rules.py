"""Plausible mistakes of a C++ file, found by rewriting rules.

The rules lean on clang-format: a binary operator has a space on both sides, a template's bracket
and a pointer's star do not. Comments, strings, preprocessor lines, `static_assert`, heads of
templates and prefetches stay as they are. The caller leaves out what does not compile, and what
compiles to the same objects.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise

from mutation.mistake import Mistake

SKIPPED = re.compile(
    r"//[^\n]*|/\*.*?\*/"  # comments
    r"|^[ \t]*#(?:[^\n]*\\\n)*[^\n]*"  # preprocessor lines
    r'|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])+\''  # strings and characters
    r"|\bstatic_assert\s*\([^;]*;"
    r"|\btemplate\s*<[^\n]*>(?=\s)"
    r"|\boperator(?:[-+*/%<>=!&|^]+|\(\)|\[\])"
    r"|\b(?:\w+\.)?\w*prefetch\w*\s*\([^;]*;"
    r"|^[ \t]*(?:using|namespace|extern|enum)\b[^;{]*",
    re.DOTALL | re.MULTILINE,
)
OPERATORS = {
    "<": ["<="],
    "<=": ["<"],
    ">": [">="],
    ">=": [">"],
    "==": ["!="],
    "!=": ["=="],
    "+": ["-"],
    "-": ["+"],
    "*": ["+"],
    "/": ["*"],
    "%": ["/"],
    "&&": ["||"],
    "||": ["&&"],
    "&": ["|"],
    "|": ["&"],
    "<<": [">>"],
    ">>": ["<<"],
    "+=": ["-=", "="],
    "-=": ["+="],
    "*=": ["="],
    "/=": ["*="],
}
OPERATOR = re.compile(
    r"(?<=[\w)\]\"]) (<=|>=|==|!=|&&|\|\||<<|>>|\+=|-=|\*=|/=|[-<>+*/%&|])(?=[ \n])"
)
OPERAND = r"(?:[\w.]|->|::|\[[^\[\]]*\]|\([^()]*\))+"
DROPPED = re.compile(rf" [-+] {OPERAND}(?=[;,)\]])")
DROPPED_FIRST = re.compile(rf"(?<=[(\[,=]) ?({OPERAND}) [+*] (?=[\w(])")
DROPPED_FACTOR = re.compile(rf" \* {OPERAND}(?=[;,)\]])")
NUMBER = re.compile(
    r"(?<![\w.])(?:0x[0-9a-fA-F.]+(?:p[-+]?\d+)?|\d+\.\d*(?:e[-+]?\d+)?|\d+(?:e[-+]?\d+)?)"
    r"(?=(?:u|l|ll|f|L|ull)?\b)"
)
TWINS = {"min": "max", "max": "min", "true": "false", "false": "true", "first": "last"}
TWIN = re.compile(r"(?<![\w.>])(min|max|true|false)\b")
INDEX = re.compile(r"(?<=[\w\])])\[([a-z]\w*)\]")
NOT = re.compile(r"!(?=[\w(])")
TERNARY = re.compile(rf"(?:[=,:?] |\(|return )({OPERAND}) \?")
CONDITION = re.compile(r"\b(?:if|while)(?: constexpr)? \(")
CALL = re.compile(r"\b[a-z_]\w*(?:<[\w, ]+>)?\(")
# A statement that assigns or calls; declarations begin with two words.
STATEMENT = re.compile(
    r"^(?:\*?[A-Za-z_](?:\w|::|->|\.|\[[^\[\]]*\])*(?:\([^()]*\)(?:\.|->)\w+)?)"
    r"\s*(?:[-+*/|&]?=(?!=)|\(|\+\+|--)|^(?:continue|break)$"
    r"|^(?:if|for) \(.*\)\s+[\w*:.>\[\]-]+\s*(?:[-+*/|&]?=(?!=)|\(|\+\+)|^(?:\+\+|--)"
    r"|^if \(.*\) (?:continue|break|return|throw)\b",
    re.DOTALL,
)
KEYWORDS = ("return", "throw", "delete", "goto", "case", "default", "else", "using", "typedef")


def _masked(text: str) -> str:
    """Return the text with blanks in place of what no rule may touch, of the same length."""
    return SKIPPED.sub(lambda found: re.sub(r"[^\n]", "\x00", found[0]), text)


def _end_of_brackets(text: str, start: int) -> int:
    """Return the position after the bracket that closes the one before `start`."""
    depth = 1
    for i in range(start, len(text)):
        depth += (text[i] in "([{") - (text[i] in ")]}")
        if not depth:
            return i + 1
    return len(text)


def _arguments(text: str, start: int) -> list[tuple[int, int]]:
    """Return the places of a call's arguments; `start` is after its bracket."""
    end = _end_of_brackets(text, start) - 1
    places, depth, begin = [], 0, start
    for i in range(start, end):
        depth += (text[i] in "([{") - (text[i] in ")]}")
        if text[i] == "," and not depth:
            places.append((begin, i))
            begin = i + 1
    places.append((begin, end))
    stripped = []
    for a, b in places:
        part = text[a:b]
        stripped.append((a + len(part) - len(part.lstrip()), b - len(part) + len(part.rstrip())))
    return stripped


def _numbers(number: str) -> list[str]:
    """Return plausible wrong values of a literal."""
    if number.startswith("0x") or "." in number or "e" in number:
        digits = [i for i, c in enumerate(number) if c.isdigit() and not number.startswith("0x", i)]
        if number.startswith("0x"):
            digits = [i for i in digits if i > 1 and "p" not in number[:i]]
        if not digits:
            return []
        # The first digit that counts, and one in the middle of a long one.
        first = next((i for i in digits if number[i] != "0"), digits[-1])
        chosen = {first, digits[min(len(digits) // 2, len(digits) - 1)]}
        return [f"{number[:i]}{(int(number[i]) + 1) % 10}{number[i + 1 :]}" for i in sorted(chosen)]
    value = int(number)
    return [str(value + 1), *([str(value - 1)] if value else [])]


def _found(text: str, masked: str) -> Iterator[tuple[int, int, str, str]]:
    for found in OPERATOR.finditer(masked):
        for new in OPERATORS[found[1]]:
            yield *found.span(1), new, "operator"
    for found in DROPPED.finditer(masked):
        yield *found.span(), "", "dropped term"
    for found in DROPPED_FACTOR.finditer(masked):
        yield *found.span(), "", "dropped factor"
    for found in DROPPED_FIRST.finditer(masked):
        yield found.start(1), found.end(), "", "dropped first operand"
    for found in NUMBER.finditer(masked):
        for new in _numbers(found[0]):
            yield *found.span(), new, "wrong constant"
    for found in TWIN.finditer(masked):
        yield *found.span(1), TWINS[found[1]], "twin"
    for found in INDEX.finditer(masked):
        yield *found.span(1), f"{found[1]} + 1", "index off by one"
        yield *found.span(1), "0", "wrong index"
    for found in NOT.finditer(masked):
        if not masked.startswith("!=", found.start()):
            yield *found.span(), "", "negated condition"
    for found in TERNARY.finditer(masked):
        yield *found.span(1), f"!({found[1]})", "negated condition"
    for found in CONDITION.finditer(masked):
        end = _end_of_brackets(masked, found.end()) - 1
        yield found.end(), end, f"!({text[found.end() : end]})", "negated condition"
    yield from _swapped(text, masked)
    yield from _removed(masked)


def _swapped(text: str, masked: str) -> Iterator[tuple[int, int, str, str]]:
    for found in CALL.finditer(masked):
        places = _arguments(masked, found.end())
        for (a, b), (c, d) in pairwise(places):
            left, right = text[a:b], text[c:d]
            if left != right and all(re.fullmatch(r"[a-z][\w.]*", side) for side in (left, right)):
                yield a, d, right + text[b:c] + left, "swapped arguments"


def _removed(masked: str) -> Iterator[tuple[int, int, str, str]]:
    begin, depth = 0, 0
    for i, character in enumerate(masked):
        depth = max(depth + (character in "([") - (character in ")]"), 0)
        if character in "{}":
            depth = 0
        if character in "{}" or (character == ";" and not depth):
            statement = masked[begin:i]
            stripped = statement.replace("\x00", " ").strip()
            if (
                character == ";"
                and STATEMENT.match(stripped)
                and not stripped.startswith(KEYWORDS)
                and "PYNN_" not in stripped
            ):
                start = begin + re.match(r"[\s\x00]*", statement).end()  # type: ignore[union-attr]
                yield start, i, "", "removed statement"
            begin = i + 1


def mistakes(file: str, text: str) -> list[Mistake]:
    """Return the possible mistakes of a C++ file."""
    masked = _masked(text)
    made: dict[Mistake, None] = {}
    for start, end, new, rule in sorted(_found(text, masked)):
        if "\x00" in masked[start:end] and rule not in {"removed statement", "negated condition"}:
            continue
        line = text.count("\n", 0, start) + 1
        made[Mistake(file, start, end, new, rule, line, (line, line))] = None
    return list(made)
