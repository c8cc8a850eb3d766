"""`pkpo jobs`: jobs of a server, from a terminal. Importing this costs nothing; running it brings httpx and rich."""

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from pkpo.commands.arguments import json_object
from pkpo.commands.errors import CommandError

if TYPE_CHECKING:
    from rich.progress import Progress

    from app.jobs.calls import JobCalls

DESCRIPTION = """\
Submit, list, follow, cancel and retry jobs of a server, which workers do (python -m workers --help).

examples:
  pkpo jobs submit import '{"run": "my-model", "problem_set": "math-500"}' --upload results.jsonl --follow
  pkpo jobs submit verification '{"evaluation": "ID", "verifier": "exact-match"}'
  pkpo jobs submit sampling '{"run": "my-model", "problem_set": "math-500", "model": "Qwen/Qwen3-0.6B", "n": 16}'
  pkpo jobs submit training @spec.json --follow
  pkpo jobs list --state running
  pkpo jobs follow ID        until it has ended: exits with 0 if it succeeded, else with 1

environment:
  PKPO_URL      the server (http://127.0.0.1:8000)
  PKPO_API_KEY  a key with the scopes read and jobs, where the server asks for one
"""


def add_jobs(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `pkpo jobs` to the commands."""
    jobs = commands.add_parser(
        "jobs",
        help="submit, list, follow, cancel and retry jobs of a server",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    jobs.add_argument("--url", help="the server, before PKPO_URL")
    actions = jobs.add_subparsers(required=True, metavar="submit | list | show | follow | cancel | retry")
    submit = actions.add_parser("submit", help="submit a job; prints its id, and to standard error where to look")
    submit.add_argument("kind", help="import, sampling, verification or training")
    submit.add_argument(
        "spec", type=json_object('{"run": "my-run"}'), help="a JSON object, or @FILE with one: docs/jobs.md"
    )
    submit.add_argument("--upload", metavar="FILE", type=Path, help="upload this file, and name it in the spec")
    submit.add_argument("--priority", type=int, default=0, help="from -100 to 100; the highest goes first (0)")
    submit.add_argument("--follow", action="store_true", help="follow it until it has ended")
    submit.set_defaults(run=_with_calls(_submit))
    listed = actions.add_parser("list", help="the newest jobs, one a line")
    listed.add_argument("--state", help="only those queued, running, succeeded, failed, dead or cancelled")
    listed.add_argument("--kind", help="only those of this kind")
    listed.add_argument("--limit", type=int, default=20, help="at most so many (20)")
    listed.set_defaults(run=_with_calls(_list))
    for name, run, what in (
        ("show", _show, "a job in full, as JSON"),
        ("follow", _follow, "its log and how far it is, until it has ended"),
        ("cancel", _cancel, "stop a job, or take it from the queue"),
        ("retry", _retry, "queue a job again that failed, is dead or was cancelled"),
    ):
        action = actions.add_parser(name, help=what)
        action.add_argument("job", metavar="ID")
        action.set_defaults(run=_with_calls(run))


def _with_calls(action: "Callable[[JobCalls, argparse.Namespace], int]") -> Callable[[argparse.Namespace], int]:
    """The action on a server that is there; what that refuses, and its absence, is told in a sentence."""

    def run(arguments: argparse.Namespace) -> int:
        from app.jobs.calls import JobCalls
        from pkpo.client.errors import ClientError

        try:
            with JobCalls(arguments.url) as calls:
                return action(calls, arguments)
        except (ClientError, ValueError) as error:
            raise CommandError(str(error)) from error
        except OSError as error:
            raise CommandError(f"{error.filename}: {error.strerror}" if error.filename else str(error)) from error

    return run


def _submit(calls: "JobCalls", arguments: argparse.Namespace) -> int:
    spec = dict(arguments.spec)
    if arguments.upload is not None:
        spec["upload"] = calls.upload(arguments.upload)
    job = calls.submit({"kind": arguments.kind, "spec": spec, "priority": arguments.priority})
    print(job["id"], flush=True)
    if not arguments.follow:
        print(f"pkpo jobs follow {job['id']}, or {calls.page_of(job['id'])}", file=sys.stderr)
    if job["workers"] == 0:
        print(
            f"No worker is there that could take it: python -m workers --queue {job['queue']}"
            f" (it must offer {job['capability']})",
            file=sys.stderr,
        )
    return _follow_to_the_end(calls, job["id"]) if arguments.follow else 0


def _list(calls: "JobCalls", arguments: argparse.Namespace) -> int:
    for job in calls.list(arguments.state, arguments.kind, arguments.limit):
        done, total = job["progress"]["done"], job["progress"]["total"]
        said = "" if job["error"] is None else job["error"]["detail"]
        fields = (job["id"], job["kind"], job["state"], f"attempt {job['attempt']}", f"{done}/{total or '?'}", said)
        print("\t".join(fields).rstrip())
    return 0


def _show(calls: "JobCalls", arguments: argparse.Namespace) -> int:
    print(json.dumps(calls.show(arguments.job), indent=2, ensure_ascii=False))
    return 0


def _cancel(calls: "JobCalls", arguments: argparse.Namespace) -> int:
    job = calls.act(arguments.job, "cancel")
    print("cancelled" if job["state"] == "cancelled" else "it will be stopped within seconds")
    return 0


def _retry(calls: "JobCalls", arguments: argparse.Namespace) -> int:
    print(calls.act(arguments.job, "retry")["state"])
    return 0


def _follow(calls: "JobCalls", arguments: argparse.Namespace) -> int:
    return _follow_to_the_end(calls, arguments.job)


def _follow_to_the_end(calls: "JobCalls", job_id: str) -> int:
    with _bar() as bar:
        task = bar.add_task("queued", total=None)
        for kind, payload in calls.follow(job_id):
            match kind:
                case "log":
                    print("\n".join(payload["lines"]), flush=True)
                case "progress":
                    bar.update(task, completed=payload["done"], total=payload["total"])
                case "state":
                    bar.update(task, description=payload["state"])
    job = calls.show(job_id)
    if job["state"] == "succeeded":
        print(f"succeeded: {job['progress']['done']} done")
        return 0
    why = f": {job['error']['detail']}" if job["error"] else ""
    raise CommandError(f"the job is {job['state']}{why}")


@contextmanager
def _bar() -> "Iterator[Progress]":
    """A bar on standard error; nothing where that is no terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty()) as progress:
        yield progress
