"""Whether pynn's core was built with sanitizers, and what cannot be tested then or takes longer."""

import re

import pytest

import pynn

_config = pynn.show_config("dict")
_found = re.search(r"-fsanitize=(\S+)", _config["compiler"])
SANITIZERS = _found[1].split(",") if _found else []
# OpenMP's, or those that the thread sanitizer's build has in their place.
HAS_THREADS = _config["openmp"] or "thread" in SANITIZERS
# Time limits, which are there for what hangs, are so many times as long.
PATIENCE = 5 if SANITIZERS else 1


def not_sanitized(reason: str) -> pytest.MarkDecorator:
    """Skips a test that cannot run with a sanitizer's run time in the process, for `reason`."""
    return pytest.mark.skipif(
        bool(SANITIZERS), reason=f"built with -fsanitize={','.join(SANITIZERS)}: {reason}"
    )
