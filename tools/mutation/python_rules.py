"""Plausible mistakes of a Python file, found in its syntax tree.

Strings, docstrings, annotations, imports and code for type checkers stay as they are, and so do
mistakes after which the compiled module is the same.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from types import CodeType

from mutation.mistake import Mistake

COMPARISONS = {
    ast.Lt: ["<=", ">="],
    ast.LtE: ["<", ">"],
    ast.Gt: [">=", "<="],
    ast.GtE: [">", "<"],
    ast.Eq: ["!="],
    ast.NotEq: ["=="],
    ast.Is: ["is not"],
    ast.IsNot: ["is"],
    ast.In: ["not in"],
    ast.NotIn: ["in"],
}
OPERATORS = {
    ast.Add: ["-"],
    ast.Sub: ["+"],
    ast.Mult: ["/"],
    ast.Div: ["*"],
    ast.FloorDiv: ["/", "*"],
    ast.Mod: ["//"],
    ast.Pow: ["*"],
    ast.BitAnd: ["|"],
    ast.BitOr: ["&"],
    ast.LShift: [">>"],
    ast.RShift: ["<<"],
}
# Names that are easily taken for each other, at a call or as an attribute.
TWINS = [
    ("min", "max"),
    ("minimum", "maximum"),
    ("argmin", "argmax"),
    ("any", "all"),
    ("floor", "ceil"),
    ("zeros", "ones"),
    ("less", "less_equal"),
    ("greater", "greater_equal"),
    ("append", "extend"),
    ("isfinite", "isnan"),
    ("startswith", "endswith"),
    ("sum", "mean"),
    ("first", "last"),
    ("rows", "columns"),
]
TWIN = {a: b for pair in TWINS for a, b in (pair, pair[::-1])}
# A call without which nothing but a warning, a message or time differs.
IDLE_CALLS = re.compile(r"(warnings\.)?warn$|^__import__$|filterwarnings$|cast$|overload$|TypeVar$")


class _Finder:
    def __init__(self, file: str, text: str) -> None:
        self.file, self.text = file, text
        self.starts = [0]
        for line in text.splitlines(keepends=True):
            self.starts.append(self.starts[-1] + len(line))
        self.lines = text.splitlines()
        self.statement = (1, 1)

    def offset(self, line: int, column: int) -> int:
        """Return the position of a place whose column is in bytes of UTF-8."""
        return self.starts[line - 1] + len(self.lines[line - 1].encode()[:column].decode())

    def span(self, node: ast.expr | ast.stmt) -> tuple[int, int]:
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        return (
            self.offset(node.lineno, node.col_offset),
            self.offset(node.end_lineno, node.end_col_offset),
        )

    def source(self, node: ast.expr | ast.stmt) -> str:
        start, end = self.span(node)
        return self.text[start:end]

    def at(self, start: int, end: int, new: str, rule: str) -> Mistake:
        line = self.text.count("\n", 0, start) + 1
        return Mistake(self.file, start, end, new, rule, line, self.statement)

    def replace(self, node: ast.expr | ast.stmt, new: str, rule: str) -> Mistake:
        return self.at(*self.span(node), new, rule)

    def between(self, left: ast.expr, right: ast.expr, news: list[str]) -> Iterator[Mistake]:
        """Replace the operator between two operands."""
        start, end = self.span(left)[1], self.span(right)[0]
        # Brackets of the operands and comments may stand there, too.
        found = re.search(r"[^\s()#]+(\s+(not|in)\b)?", self.text[start:end])
        if found and "#" not in self.text[start:end]:
            for new in news:
                yield self.at(start + found.start(), start + found.end(), new, "operator")

    def statements(self, body: list[ast.stmt]) -> Iterator[Mistake]:
        for statement in body:
            assert statement.end_lineno is not None
            nested = getattr(statement, "body", None)
            last = nested[0].lineno - 1 if nested else statement.end_lineno
            self.statement = (statement.lineno, max(last, statement.lineno))
            yield from self.of_statement(statement)

    def of_statement(self, node: ast.stmt) -> Iterator[Mistake]:
        here = self.statement
        match node:
            case ast.Import() | ast.ImportFrom() | ast.Global() | ast.Nonlocal() | ast.Assert():
                return
            case ast.Expr(value=ast.Constant()):
                return
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                if any("overload" in self.source(decorator) for decorator in node.decorator_list):
                    return
                for default in [*node.args.defaults, *node.args.kw_defaults]:
                    if default is not None:
                        yield from self.of_expression(default)
                yield from self.statements(node.body)
                return
            case ast.ClassDef():
                yield from self.statements(node.body)
                return
            case ast.AnnAssign():
                if node.value is not None:
                    yield from self.of_expression(node.value)
                return
            case ast.If() | ast.While():
                if "TYPE_CHECKING" in self.source(node.test):
                    return
                yield self.replace(
                    node.test, f"not ({self.source(node.test)})", "negated condition"
                )
            case ast.Expr(value=ast.Call(func=function)):
                if IDLE_CALLS.search(self.source(function)):
                    return
                yield self.replace(node, "pass", "removed statement")
            case ast.AugAssign():
                yield self.replace(node, "pass", "removed statement")
                start, end = self.span(node.target)[1], self.span(node.value)[0]
                operator = self.text[start:end].strip()
                yield self.at(start, end, " = " if operator != "=" else " += ", "operator")
                for new in OPERATORS.get(type(node.op), []):
                    yield self.at(start, end, f" {new}= ", "operator")
            case ast.Assign(targets=[ast.Attribute() | ast.Subscript()]):
                yield self.replace(node, "pass", "removed statement")
            case ast.Raise() | ast.Delete():
                yield self.replace(node, "pass", "removed statement")
                return
            case ast.Continue() | ast.Break():
                yield self.replace(node, "pass", "removed statement")
            case ast.Return(value=ast.expr() as value) if not isinstance(value, ast.Constant):
                yield self.replace(value, "None", "forgotten result")
        for name, value in ast.iter_fields(node):
            if name in {"annotation", "returns", "type_comment"}:
                continue
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, ast.stmt):
                    continue
                self.statement = here
                if isinstance(child, ast.expr):
                    yield from self.of_expression(child)
                elif isinstance(child, ast.withitem):
                    yield from self.of_expression(child.context_expr)
                elif isinstance(child, ast.ExceptHandler | ast.match_case):
                    yield from self.statements(child.body)
        for name in ("body", "orelse", "finalbody"):
            nested = getattr(node, name, [])
            if isinstance(nested, list):
                yield from self.statements(nested)

    def of_expression(self, node: ast.AST) -> Iterator[Mistake]:
        match node:
            case ast.JoinedStr():
                return
            case ast.Compare():
                operands = [node.left, *node.comparators]
                for left, right, operator in zip(operands, operands[1:], node.ops, strict=False):
                    yield from self.between(left, right, COMPARISONS[type(operator)])
            case ast.BoolOp():
                news = ["or" if isinstance(node.op, ast.And) else "and"]
                for left, right in zip(node.values, node.values[1:], strict=False):
                    yield from self.between(left, right, news)
                for i, value in enumerate(node.values):
                    rest = [v for j, v in enumerate(node.values) if j != i]
                    word = " and " if isinstance(node.op, ast.And) else " or "
                    kept = word.join(f"({self.source(other)})" for other in rest)
                    yield self.replace(node, f"({kept})", f"dropped {self.source(value)[:40]}")
            case ast.BinOp():
                if not any(_is_text(side) for side in (node.left, node.right)):
                    yield from self.between(node.left, node.right, OPERATORS.get(type(node.op), []))
                    if isinstance(node.op, ast.Add | ast.Sub):
                        yield self.replace(node, f"({self.source(node.left)})", "dropped term")
                    elif isinstance(node.op, ast.Mult | ast.Div | ast.FloorDiv):
                        yield self.replace(node, f"({self.source(node.left)})", "dropped factor")
            case ast.UnaryOp(op=ast.Not() | ast.USub(), operand=operand):
                if not (isinstance(node.op, ast.USub) and isinstance(operand, ast.Constant)):
                    yield self.replace(node, f"({self.source(operand)})", "dropped sign")
            case ast.IfExp():
                test = f"not ({self.source(node.test)})"
                yield self.replace(node.test, test, "negated condition")
            case ast.Constant(value=bool() as truth):
                yield self.replace(node, str(not truth), "wrong constant")
            case ast.Constant(value=int() as number):
                yield self.replace(node, str(number + 1), "wrong constant")
                if number > 0:
                    yield self.replace(node, str(number - 1), "wrong constant")
            case ast.Constant(value=float() as value):
                yield self.replace(node, repr(value * 1.5 if value else 1.0), "wrong constant")
            case ast.Subscript(slice=ast.Slice() as part):
                if part.lower is not None and not isinstance(part.lower, ast.Constant):
                    new = f"({self.source(part.lower)}) + 1"
                    yield self.replace(part.lower, new, "bound off by one")
                if part.upper is not None and not isinstance(part.upper, ast.Constant):
                    new = f"({self.source(part.upper)}) - 1"
                    yield self.replace(part.upper, new, "bound off by one")
            case ast.Name(id=name) if isinstance(node.ctx, ast.Load) and name in {"min", "max"}:
                yield self.replace(node, TWIN[name], "twin")
            case ast.Name(id=name) if isinstance(node.ctx, ast.Load) and name in {"any", "all"}:
                yield self.replace(node, TWIN[name], "twin")
            case ast.Attribute(attr=name) if name in TWIN:
                end = self.span(node)[1]
                yield self.at(end - len(name), end, TWIN[name], "twin")
            case ast.Call():
                yield from self.of_call(node)
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.expr | ast.comprehension | ast.keyword):
                yield from self.of_expression(child)

    def of_call(self, node: ast.Call) -> Iterator[Mistake]:
        """Arguments in the wrong order, a forgotten keyword, a condition left out."""
        for left, right in zip(node.args, node.args[1:], strict=False):
            if isinstance(left, ast.Name | ast.Attribute) and isinstance(
                right, ast.Name | ast.Attribute
            ):
                start, end = self.span(left)[0], self.span(right)[1]
                middle = self.text[self.span(left)[1] : self.span(right)[0]]
                new = self.source(right) + middle + self.source(left)
                yield self.at(start, end, new, "swapped arguments")
        for keyword in node.keywords:
            if keyword.arg is None or len(node.args) + len(node.keywords) < 2:
                continue
            start, end = self.span(keyword.value)
            start -= len(keyword.arg) + 1
            comma = re.match(r"\s*,\s*", self.text[end:])
            if comma and self.text[start:].startswith(keyword.arg):
                yield self.at(start, end + comma.end(), "", f"forgotten {keyword.arg}=")
            else:
                before = re.search(r",\s*$", self.text[:start])
                if before and self.text[start:].startswith(keyword.arg):
                    yield self.at(before.start(), end, "", f"forgotten {keyword.arg}=")


def _is_text(node: ast.expr) -> bool:
    if isinstance(node, ast.BinOp):
        return _is_text(node.left) or _is_text(node.right)
    return isinstance(node, ast.JoinedStr) or (
        isinstance(node, ast.Constant) and isinstance(node.value, str | bytes)
    )


def _without_places(code: CodeType) -> tuple[object, ...]:
    constants = tuple(
        _without_places(constant)
        if isinstance(constant, CodeType)
        else (type(constant).__name__, repr(constant))
        for constant in code.co_consts
    )
    names = (code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars)
    return code.co_code, constants, names, code.co_flags


def compiled(text: str, file: str) -> tuple[object, ...] | None:
    """Return what the file's text compiles to, without its line numbers; None: an error."""
    try:
        return _without_places(compile(text, file, "exec", dont_inherit=True))
    except (SyntaxError, ValueError):
        return None


def mistakes(file: str, text: str) -> list[Mistake]:
    """Return the possible mistakes of a Python file."""
    finder = _Finder(file, text)
    found = list(finder.statements(ast.parse(text).body))
    return list(dict.fromkeys(found))
