"""GGUF models, timed by llama.cpp's own benchmarks."""
