"""The pages' Python runs and prints the output shown, and their links are valid."""

import doctest
import importlib
import re
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
GENERATED = (DOCS / "auto_gallery", DOCS / "api" / "generated")
PAGES = [
    path
    for path in sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md")])
    if not any(folder in path.parents for folder in GENERATED)
]
# What a page's code needs beside pynn and NumPy, where no import says so.
NEEDS = {
    r"\.to_onnx\(": "onnx",
    r"\.safetensors\"": "safetensors",
    r"\.to_pandas\(": "pandas",
    r"\.plot\b": "matplotlib",
    r"\.(to|from)_torch\(": "torch",
    r"\.(to|from)_keras\(": "keras",
    r"\.(to|from)_sklearn\(|pynn\.sklearn": "sklearn",
}
RUN = ("python", "pycon")
NOT_RUN = ("", "text", "bash", "console", "c", "toml")

pytestmark = pytest.mark.skipif(not DOCS.exists(), reason="the pages are not beside the tests")


def name_of(page):
    return page.relative_to(ROOT).as_posix()


pages = pytest.mark.parametrize("page", PAGES, ids=name_of)


@dataclass
class Block:
    """A fenced block: its first line's number, its language and its text."""

    line: int
    language: str
    text: str


def blocks_of(page):
    found, fence = [], None
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
        marks = re.match(r" *(`{3,}|:{3,})(.*)", line)
        if fence is None and marks:
            fence, block = marks[1], Block(number + 1, marks[2].strip(), "")
        elif fence is not None and line.strip() == fence:
            found.append(block)
            fence = None
        elif fence is not None:
            block.text += line + "\n"
    assert fence is None, f"{name_of(page)}: a block is not closed"
    return found


def code_of(page):
    """The blocks that are to be run."""
    if page.suffix == ".md":
        yield from (block for block in blocks_of(page) if block.language in RUN)
    yield from pictures_of(page)


def pictures_of(page):
    """The code of the plot directives on a page."""
    text = page.read_text(encoding="utf-8")
    for match in re.finditer(r"^\.\. plot::\n(?:   :.*\n)*\n((?:   .*\n|\n)*)", text, flags=re.M):
        line = text.count("\n", 0, match.start(1)) + 1
        yield Block(line, "python", textwrap.dedent(match[1]))


def prose_of(page):
    """The page without its code, a line a line."""
    text = page.read_text(encoding="utf-8")
    text = re.sub(
        r"^ *```(?!\{).*?^ *```$", lambda m: "\n" * m[0].count("\n"), text, flags=re.S | re.M
    )
    return re.sub(r"(?<![\w`}])`[^`\n]*`", "", text)


# ------------------------------------------------------------------- the code


def packages_of(code):
    """The packages that a block imports, or needs otherwise."""
    found = {package for pattern, package in NEEDS.items() if re.search(pattern, code)}
    imports = r"^(?:>>> |\.\.\. )?\s*(?:from|import) ([a-z]\w*)"
    found |= set(re.findall(imports, code, flags=re.M))
    return found - {"pynn", "numpy"}


def run_doctest(block, page, names):
    test = doctest.DocTestParser().get_doctest(
        block.text, names, name_of(page), str(page), block.line - 1
    )
    test.globs = names  # (not a copy: later blocks use the names of this one)
    options = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    report = []
    # (By itself it would be verbose where pytest is.)
    runner = doctest.DocTestRunner(verbose=False, optionflags=options)
    runner.run(test, out=report.append, clear_globs=False)
    assert not report, "".join(report)


def pages_with_code():
    more = [page for page in [DOCS / "guide" / "plots.rst"] if page.exists()]
    return [page for page in [*PAGES, *more] if any(code_of(page))]


def test_most_pages_have_code():
    assert len(pages_with_code()) > len(PAGES) / 2


@pytest.mark.parametrize("page", pages_with_code(), ids=name_of)
def test_code_runs(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "Agg")
    names = {"__name__": "__main__"}
    for block in code_of(page):
        for package in sorted(packages_of(block.text)):
            pytest.importorskip(package)
        if ">>> " in block.text:
            run_doctest(block, page, names)
        else:
            # (With the page's line numbers.)
            exec(compile("\n" * (block.line - 1) + block.text, str(page), "exec"), names)
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")


@pages
def test_blocks_have_a_language(page):
    for block in blocks_of(page):
        assert block.language in RUN + NOT_RUN or block.language.startswith("{"), block
        # Python that is not run is either a program's output or says that it is not run.
        if block.language in NOT_RUN:
            assert ">>> " not in block.text, block


@pages
def test_there_is_one_picture_at_most(page):
    """In Markdown, each of a page's pictures would have the same file."""
    assert len(list(pictures_of(page))) <= 1


@pages
def test_tables_are_narrow(page):
    """Six columns fit on a page; more have to be scrolled."""
    text = re.sub(r"`[^`\n]*`|\\\|", "", page.read_text(encoding="utf-8"))
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("|"):
            assert line.strip().strip("|").count("|") < 6, f"{name_of(page)}:{number}"


def test_wrong_output_is_found(tmp_path):
    page = ROOT / "wrong.md"
    with pytest.raises(AssertionError, match="Expected"):
        run_doctest(Block(1, "pycon", ">>> 1 + 1\n3\n"), page, {})


# ------------------------------------------------------------------ the links


def slug(title):
    """A heading's anchor, as GitHub and the site make it."""
    title = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", title)
    return re.sub(r"[^\w\- ]", "", title.strip().lower()).replace(" ", "-")


def anchors_of(page):
    text = page.read_text(encoding="utf-8")
    text = re.sub(r"^```.*?^```$", "", text, flags=re.S | re.M)
    included = re.findall(r"^\(([\w-]+)\)=$", text, flags=re.M)
    return {slug(title) for title in re.findall(r"^#+ +(.*)$", text, flags=re.M)} | set(included)


def links_of(page):
    prose = prose_of(page)
    for match in re.finditer(r"\[[^\]]*\]\(([^)\s]+)[^)]*\)", prose):
        yield prose.count("\n", 0, match.start()) + 1, match[1]


def complaint_about(page, target):
    """What is wrong with a link, or nothing."""
    parts = urlsplit(target)
    if parts.scheme or target.startswith("//"):
        good = parts.scheme == "https" and "." in parts.netloc and " " not in target
        return "" if good else "is no https address"
    path = (page.parent / parts.path).resolve() if parts.path else page
    if not path.exists():
        return "leads nowhere"
    if parts.fragment and path.suffix == ".md" and parts.fragment not in anchors_of(path):
        return "leads to a page without that heading"
    return ""


@pages
def test_links(page):
    wrong = [
        f"{name_of(page)}:{line}: {target} {complaint}"
        for line, target in links_of(page)
        if (complaint := complaint_about(page, target))
    ]
    assert not wrong, "\n".join(wrong)


@pages
def test_names_in_roles(page):
    for role, name in re.findall(r"\{py:(\w+)\}`~?([\w.]+)`", page.read_text(encoding="utf-8")):
        assert role == "obj", (role, name)
        if name.startswith("pynn.sklearn"):
            pytest.importorskip("sklearn")
        assert find(name) is not None, name


@pytest.mark.parametrize(
    ("target", "complaint"),
    [
        ("README.md", ""),
        ("README.md#ten-lines", ""),
        ("README.md#eleven-lines", "without that heading"),
        ("docs/nothing.md", "nowhere"),
        ("#speed", ""),
        ("https://semver.org", ""),
        ("http://semver.org", "no https"),
        ("https://nowhere", "no https"),
    ],
)
def test_wrong_links_are_found(target, complaint):
    assert complaint in complaint_about(ROOT / "README.md", target)
    assert bool(complaint) == bool(complaint_about(ROOT / "README.md", target))


# -------------------------------------------------------------- the reference


def find(name):
    """What a dotted name stands for."""
    parts = name.split(".")
    for i in range(len(parts), 0, -1):
        try:
            thing = importlib.import_module(".".join(parts[:i]))
        except ImportError:
            continue
        for part in parts[i:]:
            thing = getattr(thing, part)
        return thing
    return None


def documented():
    """The names in the reference's tables, and the modules described there."""
    names, modules = [], []
    for page in sorted((DOCS / "api").glob("*.rst")):
        module, inside = "", False
        for line in page.read_text(encoding="utf-8").splitlines():
            if match := re.match(r"\.\. (?:currentmodule|module)::\s+(\S+)", line):
                module = match[1]
            elif match := re.match(r"\.\. automodule::\s+(\S+)", line):
                modules.append(match[1])
            elif line.startswith(".. autosummary::"):
                inside = True
            elif line and not line.startswith(" "):
                inside = False
            elif inside and re.fullmatch(r"   [\w.]+", line):
                name = line.strip()
                names.append(name if name.startswith("pynn.") else f"{module}.{name}")
    return names, modules


PUBLIC = [
    "pynn",
    "pynn.layers",
    "pynn.ops",
    "pynn.many",
    "pynn.plot",
    "pynn.convert",
    "pynn.sklearn",
]


@pytest.mark.parametrize("module", PUBLIC)
def test_every_public_name_is_in_the_reference(module):
    if module == "pynn.sklearn":
        pytest.importorskip("sklearn")
    names, modules = documented()
    there = {id(find(n)) for n in names if module == "pynn.sklearn" or "pynn.sklearn" not in n}
    public = importlib.import_module(module)
    missing = [
        name
        for name in public.__all__
        if name != "__version__"
        and f"{module}.{name}" not in modules
        and id(getattr(public, name)) not in there
    ]
    assert not missing


def test_the_reference_has_each_name_once_and_none_that_is_not_there():
    names, modules = documented()
    assert len(set(names)) == len(names) > 80
    for name in [*names, *modules]:
        if name.startswith("pynn.sklearn") and importlib.util.find_spec("sklearn") is None:
            continue
        assert find(name) is not None, name
        if name not in modules:
            assert find(name).__doc__, name


def test_every_public_module_is_looked_at():
    """A package with a list of public names is among those above, or is no business of users."""
    import pkgutil

    import pynn

    own = {"pynn.files", "pynn.formats"}  # `pynn.load`, `MLP.save` and `pynn.convert` are theirs
    packages = {m.name for m in pkgutil.iter_modules(pynn.__path__, "pynn.") if m.ispkg}
    assert packages - own == set(PUBLIC) - {"pynn"}


def test_every_page_is_in_the_site():
    """Sphinx says so too, but takes longer."""
    linked = "\n".join(
        block.text
        for page in DOCS.rglob("*.md")
        for block in blocks_of(page)
        if "toctree" in block.language
    )
    for page in DOCS.rglob("*.md"):
        if page.name != "index.md" and not any(f in page.parents for f in GENERATED):
            assert re.search(rf"(^|[/<]){page.stem}>?$", linked, flags=re.M), name_of(page)


def test_the_diagram_is_what_its_program_draws():
    import runpy

    drawn = runpy.run_path(str(DOCS / "draw_architecture.py"))["draw"]()
    assert drawn == (DOCS / "architecture.svg").read_text(encoding="utf-8")


def test_the_files_that_the_diagram_names_are_there():
    """In the folder that the diagram says."""
    folder = None
    for line in (DOCS / "architecture.svg").read_text(encoding="utf-8").splitlines():
        if 'class="b"' in line:
            folder = ROOT / re.search(r"· ([\w/]+):", line)[1]
        elif 'class="f"' in line:
            for name in re.findall(r"[\w/]+\.(?:py|cpp|h)\b", line):
                assert (folder / name).exists() or (folder.parent / name).exists(), name


FILES = r"`((?:src|csrc|tests|bench|docs|tools|fuzz|examples)/[\w./]+\.\w+)`"


@pages
def test_files_that_are_mentioned_are_there(page):
    for name in re.findall(FILES, page.read_text(encoding="utf-8")):
        assert (ROOT / name).exists(), name
