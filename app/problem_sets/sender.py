"""Problems over HTTP, with an import's patience and its words."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from urllib.parse import quote

from app.imports.sender import Sender
from pkpo.client.answers import Sent
from pkpo.client.batches import batches, compressed, encoded, member
from pkpo.client.connection import JSON, Call, sent_of, writing
from pkpo.client.errors import ClientError, NoAnswer, ServiceError
from pkpo.client.service import GZIP
from pkpo.commands.errors import CommandError

MOST_NAMED = 5
ANOTHER_VERSION = "Problems that changed make another version of the set: --problem-set NAME@VERSION."


class ProblemSender(Sender):
    """A connection to a server, for problem sets."""

    def put(self, problem_set: str, closed: bool | None) -> None:
        """Make the set, or leave it as it is, but for `closed` where that is given."""
        changes = {} if closed is None else {"closed": closed}
        body = encoded(changes, "the request")
        with _in_a_sentence([]):
            self._connection.send(Call("PUT", _path(problem_set), body, {"Content-Type": JSON}))

    def send_problems(
        self, problem_set: str, names: Sequence[str], problems: Sequence[bytes], advance: Callable[[int], None]
    ) -> Sent:
        """Post every problem, encoded; returns how many were new, or better known now, and how many were there."""
        sent, done = Sent(0, 0), 0
        path = f"{_path(problem_set)}/problems"
        for batch in batches(problems):
            with _in_a_sentence(names[done : done + len(batch)]):
                response = self._connection.send(writing(path, compressed(member("problems", batch)), **GZIP))
                answer = sent_of(response)
            sent = Sent(sent.accepted + answer.accepted, sent.replayed + answer.replayed)
            done += len(batch)
            advance(len(batch))
        return sent


def _path(problem_set: str) -> str:
    return f"/v1/problem-sets/{quote(problem_set, safe='@')}"


@contextmanager
def _in_a_sentence(names: Sequence[str]) -> Iterator[None]:
    """A CommandError in place of the client's, with the names of problems in place of their numbers in the request."""
    try:
        yield
    except NoAnswer as error:
        raise CommandError(f"{error}\nWhat was acknowledged is stored: repeat the import then.") from error
    except ServiceError as error:
        places = [_place(each.pointer, names) for each in error.errors]
        more = [f"  and {len(places) - MOST_NAMED:,} more"] if len(places) > MOST_NAMED else []
        named = [f"  {place}: {each.code}" for place, each in zip(places, error.errors, strict=True)][:MOST_NAMED]
        hint = [ANOTHER_VERSION] if error.type in ("problems-conflict", "problem-set-closed") else []
        raise CommandError("\n".join([error.detail, *named, *more, *hint])) from error
    except ClientError as error:
        raise CommandError(str(error)) from error


def _place(pointer: str, names: Sequence[str]) -> str:
    """The problem and field that a pointer into the request names, such as 'HumanEval/3', prompt."""
    match pointer.split("/"):
        case ["", "problems", number, *field] if number.isdecimal() and int(number) < len(names):
            return ", ".join([ascii(names[int(number)]), *field])
    return pointer
