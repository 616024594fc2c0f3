"""What becomes of the decision where its inputs move."""
