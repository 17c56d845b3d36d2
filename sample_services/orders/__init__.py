"""The orders of the choreographed shop: takes them from customers, and knows how each has ended."""
