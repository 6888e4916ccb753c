"""How a query and a key are compared: one file per score function."""
