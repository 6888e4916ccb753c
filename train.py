"""``attention-train`` in a checkout: see ``attention/commands/train.py``."""

import sys

import attention_lab

if __name__ == "__main__":
    sys.exit(attention_lab.train())
