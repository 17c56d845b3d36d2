"""How names of .proto files become names in Python."""

from __future__ import annotations

import keyword
import re
from typing import Final

_WORDS: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


def snake_case(name: str) -> str:
    """Returns a name in lower_snake_case: ReserveStock as reserve_stock, HTTPCheck as http_check."""
    return _WORDS.sub("_", name).lower()


def method_name(rpc: str) -> str:
    """Names the Python method of an RPC; one that Python keeps for itself gets an underscore."""
    name = snake_case(rpc)
    return f"{name}_" if keyword.iskeyword(name) else name


def stem(service: str) -> str:
    """Returns the name of a service without the word that says that it is one."""
    return service.removesuffix("Service") or service


def module_of(proto: str, suffix: str) -> str:
    """Names the module for a file as protoc does, such as "shop.v1.order_pb2" for the suffix "_pb2"."""
    return proto.removesuffix(".proto").replace("-", "_").replace("/", ".") + suffix


def path_of(proto: str, suffix: str) -> str:
    """Names the file of that module, below the folder that everything is generated into."""
    return module_of(proto, suffix).replace(".", "/") + ".py"


def can_be_imported(dotted: str) -> bool:
    """Tells whether a program can name this in an import or an expression."""
    return all(part.isidentifier() and not keyword.iskeyword(part) for part in dotted.split("."))
