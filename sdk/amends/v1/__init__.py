"""The contracts of Amends, generated from protos/amends/v1."""
