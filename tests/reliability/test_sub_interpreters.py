"""Sub-interpreters are refused. From Python 3.12 on, an interpreter that checks its extensions
raises an ImportError for the core, as for NumPy. Before that, pynn checks itself."""

import sys

import pytest
from numpy_mlp import run_python

import pynn

# `create` by default makes an interpreter that checks its extensions.
PROGRAM = """
import sys
if sys.argv[2] == "first":
    import pynn
try:
    import _interpreters as interpreters
except ImportError:
    import _xxsubinterpreters as interpreters

interpreter = interpreters.create()
run = getattr(interpreters, "exec", None) or interpreters.run_string
try:
    failure = run(interpreter, sys.argv[1])
    print(failure.formatted if failure else "no error")
except interpreters.RunFailedError as error:  # up to 3.12
    print(error)
interpreters.destroy(interpreter)
import pynn
net = pynn.MLP([2, 3, 2], seed=0)
net.fit([[0, 1], [1, 0]], [0, 1])  # the main interpreter goes on
print("fine")
"""
LOAD_CORE = """
from importlib.util import module_from_spec, spec_from_file_location
spec = spec_from_file_location("_core", {path!r})
spec.loader.exec_module(module_from_spec(spec))
"""


@pytest.mark.parametrize("when", ["first", "afterwards"])
@pytest.mark.parametrize("what", ["pynn", "core"])
def test_a_sub_interpreter_is_refused(what, when, tmp_path):
    if what == "core" and sys.version_info < (3, 12):
        pytest.skip("CPython asks extensions from 3.12 on")
    core = LOAD_CORE.format(path=sys.modules[pynn.__name__ + "._core"].__file__)
    code = "import pynn" if what == "pynn" else core
    *message, fine = run_python(PROGRAM, tmp_path, code, when).splitlines()
    assert fine == "fine"
    assert "does not support loading in subinterpreters" in "\n".join(message)
    assert what == "pynn" or "module _core" in "\n".join(message)
