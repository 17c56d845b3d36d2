"""Runs orders through real processes, kills some, and compares what everybody wrote down."""
