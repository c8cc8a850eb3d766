"""What verifiers were told beside their defaults: kept once, for their names hold only the start of a hash of it."""

from collections.abc import Collection, Mapping
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.ingest.canonical import canonical_json
from app.ingest.errors import OtherOptions
from app.ingest.queries import verifier_ids
from app.ingest.verdicts import versioned_name
from app.models import Verifier

FULL_NAME = func.concat(Verifier.name, "@", Verifier.version)


def record_options(session: Session, project_id: int, full_name: str, told: Mapping[str, Any]) -> int:
    """The id of the verifier, made where there is none, with what it was told.

    OtherOptions where its name was given to others: verdicts of both would stand in one curve.
    """
    name = versioned_name(full_name)
    id_ = verifier_ids(session, project_id, {name})[name]
    if not told:
        return id_
    stored = session.get_one(Verifier, id_)
    if not stored.options:
        session.refresh(stored, with_for_update={"key_share": True})
        stored.options = stored.options or dict(told)
        session.flush()
    if canonical_json(stored.options) != canonical_json(dict(told)):
        raise OtherOptions(full_name)
    return id_


def options_of_verifiers(session: Session, project_id: int, full_names: Collection[str]) -> dict[str, dict[str, Any]]:
    """What each of the verifiers was told beside its defaults; those that were told nothing are left out."""
    wanted = select(FULL_NAME, Verifier.options).where(
        Verifier.project_id == project_id, FULL_NAME.in_(full_names), Verifier.options != {}
    )
    return {row[0]: row[1] for row in session.execute(wanted)} if full_names else {}
