"""What tests of gates in the blocks of a model of two layers share."""

BLOCKS = ("block_0", "block_1")


def edited(params, edit):
    """The parameters with ``edit(block)`` in the place of every block."""
    blocks = {name: edit(params["encoder"][name]) for name in BLOCKS}
    return {**params, "encoder": {**params["encoder"], **blocks}}


def without_gate(block):
    return {part: leaf for part, leaf in block.items() if part != "gate"}
