"""The carrier: a plain gRPC service, as a shipping company would run it, which never heard of Amends."""
