"""A verdict: what a verifier says of a completion, and the rules by which its parts agree."""

import math
import re
from collections.abc import Mapping
from typing import Any, Final, Literal, NamedTuple, Self

from pydantic import AfterValidator, ConfigDict, Field, GetCoreSchemaHandler, JsonValue, WithJsonSchema, with_config
from pydantic_core import CoreSchema, core_schema
from typing_extensions import Annotated, NotRequired, TypedDict  # noqa: UP035  pydantic needs this TypedDict before Python 3.12

from app.ingest.canonical import JsonObject, Text, canonical_json

Status = Literal["passed", "failed", "scored", "timeout", "oom", "output_limit", "crash", "infrastructure_error"]
STOPPED: Final = ("timeout", "oom", "output_limit", "crash")

STRICT = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)


def of_form(form: str, told: str) -> AfterValidator:
    """The name, where it is of this form, a regular expression; else ValueError, in words that say what it may hold."""

    def checked(name: str) -> str:
        if not re.fullmatch(form, name):
            raise ValueError(f"a name has 1 to 200 letters of a to z or A to Z, digits and {told}")
        if name in (".", ".."):  # they stand for folders, and a client takes them out of every address
            raise ValueError("a name other than . and .., which no address can hold")
        return name

    return AfterValidator(checked)


VERSIONED_NAME: Final = r"[A-Za-z0-9._:-]+(@[A-Za-z0-9._:-]+)?"
_VERSIONED: Final = {
    "type": "string",
    "maxLength": 200,
    "pattern": f"^{VERSIONED_NAME}$",
    "description": "`name`, or `name@version`",
}
VersionedName = Annotated[
    str,
    Field(max_length=200),
    of_form(VERSIONED_NAME, ". _ : -, and may have an @ and a version of the same behind it"),
    WithJsonSchema(_VERSIONED),
]


ProblemName = Annotated[
    str,
    Field(
        min_length=1,
        max_length=500,
        pattern=r"^[^\x00-\x1f\x7f-\x9f]+$",
        description="The problem's name within its set",
    ),
]
SampleIndex = Annotated[
    int, Field(ge=0, le=2**31 - 1, description="Which of the problem's completions this is, from 0")
]
FIRST_VERSION: Final = "1"


def versioned_name(full_name: str) -> tuple[str, str]:
    """Name and version of what is called `name@version`; a bare name is version 1."""
    name, _, version = full_name.partition("@")
    return name, version or FIRST_VERSION


@with_config(STRICT)
class VerdictFields(TypedDict):
    """What a verifier says of a completion. Needs `passed`, `reward` or `status`."""

    verifier: Annotated[VersionedName, Field(description="`name@version`; a bare name is version 1")]
    reward: NotRequired[Annotated[float | None, Field(description="Alone it leaves `passed` null: never thresholded")]]
    passed: NotRequired[Annotated[bool | None, Field(description="Alone it sets `reward` to 1 or 0")]]
    status: NotRequired[
        Annotated[
            Status | None,
            Field(
                description="By default `passed` or `failed` as `passed` says, else `scored`. `timeout`, `oom`, "
                "`output_limit` and `crash` count as not passed; `infrastructure_error` says nothing of the completion"
            ),
        ]
    ]
    answer: NotRequired[Annotated[Text | None, Field(description="What the verifier took for the answer")]]
    detail: NotRequired[Annotated[JsonObject | None, Field(description="Anything else, as a JSON object")]]


class Verdict(NamedTuple):
    """What one verifier says of one completion, every part settled; read from JSON as a VerdictFields."""

    verifier: str
    reward: float | None
    passed: bool | None
    status: Status
    answer: str | None
    detail: str | None  # canonical JSON

    @classmethod
    def of(
        cls,
        verifier: str,
        reward: float | None = None,
        passed: bool | None = None,
        status: Status | None = None,
        answer: str | None = None,
        detail: Mapping[str, JsonValue] | None = None,
    ) -> Self:
        """The verdict, with what was left out derived. Raises ValueError where its parts contradict each other."""
        reward, passed, status = _settle(reward, passed, status)
        return cls(verifier, reward, passed, status, answer, None if detail is None else canonical_json(dict(detail)))

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        given = handler.generate_schema(VerdictFields)
        return core_schema.no_info_after_validator_function(lambda verdict: cls.of(**verdict), given)


@with_config(STRICT)
class VerificationFields(VerdictFields):
    """A verdict on a stored completion."""

    problem: ProblemName
    sample_index: SampleIndex


class NewVerification(NamedTuple):
    """A verdict on a stored completion, settled; read from JSON as VerificationFields."""

    problem: str
    sample_index: int
    verdict: Verdict

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        given = handler.generate_schema(VerificationFields)
        return core_schema.no_info_after_validator_function(cls._of, given)

    @classmethod
    def _of(cls, given: dict[str, Any]) -> Self:
        problem, sample_index = given.pop("problem"), given.pop("sample_index")
        return cls(problem, sample_index, Verdict.of(**given))


def _settle(
    reward: float | None, passed: bool | None, status: Status | None
) -> tuple[float | None, bool | None, Status]:
    if reward is not None and not math.isfinite(reward):
        raise ValueError(f"reward must be a finite number, not {reward}")
    if status == "infrastructure_error":
        if reward is not None or passed is not None:
            raise ValueError("infrastructure_error says nothing of the completion: leave out reward and passed")
        return None, None, status
    if passed is None:
        passed = _passed(reward, status)
    elif (passed and (status == "failed" or status in STOPPED)) or (not passed and status == "passed"):
        raise ValueError(f"passed = {str(passed).lower()} contradicts status {status}")
    if reward is None:
        if passed is None or status == "scored":
            raise ValueError("a scored verdict needs a reward" if status else "give passed, reward or status")
        reward = float(passed)
    return float(reward), passed, status or _status(passed)


def _passed(reward: float | None, status: Status | None) -> bool | None:
    """What a status says of `passed`. A reward that comes with a stop is the verifier's own scale, and stays one."""
    if status in ("passed", "failed"):
        return status == "passed"
    return False if status in STOPPED and reward is None else None


def _status(passed: bool | None) -> Status:
    return "scored" if passed is None else "passed" if passed else "failed"
