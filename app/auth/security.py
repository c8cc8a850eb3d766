"""The bearer check, and the scope that every route declares."""

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
    token = credentials.credentials if credentials else None
    caller = keys.recall(token)
    if caller is None:
        caller = await run_in_threadpool(_look_up, request, token)
    for scope in scopes.scopes:
        if scope not in caller.scopes:
            raise ScopeMissing(scope)
    return caller


def _look_up(request: Request, token: str | None) -> Caller:
    keys: KeyRing = request.app.state.keys
    with request.app.state.sessions() as session:
        return keys.look_up(session, token)


Reader = Annotated[Caller, Security(authorize, scopes=["read"])]
Writer = Annotated[Caller, Security(authorize, scopes=["write"])]
Submitter = Annotated[Caller, Security(authorize, scopes=["jobs"])]
Admin = Annotated[Caller, Security(authorize, scopes=["admin"])]
