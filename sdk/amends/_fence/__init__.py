"""The fence: a participant's record of what each (saga, step) has done.

`decision` says what a call means against a row, as a table; `ledger` is the seam between calls and
storage; `sqlite` and `memory` are the two storages.
"""

from amends._fence.decision import Deed, Row, State, decide_compensate, decide_try
from amends._fence.ledger import Fence, Ledger
from amends._fence.memory import MemoryFence
from amends._fence.sqlite import SqliteFence

__all__ = [
    "Deed",
    "Fence",
    "Ledger",
    "MemoryFence",
    "Row",
    "SqliteFence",
    "State",
    "decide_compensate",
    "decide_try",
]
