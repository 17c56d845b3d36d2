"""The messages and methods that descriptors tell of."""
