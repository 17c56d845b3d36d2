"""A hotel as others would have written it: its protos and its server know nothing of sagas."""
