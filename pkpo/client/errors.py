"""What a call of the client can end in, but for a mistake in its arguments, which is a ValueError."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

AWAY = frozenset({429, 502, 503, 504})
# What such an answer says is about the request, which will fail again as it is; a 401 or 404 is about key or address.
REFUSED = frozenset({400, 409, 413, 415, 422})
SHOWN_PLACES = 5


class Place(NamedTuple):
    """One thing wrong with a request: a JSON pointer into its body, or `query/k`, and what is wrong there."""

    pointer: str
    code: str


class ClientError(Exception):
    """No success: either NoAnswer or a ServiceError."""

    passing = False  # whether the same request may succeed later

    @property
    def about_the_request(self) -> bool:
        """Whether this request as it is can never succeed."""
        return False


class NoAnswer(ClientError):
    """The server could not be reached, or did not answer in time. What was sent may have been done."""

    passing = True


class ServiceError(ClientError):
    """The server answered that it did not do what was asked.

    Attributes:
      status: of HTTP.
      type: the cause, one word that never changes; "" where the answer is not of a pkpo service.
      title, detail: for people.
      errors: where in the request something is wrong.
      retry_after: seconds that the server asked to wait, if it did.
      problem: the whole answer, with what else this cause has.
    """

    def __init__(self, status: int, problem: Mapping[str, Any], url: str, retry_after: float | None = None) -> None:
        self.status = status
        self.type: str = problem.get("type", "")
        self.title: str = problem.get("title", "")
        self.detail: str = problem.get("detail") or f"{url} answered {status}: is that a pkpo server?"
        self.errors: Sequence[Place] = tuple(Place(each["pointer"], each["code"]) for each in problem.get("errors", ()))
        self.problem = problem
        self.passing = status in AWAY
        self.retry_after = retry_after
        places = [f"  {each.pointer}: {each.code}" for each in self.errors[:SHOWN_PLACES]]
        name = f"{status} {self.type}: " if self.type else ""
        super().__init__("\n".join([name + self.detail, *places]))

    @property
    def about_the_request(self) -> bool:
        """Whether this request as it is can never succeed."""
        return self.status in REFUSED and self.type not in ("", "unknown-host")
