"""Between the messages of the contracts and the values of the core.

Everything that is stored or sent is a message of amends/v1; everything that is decided upon is a value of the
core. They meet here and nowhere else.
"""
