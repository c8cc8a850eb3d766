import gzip
import re
from importlib.resources import files

import plotly.offline
import pytest

from dashboards.assets import asset, asset_url

NAMES = ("app.css", "pages.js", "keys.js", "live.js", "jobs.js", "idiomorph.js", "htmx.js", "plotly.js")
LIGHT, DARK = (
    dict(re.findall(r"(--[a-z]+): (#[0-9a-f]{6});", block))
    for block in (files("dashboards") / "static" / "app.css").read_text().split("@media screen")[:2]
)


@pytest.mark.parametrize("name", NAMES)
def test_an_asset_is_found_under_its_own_address(name: str) -> None:
    _, _, digest, last = asset_url(name).split("/")
    found = asset(last, digest)
    assert found is not None
    assert gzip.decompress(found.gzipped) == found.content
    assert len(found.gzipped) < len(found.content)


def test_an_address_made_for_other_bytes_or_another_file_finds_nothing() -> None:
    digest = asset_url("app.css").split("/")[2]
    assert asset("app.css", "0" * 16) is None
    assert asset("plotly.js", digest) is None
    assert asset("../pages.py", digest) is None


def test_plotly_js_is_the_version_that_the_figures_are_made_for() -> None:
    found = asset("plotly.js", asset_url("plotly.js").split("/")[2])
    assert found is not None
    assert f"plotly.js v{plotly.offline.get_plotlyjs_version()}".encode() in found.content[:200]


def test_our_own_assets_load_nothing_from_elsewhere() -> None:
    for name in ("app.css", "pages.js", "keys.js", "live.js", "jobs.js"):
        text = (files("dashboards") / "static" / name).read_text()
        assert not re.search(r"url\(|@import|https?:|eval\(|innerHTML|document\.write", text)


@pytest.mark.parametrize("colours", [LIGHT, DARK], ids=["light", "dark"])
@pytest.mark.parametrize("ground", ["--paper", "--field"])
@pytest.mark.parametrize("text", ["--ink", "--muted", "--estimate", "--second", "--third", "--failed"])
def test_text_keeps_a_contrast_of_four_and_a_half_in_both_schemes(
    colours: dict[str, str], ground: str, text: str
) -> None:
    lighter, darker = sorted((_luminance(colours[text]), _luminance(colours[ground])), reverse=True)
    assert (lighter + 0.05) / (darker + 0.05) >= 4.5


@pytest.mark.parametrize("colours", [LIGHT, DARK], ids=["light", "dark"])
@pytest.mark.parametrize("mark", ["--estimate", "--passed", "--failed"])
def test_marks_keep_a_contrast_of_three_in_both_schemes(colours: dict[str, str], mark: str) -> None:
    lighter, darker = sorted((_luminance(colours[mark]), _luminance(colours["--paper"])), reverse=True)
    assert (lighter + 0.05) / (darker + 0.05) >= 3


def _luminance(colour: str) -> float:
    """Relative luminance of a colour, WCAG 2.2."""
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
