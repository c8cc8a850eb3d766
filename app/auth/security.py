"""The key that a request brings, and the scope that every route declares."""

from base64 import b64decode
from typing import Annotated

from fastapi import Depends, Request, Security
from fastapi.concurrency import run_in_threadpool
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer, SecurityScopes

from app.auth.service import Caller, KeyRing, ScopeMissing

bearer = HTTPBearer(auto_error=False, description="An API key; on loopback without keys none is needed")


async def authorize(
    request: Request,
    scopes: SecurityScopes,
    credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)],
) -> Caller:
    """Who calls; NoKey or ScopeMissing where they may not."""
    keys: KeyRing = request.app.state.keys
    token = credentials.credentials if credentials else _password(request)
    caller = keys.recall(token)
    if caller is None:
        caller = await run_in_threadpool(_look_up, request, token)
    for scope in scopes.scopes:
        if scope not in caller.scopes:
            raise ScopeMissing(scope)
    return caller


def _password(request: Request) -> str | None:
    """The key that a browser's own sign-in holds, as the password of any name.

    For what only reads: browsers send it by themselves, also with a form that another site's page has them post.
    """
    scheme, _, encoded = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic" or request.method not in ("GET", "HEAD"):
        return None
    try:
        return b64decode(encoded, validate=True).decode().partition(":")[2]
    except ValueError:
        return None


def _look_up(request: Request, token: str | None) -> Caller:
    keys: KeyRing = request.app.state.keys
    with request.app.state.sessions() as session:
        return keys.look_up(session, token)


Reader = Annotated[Caller, Security(authorize, scopes=["read"])]
Writer = Annotated[Caller, Security(authorize, scopes=["write"])]
Submitter = Annotated[Caller, Security(authorize, scopes=["jobs"])]
Admin = Annotated[Caller, Security(authorize, scopes=["admin"])]
