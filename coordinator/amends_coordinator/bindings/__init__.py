"""Steps that call methods of services which know nothing of Amends: how their requests are made.

``wanted`` finds which types a definition needs. ``expressions`` compiles and evaluates CEL, and ``variables``
says what expressions can speak of. ``checking`` finds what is wrong before there is a saga, and ``plan``
makes the requests of one.
"""
