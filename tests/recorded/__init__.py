"""What earlier versions left on disk, and what today's code makes of it.

A folder for each version holds what that version wrote: `store.sql`, the whole store of a coordinator with a
saga in every state a saga and a step can be in, and `fence.sql`, the database of a participant. They are SQL
and no database files, so that they can be read and reviewed, and do not depend on how SQLite lays out pages;
what matters, every byte of every event and row, is in them. `sagas/` has a file for each saga: what GetSaga
showed of it, and its events. `fence.txt` has what the participant answered in every state.

Whoever releases a version adds its folder, from a clean checkout of it::

    .venv/bin/python -m tests.recorded.record tests/recorded/<version>

A folder is never written again once its version is released: it stands for what is on other people's disks.
A new fact or state makes a test here fail until a folder has it: add it to `stories`, and record.

- `stories` says which sagas are recorded, and `fence` which participant; `world` runs a coordinator, `record`
  writes down, `files` knows the form.
"""
