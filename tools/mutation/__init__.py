"""Mistakes put into the code one at a time, and the tests that see them (tools/mutate.py)."""
