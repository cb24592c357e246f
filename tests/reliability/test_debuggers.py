"""Tracers, profilers, coverage, faulthandler and debuggers attached while networks train."""

import sys

import pytest
from numpy_mlp import run_python

START = """
import faulthandler, hashlib, io, sys, threading
import numpy as np
import pynn

faulthandler.enable()
rng = np.random.default_rng(0)
X = rng.normal(size=(500, 8)).astype("f4")
y = rng.integers(3, size=500)

class Batches(pynn.Callback):
    def on_batch_end(self, net, batch, loss):
        net(X[:3])

def bits(net):
    return hashlib.sha256(b"".join(w.tobytes() for w in (*net.weights, *net.biases))).hexdigest()

def work(callback=lambda net, history: None):
    net = pynn.MLP([8, 16, 3], seed=0, dropout=0.1)
    net.fit(X, y, epochs=3, callbacks=[callback, Batches()], validation_split=0.1, progress=True)
    net.fit(X, y, epochs=3)
    pynn.fit_many([pynn.MLP([8, 4, 3], seed=i) for i in range(3)], X, y, epochs=2)
    net.gradients(X, y), net.evaluate(X, y), net.predict(X), pynn.softmax(X)
    file = io.BytesIO()
    net.save(file)
    return bits(net)

sys.stderr = io.StringIO()  # (the progress)
expected = work()
events = 0
"""
PROGRAMS = {
    "settrace": """
def trace(frame, event, argument):
    global events
    events += 1
    frame.f_trace_opcodes = True
    frame.f_locals
    return trace
sys.settrace(trace), threading.settrace(trace)
found = work()
sys.settrace(None)
""",
    "setprofile": """
def profile(frame, event, argument):
    global events
    events += 1
sys.setprofile(profile), threading.setprofile(profile)
found = work()
sys.setprofile(None)
""",
    "monitoring": """
tool, all_of = sys.monitoring, sys.monitoring.events
tool.use_tool_id(3, "test")
chosen = 0
def seen(*arguments):
    global events
    events += 1
for name in ("PY_START", "PY_RETURN", "PY_RESUME", "PY_YIELD", "PY_UNWIND", "LINE", "CALL",
             "RAISE", "EXCEPTION_HANDLED", "INSTRUCTION", "JUMP"):
    event = getattr(all_of, name)
    tool.register_callback(3, event, seen)
    chosen |= event
tool.set_events(3, chosen)
found = work()
tool.set_events(3, 0)
""",
    "steps of a debugger": """
import bdb
class Steps(bdb.Bdb):
    def user_line(self, frame):
        global events
        events += 1
        self.set_step()
    def user_return(self, frame, value):
        self.set_step()
    def user_exception(self, frame, error):
        self.set_step()
found = Steps().runcall(work)
""",
    # Steps on into pynn's own code, and looks at the network there.
    "pdb in a callback": """
import pdb
first = ["next", "where", "p net(X[:2])", "up", "p self.net.history", "p self.net(np.ones((2, 8)))"]
words = io.StringIO("\\n".join(first) + "\\n" + "step\\n" * 400 + "c\\n" * 9)
debugger = pdb.Pdb(stdin=words, stdout=io.StringIO())
debugger.use_rawinput = False
def callback(net, history):
    global events
    events += 400
    debugger.set_trace()
    events += 1
found = work(callback)
said = debugger.stdout.getvalue()
assert "*** " not in said, said
""",
}


@pytest.mark.parametrize("program", PROGRAMS)
def test_the_bits_are_the_same(program, tmp_path):
    if program == "monitoring" and sys.version_info < (3, 12):
        pytest.skip("CPython 3.12 has it")
    code = START + PROGRAMS[program] + "print(found == expected, events > 1000)"
    assert run_python(code, tmp_path) == "True True\n"


# A tracer's exception may come at any line of Python. The network keeps a whole step.
RAISES = """
class Stop(Exception):
    pass

def trace(frame, event, argument):
    global left
    left -= 1
    if left == 0:
        raise Stop
    return trace

options = {"batch_size": 50, "shuffle": False, "optimizer": "adam", "learning_rate": 1e-3}
def steps(count):
    net = pynn.MLP([8, 16, 3], seed=0, dropout=0.1)
    for step in range(count):
        batch = slice(step % 10 * 50, step % 10 * 50 + 50)
        net.train_on_batch(X[batch], y[batch], "adam", learning_rate=1e-3)
    return net

whole = {bits(steps(count)): count for count in range(31)}
seen = set()
for at in range(1, 3600, 61):
    net = pynn.MLP([8, 16, 3], seed=0, dropout=0.1)
    left = at
    sys.settrace(trace)
    try:
        net.fit(X, y, epochs=3, callbacks=Batches(), **options)
    except Stop:
        pass
    finally:
        sys.settrace(None)
    done = whole[bits(net)]
    seen.add(done)
    further = steps(done)
    for each in net, further:
        each.fit(X, y, epochs=1, **options)
    assert bits(net) == bits(further), at
print(len(seen))
"""


def test_a_tracer_that_raises_leaves_a_whole_step(tmp_path):
    assert int(run_python(START + RAISES, tmp_path)) > 5


def test_coverage(tmp_path):
    pytest.importorskip("coverage")
    code = """
import coverage
measured = coverage.Coverage(data_file=None, source=["pynn"], branch=True)
measured.start()
found = work()
measured.stop()
print(found == expected, len(measured.get_data().measured_files()) > 9)
"""
    assert run_python(START + code, tmp_path) == "True True\n"
