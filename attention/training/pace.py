"""How long what is left of a run takes, judged by what it has taken so far."""

import dataclasses


@dataclasses.dataclass
class Pace:
    """What a process has spent on a run, and what the rest of it will take.

    ::

      left = updates u + programs c + examples e

    with the updates to come, the shapes of batches that are still to be compiled, and the examples that validations and the
    final test still score; ``u``, ``c`` and ``e`` are what each has taken here. What is done for the first time takes several
    times as long as later: an update counts once its program has run before, and a validation that is not the first, where
    there is one. Before that an example is taken to cost a third of what it does in an update, which also goes backward.

    Attributes:
      batch: the examples of an update.
      updates: made here that count.
      updating: the seconds spent on them.
      programs: compiled here.
      compiling: the seconds spent on that.
      validations: made here.
    """

    batch: int
    updates: int = 0
    updating: float = 0.0
    programs: int = 0
    compiling: float = 0.0
    validations: int = 0
    _scoring: float | None = None  # the seconds of an example in the last validation that counts
    _first: bool | None = None  # whether the program of the update under way has not run before; None where none is under way

    def updated(self, seconds: float, compiling: float) -> None:
        """An update has been dispatched, and the one before it is done; ``compiling`` is what of its seconds went there."""
        if compiling > 0:  # meanwhile the one before was done
            self.programs += 1
            self.compiling += compiling
        else:
            self._done(seconds)
        self._first = compiling > 0

    def waited(self, seconds: float) -> None:
        """The update that was dispatched last is done, too."""
        self._done(seconds)
        self._first = None

    def validated(self, seconds: float, examples: int) -> None:
        """So many examples have been scored."""
        if self.validations:
            self._scoring = seconds / examples
        self.validations += 1

    def _done(self, seconds: float) -> None:
        if self._first is False:
            self.updates += 1
            self.updating += seconds

    def left(self, updates: int, programs: int, examples: int) -> float | None:
        """The seconds that so many updates, programs of them in all and scored examples will take; None before one counts."""
        if not self.updates:
            return None
        update = self.updating / self.updates
        program = self.compiling / max(self.programs, 1)
        scoring = update / self.batch / 3 if self._scoring is None else self._scoring
        return updates * update + max(programs - self.programs, 0) * program + examples * scoring
