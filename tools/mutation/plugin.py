"""A pytest plugin: runs the chosen tests in the given order and writes each result to a log.

The environment variable PYNN_MUTATION names a file of JSON: `log`, a file that gets a line of JSON
for each test that begins and each phase that ends; `tests`, the identifiers to run in their order
(null: all). A chosen test that fails runs once more, since only what fails twice counts on a busy
machine. Under coverage.py each test becomes the context of the lines that it runs.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from _pytest.runner import runtestprotocol

VARIABLE = "PYNN_MUTATION"
SETTINGS = {}
if VARIABLE in os.environ:
    SETTINGS = json.loads(Path(os.environ[VARIABLE]).read_text(encoding="utf-8"))


def _write(**entry: Any) -> None:
    if "log" in SETTINGS:
        with open(SETTINGS["log"], "a", encoding="utf-8") as log:
            log.write(json.dumps(entry) + "\n")


def _switch_context(name: str) -> None:
    try:
        from coverage import Coverage
    except ModuleNotFoundError:
        return
    measured = Coverage.current()
    if measured is not None:
        measured.switch_context(name)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep the chosen tests, in the given order."""
    if SETTINGS.get("tests") is None:
        return
    place = {name: i for i, name in enumerate(SETTINGS["tests"])}
    config.hook.pytest_deselected(items=[item for item in items if item.nodeid not in place])
    items[:] = sorted(
        (item for item in items if item.nodeid in place), key=lambda item: place[item.nodeid]
    )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Log the test and make it the context of coverage.py."""
    _write(begins=item.nodeid)
    _switch_context(item.nodeid)
    try:
        return (yield)
    finally:
        _switch_context("")


@pytest.hookimpl(specname="pytest_runtest_protocol", tryfirst=True)
def pytest_runtest_protocol_twice(item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
    """Run a chosen test, and once more if it fails."""
    if SETTINGS.get("tests") is None:
        return None
    names = {"nodeid": item.nodeid, "location": item.location}
    item.ihook.pytest_runtest_logstart(**names)
    reports = runtestprotocol(item, log=False, nextitem=nextitem)
    if any(report.failed for report in reports):
        reports = runtestprotocol(item, log=False, nextitem=nextitem)
    for report in reports:
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(**names)
    return True


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Log how a phase of a test ended."""
    _write(
        ends=report.nodeid,
        when=report.when,
        outcome=report.outcome,
        seconds=round(report.duration, 4),
    )


def pytest_collectreport(report: pytest.CollectReport) -> None:
    """Log a file that cannot be imported."""
    if report.failed:
        _write(ends=report.nodeid, when="collect", outcome="failed", seconds=0.0)
