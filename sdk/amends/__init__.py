"""Sagas over gRPC: for participants and clients."""
