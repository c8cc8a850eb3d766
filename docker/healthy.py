"""Exits with 0 where the API on this machine lives and can serve; otherwise it says why not."""

import os
import sys
from urllib.error import HTTPError
from urllib.request import urlopen

for path in ("/healthz", "/readyz"):
    try:
        urlopen(f"http://127.0.0.1:{os.environ.get('PKPO_PORT') or 8000}{path}", timeout=5).close()
    except HTTPError as error:
        sys.exit(f"{path} answers {error.code}: {error.read(2000).decode(errors='replace')}")
    except OSError as error:
        sys.exit(f"{path} does not answer: {error}")
