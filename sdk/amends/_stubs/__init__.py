"""The stub generator: typed Python from services whose methods are annotated as actions.

A compiler reads the .proto files; what comes here is descriptors. `_reading` and `_service` turn them into
the values of `_model` and find every fault of the annotations, each with its place in the file; `_writing`
turns the values into text. The same descriptors give the same text. `plugin` is what a compiler calls.
"""

from amends._stubs._generating import AnnotationError, generate
from amends._stubs._names import path_of

__all__ = ["AnnotationError", "generate", "path_of"]
