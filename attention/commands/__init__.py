"""What users call: ``main(argv)`` of a command with its flags, and beside it the function for Python and notebooks."""
