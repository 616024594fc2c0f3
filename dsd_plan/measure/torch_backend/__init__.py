"""Models that PyTorch runs: a folder of weights, or a shape with random ones."""
