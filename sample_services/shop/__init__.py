"""The shop: orders from inventory, payments and shipping by a saga."""
