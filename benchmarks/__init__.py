"""Measures Amends: how fast it is, how much memory it takes, how soon it is back after a crash.

``python -m benchmarks`` measures everything, ``python -m benchmarks.sagas`` and its siblings one thing each.
"""
