"""Transactions that many jobs share: those that arrived together are done in one, with one fsync for all.

`job` says what can be done in one; `gatherer` makes batches of whatever has arrived, `batch` does them, and
`retention` removes in between what nobody can ask for any more.
"""
