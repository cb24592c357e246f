"""The tables and pictures of the documents show the results in bench/results."""

import json
import sys
from pathlib import Path

import pytest
from pictures import check_nothing_is_cut

pytest.importorskip("matplotlib").use("Agg")

ROOT = Path(__file__).resolve().parents[2]
BENCH = ROOT / "bench"
RESULTS = sorted((BENCH / "results").glob("*.json"))

pytestmark = pytest.mark.skipif(not RESULTS, reason="the results are not beside the tests")
each = pytest.mark.parametrize("path", RESULTS, ids=[path.stem for path in RESULTS])


@pytest.fixture
def bench(monkeypatch):
    """The modules that print tables and draw pictures."""
    monkeypatch.syspath_prepend(str(BENCH))
    import overview
    import readme_picture

    yield overview, readme_picture
    for module in ("overview", "readme_picture", "plot", "report"):
        sys.modules.pop(module, None)


def read(path):
    return json.loads(path.read_text(encoding="utf-8"))


@each
def test_the_page_on_performance_has_every_table(bench, path):
    overview, _ = bench
    page = (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")
    for run in read(path)["runs"]:
        for section in run["sections"]:
            assert overview.table(run, section) in page, (run["threads"], section)


def test_the_readme_has_rows_of_it(bench):
    overview, _ = bench
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    run = read(BENCH / "results" / "avx512.json")["runs"][0]
    head, line, *rows = overview.table(run, "training").splitlines()
    assert f"{head}\n{line}\n" in readme
    shown = [text for text in readme.splitlines() if text.startswith("| ")][2:]
    assert 4 <= len(shown) <= 6
    assert set(shown) <= set(rows)


def test_the_readmes_picture_is_described(bench):
    """In its alternative text: pynn's times of the networks, and the range of the others."""
    _, picture = bench
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    run = read(BENCH / "results" / "avx512.json")["runs"][0]
    rows = [row for row in run["sections"]["training"] if row["name"] in picture.NETWORKS]
    described = readme[readme.index("![") : readme.index("](docs/speed.png)")]
    for row in rows:
        assert picture.time_of(row["median"]["pynn"]) in described
    ratios = [ratio for row in rows for ratio in row["ratio"].values()]
    for ratio in (min(ratios), max(ratios)):
        assert picture.three_digits(ratio) in described


@each
def test_the_pictures_can_be_drawn(bench, path):
    from matplotlib import pyplot as plt

    for module in bench:
        figure = module.picture(read(path))
        check_nothing_is_cut(figure)
        plt.close(figure)
