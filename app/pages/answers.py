"""Answers for a browser: HTML under the pages' policy, errors as a page, tables as CSV."""

import csv
import hashlib
import io
import secrets
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from unicodedata import normalize

from fastapi import Request, Response
from fastapi.responses import HTMLResponse

from app.auth.service import NoKey
from dashboards.pages import CONTENT_SECURITY_POLICY, ErrorPage, render_error

# Read by programs, whatever they say that they accept.
FOR_PROGRAMS = ("/v1/", "/healthz", "/readyz", "/openapi.json")
NO_KEY = (
    "This server asks for an API key with the scope read. Load the page again and give the key as the password; any "
    "user name does. On the server, pkpo keys create NAME makes a key."
)
# Has the browser ask for it.
SIGN_IN = {"WWW-Authenticate": 'Basic realm="pkpo: an API key as the password", charset="UTF-8"'}
_HEADERS = {"Content-Security-Policy": CONTENT_SECURITY_POLICY, "Cache-Control": "private, no-cache"}
# Another process may be of another version, which makes another page of the same state.
_THIS_PROCESS = secrets.token_hex(16)
FORMULA_SIGNS = ("=", "+", "-", "@")


def html(page: str, status: int = 200) -> HTMLResponse:
    """A page, which may load and run nothing but what this server has, and is asked for anew each time."""
    return HTMLResponse(page, status, _HEADERS)


def html_unless_known(request: Request, page: str, status: int = 200) -> Response:
    """A page with its ETag; 304 where the browser, which may ask every second or two, shows it already."""
    tag = _tag(page)
    return not_modified(request, tag) or tagged(html(page, status), tag)


def tag_of(request: Request, *state: object) -> str:
    """The ETag of a page that is the same while all that it is made from is, which is known by what it prints."""
    address = (server_address(request), request.scope["path"], request.scope["query_string"])
    return _tag(repr((_THIS_PROCESS, address, state)))


def tagged(answer: Response, tag: str) -> Response:
    """The answer with its ETag."""
    answer.headers["ETag"] = tag
    return answer


def not_modified(request: Request, tag: str) -> Response | None:
    """304 where the browser shows the page of this ETag already."""
    if request.headers.get("if-none-match") != tag:
        return None
    return Response(status_code=304, headers=_HEADERS | {"ETag": tag})


def _tag(text: str) -> str:
    return f'"{hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()}"'


def page_of_problem(request: Request, problem: Mapping[str, Any]) -> Response | None:
    """A problem as a page, where a browser asks for what people read; else None."""
    path: str = request.scope["path"]
    # A part of a page is asked for by htmx, which accepts everything and says who it is.
    wants_html = "text/html" in request.headers.get("accept", "") or "hx-request" in request.headers
    if path.startswith(FOR_PROGRAMS) or not wants_html:
        return None
    no_key = problem["type"] == NoKey.type
    detail = NO_KEY if no_key else problem["detail"]
    errors = tuple((each["pointer"], each["code"]) for each in problem.get("errors", ()))
    page = html(render_error(ErrorPage(problem["status"], problem["title"], detail, errors)), problem["status"])
    page.headers.update(SIGN_IN if no_key else {})
    return page


def server_address(request: Request) -> str:
    """The address by which the reader reached this server, such as http://127.0.0.1:8000."""
    return f"{request.scope['scheme']}://{request.headers['host']}"


def csv_file(name: str, header: Sequence[str], rows: Iterable[Sequence[object]]) -> Response:
    """A table to download; numbers in full precision, what is not known left empty."""
    text = io.StringIO()
    table = csv.writer(text)
    table.writerow(header)
    table.writerows([_cell(value) for value in row] for row in rows)
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "private, no-cache"}
    return Response(text.getvalue(), media_type="text/csv; charset=utf-8", headers=headers)


def _cell(value: object) -> object:
    match value:
        case float() if value != value:
            return ""
        case bool():
            return str(value).lower()
        case str():
            return _not_a_formula(value)
        case _:
            return value


def _not_a_formula(text: str) -> str:
    """The text after an apostrophe where a spreadsheet would compute it; names are chosen by anybody."""
    return f"'{text}" if normalize("NFKC", text).lstrip().startswith(FORMULA_SIGNS) else text
