"""Three small services with rules and ledgers of their own, and the shop that orders from them."""
