"""The unary RPCs of the coordinator as JSON over HTTP, in the Connect protocol: for curl and for scripts."""
