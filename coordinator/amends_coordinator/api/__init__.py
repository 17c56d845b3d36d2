"""The gRPC service of the coordinator: messages become values here, and values messages."""
