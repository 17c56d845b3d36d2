"""The payments: charge accounts, and refund them."""
