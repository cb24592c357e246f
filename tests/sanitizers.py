"""Whether pynn's core was built with sanitizers, and what cannot be tested then."""

import re

import pytest

import pynn

_found = re.search(r"-fsanitize=(\S+)", pynn.show_config("dict")["compiler"])
SANITIZERS = _found[1].split(",") if _found else []
# Time limits, which are there for what hangs, are so many times as long.
PATIENCE = 5 if SANITIZERS else 1


def not_sanitized(reason: str) -> pytest.MarkDecorator:
    """Skips a test that cannot run with a sanitizer's run time in the process, for `reason`."""
    return pytest.mark.skipif(
        bool(SANITIZERS), reason=f"built with -fsanitize={','.join(SANITIZERS)}: {reason}"
    )
