"""What may be chosen, and what the model says of a choice."""
