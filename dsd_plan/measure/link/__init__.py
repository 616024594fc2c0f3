"""A link measured from both its ends."""
