"""The bundled draft/target pair: byte-level transformers in numpy, and speculative decoding that really runs."""
