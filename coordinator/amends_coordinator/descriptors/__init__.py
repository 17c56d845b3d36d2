"""The messages and methods of services, from the descriptors that tell of them.

``types`` holds those that a definition can speak of, ``keeping`` cuts descriptors down to what is needed and
``paring`` leaves out what makes no difference, ``merging`` puts together what several participants say, and
``lacking`` and ``compilable`` see to sets of files that are not as they should be.
"""
