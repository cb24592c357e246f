"""Documents, docstrings and comments avoid the words that readers stumbled over."""

import ast
import io
import re
import tokenize
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
WORDS = re.compile(
    r"\b("
    r"besides|anew|lest|but for|(?:has|have|had) not got"
    r"|(?:go|goes|going|gone|went)\s+on|so many|of (?:its|their) own"
    r"|had better|(?:is|are) there for|(?:some|no|every)body|whoever"
    r"|ask(?:s|ed|ing)? for|who waits?|what is asked"
    # American spelling.
    r"|(?:col|behavi|neighb|fav|hon|lab)our\w*|centre\w*|grey|catalogue|licence|modell\w+|labell\w+"
    r"|(?:optim|initial|normal|regular|recogn|organ|general|standard|vector|parallel|minim|maxim)"
    r"is(?:e|es|ed|er|ing|ation|ations)"
    r")\b".replace(" ", r"\s+"),
    re.IGNORECASE,
)
# A description is a noun phrase or an imperative ("True if ...").
OPENINGS = re.compile(r"^[^\S\n]*Whether\b", re.MULTILINE)
# Sentences that are right: an excerpt with the word.
ALLOWED: tuple[str, ...] = ()
# Texts that are still to be rewritten, by the beginning of their path.
NOT_YET = (
    "docs/reliability.md",
    "tools/mutate.py",
    "tools/mutation/",
)

pytestmark = pytest.mark.skipif(not (ROOT / "docs").exists(), reason="not beside the tests")


def texts_of_markdown(path):
    """Yield the prose: lines outside of code blocks, without code in backquotes."""
    text = path.read_text(encoding="utf-8")
    text = re.sub(
        r"^ *(`{3,})(?!\{).*?^ *\1$", lambda m: "\n" * m[0].count("\n"), text, flags=re.S | re.M
    )
    yield 1, re.sub(r"`[^`\n]*`", "`code`", text)


def texts_of_python(path):
    """Yield the comments and docstrings."""
    source = path.read_text(encoding="utf-8")
    comments = []
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            comments.append((token.start[0], token.string.lstrip("# ")))
    yield from joined(comments)
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            docstring = ast.get_docstring(node, clean=False)
            if docstring:
                yield node.body[0].lineno, docstring


def texts_of_cpp(path):
    """Yield the comments."""
    lines = enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
    yield from joined([(at, line.split("//", 1)[1].strip()) for at, line in lines if "//" in line])


def joined(comments):
    """Join comments on lines that follow each other, so that a phrase may span two."""
    block, first = [], 0
    for at, text in comments:
        if block and at == first + len(block):
            block.append(text)
        else:
            if block:
                yield first, "\n".join(block)
            block, first = [text], at
    if block:
        yield first, "\n".join(block)


READERS = {
    ".md": texts_of_markdown,
    ".rst": texts_of_markdown,
    ".py": texts_of_python,
    ".pyi": texts_of_python,
    ".cpp": texts_of_cpp,
    ".h": texts_of_cpp,
}


def files():
    """Return what is looked at, by folder."""
    found = [*ROOT.glob("*.md")]
    for folder in ("bench", "csrc", "docs", "examples", "fuzz", "pynn", "tests", "tools"):
        found += [path for path in (ROOT / folder).rglob("*") if path.suffix in READERS]
    generated = (ROOT / "docs" / "auto_gallery", ROOT / "docs" / "api" / "generated")
    return [path for path in found if not any(folder in path.parents for folder in generated)]


def complaints(path):
    """Return the forbidden words in a file, with their lines."""
    found = []
    for first, text in READERS[path.suffix](path):
        for match in (*WORDS.finditer(text), *OPENINGS.finditer(text)):
            around = " ".join(text[max(0, match.start() - 60) : match.end() + 60].split())
            if not any(allowed in around for allowed in ALLOWED):
                line = first + text.count("\n", 0, match.start())
                found.append(
                    f"{path.relative_to(ROOT).as_posix()}:{line}: {match[0].strip()!r}: {around}"
                )
    return found


def test_the_words_of_the_texts():
    wrong = []
    for path in sorted(files()):
        name = path.relative_to(ROOT).as_posix()
        if path != Path(__file__).resolve() and not name.startswith(NOT_YET):
            wrong += complaints(path)
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    ("name", "text", "lines"),
    [
        ("a.md", "Fine.\n\nA thread that waits goes\non alone.\n", [3]),
        ("a.md", "```python\nnobody = 1\n```\n`so many` of `lest`\n", []),
        ("a.md", "```{eval-rst}\nWritten anew.\n```\n", [2]),
        ("a.py", '"""Ask for it."""\nlest = "besides"  # It had\n# better.\n', [1, 2]),
        ("a.h", "// Whether it is.\n", [1]),
        ("a.h", "int nobody;  // Nobody\n// normalizes, neighbours do.\n", [1, 2]),
        ("a.cpp", "// Depends on many; the gas ongoing; includes go one way; everyone.\n", []),
    ],
)
def test_what_is_found(name, text, lines, tmp_path, monkeypatch):
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    assert sorted(int(found.split(":")[1]) for found in complaints(path)) == lines
