"""The coordinator of Amends: a daemon that drives every saga to its end."""
