"""Pure records and rules: no input or output, no pytest, no Docker. Everything above may import it."""
