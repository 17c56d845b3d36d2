"""The inventory: sets goods aside, and puts them back."""
