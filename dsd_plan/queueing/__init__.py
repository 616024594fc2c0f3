"""Textbook queues: free of units and of this field. Rates and times are in whatever unit the caller keeps to."""
