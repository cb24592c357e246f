"""Coverage-guided fuzzing of `pynn.load` with atheris: what comes out is a network or a ValueError.

    pip install atheris safetensors .
    python fuzz/load.py fuzz/corpus -dict=fuzz/load.dict -max_total_time=60 -rss_limit_mb=1024 \\
        -timeout=10 -max_len=20000

The options are libFuzzer's. New inputs that reach new code are added to the folder; give another
one before it to leave the corpus as it is.
"""

from __future__ import annotations

import random
import sys

import atheris

with atheris.instrument_imports(include=["pynn", "zipfile", "json"]):
    import json
    import zipfile

    import targets

    from pynn.files import npz, read, tensors


def mutate(data: bytes, size: int, seed: int) -> bytes:
    """By libFuzzer's own mutations, or by ours, which know JSON."""
    rng = random.Random(seed)
    if rng.random() < 0.5:
        return atheris.Mutate(data, size)
    return targets.mutated(data, rng)[:size]


if __name__ == "__main__":
    # json's scanner is in C, where the fuzzer does not see.
    json.decoder.scanner.make_scanner = json.scanner.py_make_scanner
    print(f"fuzzing {read.__name__}, {npz.__name__}, {tensors.__name__}, {zipfile.__name__}")
    targets.good()
    atheris.Setup(sys.argv, targets.run, custom_mutator=mutate)
    atheris.Fuzz()
