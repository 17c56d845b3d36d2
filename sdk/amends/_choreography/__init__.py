"""The SDK for choreographed sagas: services that react to events."""
