"""Finds the best choice under the model."""
