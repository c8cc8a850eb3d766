"""The addresses of the pages. They are read by people, so they are not in the API's document."""

import re

from fastapi import APIRouter, HTTPException, Request, Response

from app.pages.answers import html, server_address
from dashboards.assets import CACHE_CONTROL, asset
from dashboards.pages import ReferencePage, render_reference

router = APIRouter(include_in_schema=False)

TAKES_GZIP = re.compile(r"\bgzip\b(?!\s*;\s*q=0(\.0*)?\s*(,|$))", re.IGNORECASE)


@router.get("/docs")
def reference(request: Request) -> Response:
    """The API as its OpenAPI document describes it, open to everybody as that is."""
    return html(render_reference(ReferencePage(server_address(request), request.app.openapi())))


@router.get("/assets/{digest}/{name}")
def read_asset(digest: str, name: str, request: Request) -> Response:
    """A file that pages load, open to everybody: it is the same on every server of this version."""
    found = asset(name, digest)
    if found is None:
        raise HTTPException(404)
    headers = {"Cache-Control": CACHE_CONTROL, "Vary": "Accept-Encoding"}
    if TAKES_GZIP.search(request.headers.get("accept-encoding", "")):
        return Response(found.gzipped, media_type=found.media_type, headers=headers | {"Content-Encoding": "gzip"})
    return Response(found.content, media_type=found.media_type, headers=headers)
