"""From traces and measured points to laws, with the evidence for them. Pure; reads and writes nothing."""
