"""What users call: ``main(argv)`` of a command with its flags, and beside it the function for Python and notebooks."""

from attention import installation as _installation

_installation.require("absl", "ml_collections")
