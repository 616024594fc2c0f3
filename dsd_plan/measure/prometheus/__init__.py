"""What a serving engine in Prometheus has done so far."""
