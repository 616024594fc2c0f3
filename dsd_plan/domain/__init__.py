"""The vocabulary: frozen types and sense checks. Knows no file format, no disk, no clock."""
