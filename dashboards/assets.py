"""The files that pages load, each under an address that changes with its bytes, so that it may be cached for ever.

plotly.js is taken from the plotly package, which carries the version that its figures are made for; the rest is in
static/.
"""

import gzip
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from importlib.resources import files

CACHE_CONTROL = "public, max-age=31536000, immutable"

_JAVASCRIPT = "text/javascript; charset=utf-8"
_FILES = {
    "app.css": (files("dashboards") / "static" / "app.css", "text/css; charset=utf-8"),
    "training.css": (files("dashboards") / "static" / "training.css", "text/css; charset=utf-8"),
    "forms.css": (files("dashboards") / "static" / "forms.css", "text/css; charset=utf-8"),
    "pages.js": (files("dashboards") / "static" / "pages.js", _JAVASCRIPT),
    "keys.js": (files("dashboards") / "static" / "keys.js", _JAVASCRIPT),
    "live.js": (files("dashboards") / "static" / "live.js", _JAVASCRIPT),
    "jobs.js": (files("dashboards") / "static" / "jobs.js", _JAVASCRIPT),
    "idiomorph.js": (files("dashboards") / "static" / "idiomorph-0.8.0.min.js", _JAVASCRIPT),
    "htmx.js": (files("dashboards") / "static" / "htmx-2.0.11.min.js", _JAVASCRIPT),
    "plotly.js": (files("plotly") / "package_data" / "plotly.min.js", _JAVASCRIPT),
}


@dataclass(frozen=True)
class Asset:
    """A file as it is served: its bytes, the same gzipped, its media type, and the digest that its address carries."""

    content: bytes
    gzipped: bytes
    media_type: str
    digest: str


@cache
def _asset(name: str) -> Asset:
    # Kept once read: gzip takes 0.1 s for plotly.js, and saves 3.3 of its 4.8 MB.
    path, media_type = _FILES[name]
    content = path.read_bytes()
    return Asset(content, gzip.compress(content, mtime=0), media_type, sha256(content).hexdigest()[:16])


def asset(name: str, digest: str) -> Asset | None:
    """The file of that name if its bytes are those that the address was made for, else None."""
    found = _asset(name) if name in _FILES else None
    return found if found and found.digest == digest else None


def asset_url(name: str) -> str:
    """The address of an asset on this server: /assets/DIGEST/NAME."""
    return f"/assets/{_asset(name).digest}/{name}"
