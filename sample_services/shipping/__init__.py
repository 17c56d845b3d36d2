"""The shipping: hands parcels to a carrier, and calls them back."""
