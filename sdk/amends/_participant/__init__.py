"""The participant half: actions as decorated functions, behind a fence, served over gRPC."""

from amends._participant.action import Action
from amends._participant.context import Context
from amends._participant.declared import DeclaredActions, HandlerResult, Handlers
from amends._participant.participant import Participant
from amends._participant.server import ServerTls

__all__ = ["Action", "Context", "DeclaredActions", "HandlerResult", "Handlers", "Participant", "ServerTls"]
