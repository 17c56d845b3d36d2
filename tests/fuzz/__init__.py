"""Inputs that nobody would think of: random stories, random calls, random bytes.

`make test` tries a small slice, the same on every machine. To look further, ask for a multiple of it; the
inputs are then fresh at every run::

    AMENDS_FUZZ=50 .venv/bin/python -m pytest tests/fuzz

tries fifty times as many and takes about fifty times as long. What fails is told as the shortest story that
still fails, or with the seed that brings it back: ``AMENDS_FUZZ_SEED=...`` beside the same AMENDS_FUZZ.

- `effort` says how much is tried.
- `hostile` makes bytes that look like messages and are not, or are and should not be.
- `core_stories` and `fence_stories` are told by Hypothesis, a rule for everything that can happen.
"""
