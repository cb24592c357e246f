"""Tests run on as many threads as they ask for, however busy the machine is with other tests."""

import os

os.environ.setdefault("OMP_DYNAMIC", "false")
