"""How text becomes token ids: one file per tokenizer."""
