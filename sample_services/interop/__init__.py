"""Interoperation: the payments in other languages, built, certified, and put into the order saga."""
