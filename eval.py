"""``attention-eval`` in a checkout: see ``attention/commands/eval.py``."""

import sys

import attention_lab

if __name__ == "__main__":
    sys.exit(attention_lab.evaluate())
