"""Builds with sanitizers: which ones are in use, the tests to skip, longer time limits."""

import re

import pytest

import pynn

_config = pynn.show_config("dict")
_found = re.search(r"-fsanitize=(\S+)", _config["compiler"])
SANITIZERS = _found[1].split(",") if _found else []
# OpenMP's, or those that the thread sanitizer's build has in their place.
HAS_THREADS = _config["openmp"] or "thread" in SANITIZERS
# Factor of time limits, which catch programs that hang.
PATIENCE = 5 if SANITIZERS else 1


def not_sanitized(reason: str) -> pytest.MarkDecorator:
    """Skips a test that cannot run with a sanitizer's run time in the process, for `reason`."""
    return pytest.mark.skipif(
        bool(SANITIZERS), reason=f"built with -fsanitize={','.join(SANITIZERS)}: {reason}"
    )
