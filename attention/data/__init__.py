"""Data: sources of labelled text, tokenizers, and batches bucketed by length."""
