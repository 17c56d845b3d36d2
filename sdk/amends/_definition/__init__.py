"""What a saga does: definitions and their steps, from Python and from YAML.

``_model`` holds definitions, and ``_step``, ``_methods`` and ``_retry`` what they are made of, as frozen
values. ``_checks`` and ``_method_checks`` have every rule they obey, once. ``_yaml`` reads them from text and
tells the lines; ``_descriptors`` reads what describes the methods of services. ``_declared`` makes typed
steps, for code that is generated from annotated services.
"""

from amends._definition._declared import DeclaredAction
from amends._definition._methods import MethodCall, Outcome, OutcomeRule
from amends._definition._model import Definition
from amends._definition._retry import Retry
from amends._definition._step import Kind, Step

__all__ = ["DeclaredAction", "Definition", "Kind", "MethodCall", "Outcome", "OutcomeRule", "Retry", "Step"]
