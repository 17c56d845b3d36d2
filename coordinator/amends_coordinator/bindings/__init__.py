"""Steps that call methods of services which know nothing of Amends: their types, and their expressions.

``types`` holds the messages and methods that a definition can speak of; ``wanted`` finds which it needs,
and ``keeping`` cuts descriptors down to those. ``expressions`` compiles and evaluates CEL, and
``variables`` says what expressions can speak of. ``checking`` finds what is wrong before there is a saga, and
``plan`` makes the requests of one.
"""
