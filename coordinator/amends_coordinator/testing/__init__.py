"""The test kit for whole sagas."""
