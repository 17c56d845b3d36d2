"""Steps that call methods of services which know nothing of Amends: their types, and their expressions.

``types`` holds the messages and methods that a definition can speak of; ``wanted`` finds which it needs,
and ``keeping`` cuts descriptors down to those. ``expressions`` compiles and evaluates CEL, ``scope``
says what the expressions of a step can speak of, ``binding`` puts these together for one method, and ``plan``
for all.
"""
