"""Uploaded files, in the data folder under the hash of what they hold: the same file twice takes the room of one."""

import hashlib
import os
import tempfile
from pathlib import Path
from typing import Final
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.jobs.errors import FileUnstorable, unknown_upload
from app.jobs.schemas import UploadResponse
from app.models import Upload

FOLDER: Final = "uploads"
LOCK: Final = 0x706B7570


def store_upload(session: Session, project_id: int, data_dir: Path, filename: str, content: bytes) -> UploadResponse:
    """The upload, its file on disk before the answer; FileUnstorable where there is no room for it."""
    digest = hashlib.sha256(content)
    path = f"{FOLDER}/{digest.hexdigest()}"
    # A file that is there already must not be removed as another upload's before this one's row is seen.
    session.execute(select(func.pg_advisory_xact_lock(LOCK, _key(digest.digest()))))
    _write(data_dir / path, content)
    upload = Upload(project_id=project_id, filename=filename, path=path, size=len(content), sha256=digest.digest())
    session.add(upload)
    session.flush()
    return UploadResponse(id=upload.uuid, filename=filename, size=len(content), sha256=digest.hexdigest())


def find_upload(session: Session, project_id: int, upload_id: UUID) -> Upload:
    """The upload; InvalidRequest where the project has none of this id."""
    upload = session.scalar(select(Upload).filter_by(project_id=project_id, uuid=upload_id))
    if upload is None:
        raise unknown_upload()
    return upload


def is_taken(session: Session, sha256: bytes) -> bool:
    """Whether somebody stores a file of this content now; else nobody will before this transaction ends."""
    return not session.scalar(select(func.pg_try_advisory_xact_lock(LOCK, _key(sha256))))


def _key(sha256: bytes) -> int:
    return int.from_bytes(sha256[:4], signed=True)


def _write(path: Path, content: bytes) -> None:
    """Write the file, whole or not at all, unless it is there."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if path.exists() and path.stat().st_size == len(content):
            return
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as draft:
            try:
                draft.write(content)
                draft.flush()
                os.fsync(draft.fileno())
                os.replace(draft.name, path)
            except OSError:
                os.unlink(draft.name)
                raise
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise FileUnstorable(error.strerror or "the disk refused it") from error
