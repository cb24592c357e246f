"""Processors that other programs or fits occupy and release."""

import os
from pathlib import Path

import pytest
from numpy_mlp import run_python
from sanitizers import not_sanitized
from toolchain import COMPILER, CSRC, FLAGS, STRICT, needs_compiler, needs_sources, run

import pynn

# Reads lines: now, the first thread's share of the work, how long it worked and how long it waited,
# in ms; says for how many ms more one thread is better.
DRIVER = """
#include <cstdio>

#include "threads/oversubscription.h"

int main() {
    pynn::OversubscriptionMonitor monitor;
    double now, share, worked, waited;
    while (std::scanf("%lf %lf %lf %lf", &now, &share, &worked, &waited) == 4) {
        monitor.record(now / 1000, share, worked / 1000, waited / 1000);
        int more = 0;
        while (monitor.should_run_serial((now + more + 0.5) / 1000)) ++more;
        std::printf("%d\\n", more);
    }
}
"""


@pytest.fixture(scope="module")
def monitor(tmp_path_factory):
    folder = tmp_path_factory.mktemp("monitor")
    source, program = folder / "driver.cpp", folder / "driver"
    source.write_text(DRIVER)
    run(
        *COMPILER,
        *FLAGS,
        *STRICT,
        source,
        CSRC / "threads" / "oversubscription.cpp",
        "-pthread",
        "-o",
        program,
    )

    def pauses(*notes):
        given = folder / "notes"
        given.write_text("".join(f"{' '.join(map(str, record))}\n" for record in notes))
        return [int(line) for line in run("sh", "-c", f"{program} < {given}").split()]

    return pauses


@needs_compiler
@needs_sources
class TestOversubscriptionMonitor:
    # Half the work is worth 0.7 of its time in waiting: two threads do what one does in 1.7.
    @pytest.mark.parametrize(
        ("share", "worked", "waited", "alone"),
        [
            (1 / 2, 10, 6.9, False),
            (1 / 2, 10, 7.1, True),
            (1 / 2, 0.5, 0.9, False),  # a millisecond means nothing
            (1 / 2, 0.5, 1.1, True),
            (1 / 4, 10, 23, False),
            (1 / 4, 10, 25, True),
            (1, 10, 0.9, False),
            (1, 10, 1.1, True),  # the others have done nothing
            (1 / 2, 1e6, 20, False),
        ],
    )
    def test_waiting_more_than_the_others_save(self, monitor, share, worked, waited, alone):
        assert monitor((1000, share, worked, waited)) == [10 if alone else 0]

    def test_one_long_wait_in_good_times_does_not_count(self, monitor):
        good = [(10.0 * i, 0.5, 9, 0.1) for i in range(1, 20)]
        assert monitor(*good, (200, 0.5, 1, 8)) == [0] * 20

    def test_bad_times_after_good_ones_do(self, monitor):
        good = [(10.0 * i, 0.5, 9, 0.1) for i in range(1, 20)]
        bad = [(200 + 10.0 * i, 0.5, 4, 6) for i in range(15)]
        assert any(monitor(*good, *bad)[len(good) :])

    def test_pauses_grow_while_it_stays_crowded(self, monitor):
        now, notes = 1000, []
        for pause in (10, 20, 40, 80, 160, 320, 640, 1000, 1000):
            notes.append((now, 0.5, 2, 3))
            now += pause + 5
        assert monitor(*notes) == [10, 20, 40, 80, 160, 320, 640, 1000, 1000]
        assert monitor(*notes, (now + 2000, 0.5, 2, 3))[-1] == 10


PROGRAM = """
import hashlib, os, signal, sys, threading, time
from pathlib import Path
import numpy as np
import pynn

def seconds():
    # How long each thread ran that is not Python's.
    known = {str(thread.native_id) for thread in threading.enumerate()}
    tasks = [task for task in Path("/proc/self/task").iterdir() if task.name not in known]
    return {task: int((task / "schedstat").read_text().split()[0]) * 1e-9 for task in tasks}

def seconds_since(before):
    return sum(now - before.get(task, 0) for task, now in seconds().items())

# An epoch is one call of the core. (All its samples are the same.)
def trained(threads, steps, batch=128):
    x = np.broadcast_to(sample, (batch * steps, 784))
    net = pynn.MLP([784, batch, 10], dropout=0.1, l2=1e-4, seed=0)
    optimizer = pynn.SGD(0.01, momentum=0.9, clip_norm=1.0)
    with pynn.threads(threads):
        try:
            net.fit(x, labels[: len(x)], epochs=1, batch_size=batch, optimizer=optimizer)
        except KeyboardInterrupt:
            pass
    return hashlib.sha256(b"".join(w.tobytes() for w in net.weights)).hexdigest()

# What the other threads ran of all that the process did, and how many processors it got.
class Measured:
    def __enter__(self):
        self.start = time.perf_counter(), time.process_time(), seconds()

    def __exit__(self, *_):
        self.used = time.process_time() - self.start[1]
        self.others = seconds_since(self.start[2])
        self.got = self.used / (time.perf_counter() - self.start[0])

# Before other programs, where that is allowed: what is measured is what threads do that have the
# processors to themselves.
try:
    os.setpriority(os.PRIO_PROCESS, 0, -20)
except OSError:
    pass
# (Programs in the background of a shell ignore it.)
signal.signal(signal.SIGINT, signal.default_int_handler)
rng = np.random.default_rng(0)
sample = rng.normal(size=784).astype(np.float32)
labels = rng.integers(10, size=128 * 100000)
"""
# Two threads have one processor between them. Printed: the same bits; the second one's time, of
# what one thread takes for all; which part of the processor they got.
ONE_PROCESSOR = """
# (Steps too long for the trials of another number of threads.)
def trained_long(threads, steps):
    return trained(threads, steps, 256)

def predicted(threads, calls):
    x = np.broadcast_to(sample, (1024, 784)).copy()
    net = pynn.MLP([784, 128, 10], seed=0)
    with pynn.threads(threads):
        return {net(x).tobytes() for _ in range(calls)}

os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
start = time.process_time()
one = WORK(1, COUNT)
alone = time.process_time() - start
measured = Measured()
with measured:
    two = WORK(2, COUNT)
print(one == two, measured.others / alone, measured.got)
"""
# While the first fit has both threads the second one begins, alone; it ends by Ctrl-C. Printed: the
# same bits of the first; the second one's second thread, of what both ran; how many processors they
# got.
TWO_FITS = """
first = []
measured = Measured()

def beside():
    time.sleep(0.1)
    fit.join()
    time.sleep(0.1)  # until the first one's second thread is gone
    with measured:
        time.sleep(0.4)
    signal.raise_signal(signal.SIGINT)

fit = threading.Thread(target=lambda: first.append(trained(2, 1000)))
fit.start()
while seconds_since({}) < 0.02:  # (until it has them)
    time.sleep(0.001)
threading.Thread(target=beside).start()
trained(2, 100000)
print(first == [trained(1, 1000)], measured.others / measured.used, measured.got)
"""


@pytest.mark.skipif(not pynn.show_config("dict")["openmp"], reason="serial build")
@pytest.mark.skipif(
    not Path("/proc/self/schedstat").is_file() or not hasattr(os, "sched_setaffinity"),
    reason="the system does not say how long a thread ran",
)
@not_sanitized("the times are those of the sanitizer")
class TestFits:
    @pytest.fixture
    def share(self, tmp_path):
        others = {name: value for name, value in os.environ.items() if name != "OMP_DYNAMIC"}

        def measure(program, processors, **environment):
            """The share in a run during which other programs left enough processors."""
            for _ in range(3):
                variables = {**others, **environment}
                done = run_python(PROGRAM + program, tmp_path, timeout=300, environment=variables)
                same_bits, share, got = done.split()
                assert same_bits == "True"
                if float(got) > 0.85 * processors:
                    return float(share)
            pytest.skip(f"other programs left {got} processors of {processors}")

        return measure

    @pytest.mark.parametrize(
        ("work", "count"), [("trained", 500), ("trained_long", 200), ("predicted", 300)]
    )
    def test_two_threads_on_one_processor(self, share, work, count):
        program = ONE_PROCESSOR.replace("WORK", work).replace("COUNT", str(count))
        assert share(program, 1, OMP_DYNAMIC="false") > 0.5
        assert 0 < share(program, 1) < 0.4

    @pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="one processor")
    def test_a_fit_takes_the_thread_that_another_leaves(self, share):
        # (Half of what both ran, or nothing, whatever the others left.)
        assert share(TWO_FITS, 0.5, OMP_DYNAMIC="false") > 0.3
