"""The sample index of each completion: the file's own, or its place among the completions of its problem."""

from typing import Any

from pkpo.readers.rows import shown

LARGEST = 2**31 - 1


class Unsound(ValueError):
    """What is wrong with the record at `position` of a table."""

    def __init__(self, position: int, message: str) -> None:
        super().__init__(message)
        self.position = position


class SeenBefore(Unsound):
    """A record whose problem has had this sample index."""

    def __init__(self, position: int, problem: str, sample_index: int) -> None:
        super().__init__(position, f"problem {shown(problem)} has sample_index {sample_index} twice")
        self.problem = problem
        self.sample_index = sample_index


class SampleIndexes:
    """What each problem has had so far: the indexes below `_next`, and those in `_ahead`.

    Files list them in order, so this is one number a problem, however long the file.
    """

    def __init__(self) -> None:
        self._next: dict[str, int] = {}
        self._ahead: dict[str, set[int]] = {}
        self._given: bool | None = None  # whether the file has indexes, as its first completion shows

    def of(self, problems: list[str], given: list[Any]) -> list[int]:
        """The sample indexes of the file's next completions, with None in `given` where a record has none.

        Raises:
          SeenBefore: an index that its problem has had.
          Unsound: one that is no index, or is not given where others are.
        """
        if self._given is None:
            self._given = given[0] is not None
        types = set(map(type, given))
        if types == {int} and self._given:
            return self._claimed(problems, given)
        if types == {type(None)} and not self._given:
            return self._counted(problems)
        raise self._unsound(given)

    def _counted(self, problems: list[str]) -> list[int]:
        due = self._next
        found = []
        for problem in problems:
            index = due.get(problem, 0)
            due[problem] = index + 1
            found.append(index)
        return found

    def _claimed(self, problems: list[str], given: list[int]) -> list[int]:
        due = self._next
        for position, (problem, index) in enumerate(zip(problems, given, strict=True)):
            if index == due.get(problem, 0) and problem not in self._ahead:
                due[problem] = index + 1
            else:
                self._claim(position, problem, index)
        return given

    def _claim(self, position: int, problem: str, index: int) -> None:
        """Take note of an index that is out of order."""
        if not 0 <= index <= LARGEST:
            raise Unsound(position, f"sample_index must be in 0..{LARGEST}, got {shown(index)}")
        due = self._next.get(problem, 0)
        ahead = self._ahead.setdefault(problem, set())
        if index < due or index in ahead:
            raise SeenBefore(position, problem, index)
        ahead.add(index)
        while due in ahead:
            ahead.remove(due)
            due += 1
        self._next[problem] = due
        if not ahead:
            del self._ahead[problem]

    def _unsound(self, given: list[Any]) -> Unsound:
        for position, index in enumerate(given):
            if (index is not None) is not self._given:
                first = "has one" if self._given else "has none"
                return Unsound(position, f"sample_index is {shown(index)}, but the first completion {first}")
            if self._given and type(index) is not int:
                return Unsound(position, f"sample_index must be a whole number, got {shown(index)}")
        raise AssertionError("every index is sound")
