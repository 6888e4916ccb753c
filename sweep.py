"""``attention-sweep`` in a checkout: see ``attention/commands/sweep.py``."""

import sys

import attention_lab

if __name__ == "__main__":
    sys.exit(attention_lab.sweep())
