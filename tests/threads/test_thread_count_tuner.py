"""Steps run on all threads or on one, whichever is faster at the time."""

import os

import pytest
from numpy_mlp import run_python
from toolchain import COMPILER, CSRC, FLAGS, STRICT, needs_compiler, needs_sources, run

# Reads lines: "fit" and the flops of a step; "steps", how many, and how long one takes on all
# threads and on one, in us. Says after those how many were taken on one thread, and how long all
# took, in ms.
DRIVER = """
#include <cstdio>
#include <cstring>

#include "threads/thread_count_tuner.h"

int main() {
    pynn::ThreadCountTuner tuner;
    char what[16];
    double now = 0;
    while (std::scanf("%15s", what) == 1) {
        double flops, together, one;
        int count, alone = 0;
        if (!std::strcmp(what, "fit") && std::scanf("%lf", &flops) == 1) {
            tuner.begin(flops, 2);
            continue;
        }
        if (std::scanf("%d %lf %lf", &count, &together, &one) != 3) return 1;
        const double start = now;
        for (int i = 0; i < count; ++i) {
            const bool is_alone = tuner.is_serial();
            now += (is_alone ? one : together) * 1e-6;
            alone += is_alone;
            if (tuner.record_step(now, is_alone)) tuner.restart();
        }
        std::printf("%d %f\\n", alone, (now - start) * 1000);
    }
}
"""


@pytest.fixture(scope="module")
def tuner(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tuner")
    source, program = folder / "driver.cpp", folder / "driver"
    source.write_text(DRIVER)
    run(
        *COMPILER,
        *FLAGS,
        *STRICT,
        source,
        CSRC / "threads" / "thread_count_tuner.cpp",
        "-o",
        program,
    )

    def go(*lines):
        given = folder / "lines"
        given.write_text("\n".join(lines))
        answers = run("sh", "-c", f"{program} < {given}").splitlines()
        return [(int(n), float(ms)) for n, ms in map(str.split, answers)]

    return go


@needs_compiler
@needs_sources
class TestThreadCountTuner:
    # Trials of the slower way take a few hundredths of the time.
    @pytest.mark.parametrize("work", ["10 20", "140 200", "500 900"])
    def test_stays_with_the_threads_while_they_are_faster(self, tuner, work):
        ((alone, took),) = tuner("fit 1e7", f"steps 20000 {work}")
        together = float(work.split()[0])
        assert 0 < alone < 600
        assert took < 1.03 * 20 * together

    @pytest.mark.parametrize("work", ["20 10", "300 200", "1100 700"])
    def test_goes_on_alone_where_that_is_faster(self, tuner, work):
        ((alone, took),) = tuner("fit 1e7", f"steps 20000 {work}")
        one = float(work.split()[1])
        assert alone > 19_000
        assert took < 1.05 * 20 * one

    def test_nearly_as_fast_is_no_reason(self, tuner):
        ((alone, _),) = tuner("fit 1e7", "steps 20000 200 195")
        assert alone < 600

    def test_follows_the_machine(self, tuner):
        near, far = "steps 5000 140 200", "steps 5000 300 200"
        answers = tuner("fit 1e7", near, far, near, far, near)
        for i, (alone, _) in enumerate(answers):
            # What the last times were like is noticed at the next trial, or when steps get slower.
            assert alone > 4500 if i % 2 else alone < 1500
        # Always the faster way would take 4100 ms, all threads 5100.
        assert sum(took for _, took in answers) < 4400

    def test_fits_too_short_for_a_trial_do_not_stay_in_it(self, tuner):
        # (55 steps end within the first one.)
        first, *answers = tuner("fit 1e7", "steps 55 100 150", *["fit 1e7", "steps 1 100 150"] * 50)
        assert first[0] > 0
        assert [alone for alone, _ in answers] == [0] * 50

    def test_short_fits_take_turns_at_it(self, tuner):
        answers = tuner(*["fit 1e7", "steps 60 300 200"] * 100)
        assert sum(alone for alone, _ in answers[50:]) > 2500

    def test_a_long_step_is_never_tried(self, tuner):
        assert tuner("fit 1e9", "steps 500 5000 100") == [(0, 2500)]

    def test_a_short_fit_is_left_as_it_is(self, tuner):
        assert tuner("fit 1e7", "steps 30 150 100") == [(0, 4.5)]

    def test_other_steps_begin_anew(self, tuner):
        bad = "steps 1000 300 200"
        first, again, other = tuner("fit 1e7", bad, "fit 1e7", bad, "fit 2e7", bad)
        assert again[0] > 950
        assert other == first
        assert first[0] < 990


# Long enough for several trials, in steps that two threads share.
FIT = """
import hashlib
import numpy as np
import pynn

rng = np.random.default_rng(0)
x, y = rng.random((64 * 200, 300), np.float32), rng.integers(10, size=64 * 200)
for threads in (1, 2):
    net = pynn.MLP([300, 128, 10], dropout=0.2, seed=1)
    with pynn.threads(threads):
        net.fit(x, y, epochs=10, batch_size=64, optimizer=pynn.SGD(0.1, momentum=0.9))
    print(hashlib.sha256(b"".join(w.tobytes() for w in net.weights)).hexdigest())
"""


def test_bits_do_not_depend_on_leaving_and_coming_back(tmp_path):
    environment = {name: value for name, value in os.environ.items() if name != "OMP_DYNAMIC"}
    one, two = run_python(FIT, tmp_path, environment=environment).split()
    assert one == two
