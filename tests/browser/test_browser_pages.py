"""Goal: every page can be read by everybody: on wide and narrow screens, light and dark, printed, with a keyboard and a
screen reader, without a network.

Method: one page of each command, opened from its file in Chromium and examined by axe (`make browser`).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page

from relaysim.scenarios.cli import main
from tests.scenarios.fit_logs import Backend, relay_log

COMMANDS = {
    "verify": ("verify", "race", "stuck_run", "--replications", "20", "--recheck", "0"),
    "own relay": (
        "verify",
        "race",
        "--factory",
        "relaysim.relay:cancel_and_retry",
        "--replications",
        "5",
        "--recheck",
        "0",
    ),
    "compare": ("compare", "race", "--replications", "10"),
    "sweep": ("sweep", "race", "--grid", "profile_overrides.run_seconds=2,6", "--replications", "10"),
    "tune": ("tune", "race", "--budget", "4", "--replications", "4", "--held-out", "8", "--judged", "2"),
    "fit": ("fit", "relay.log"),
    "explore": ("explore", "race", "--worlds", "3"),
}
WIDE, NARROW, A4 = 1400, 400, 700


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pages, each below its command's name, and the list of all runs."""
    folder = tmp_path_factory.mktemp("pages")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        Path("relay.log").write_text(relay_log(Backend(0.6, 1.0), 60, 1))
        for name, arguments in COMMANDS.items():
            jobs = [] if name == "fit" else ["--jobs", "1"]
            own = name.replace(" ", "-")
            place = ["--out", f"reports/out/{own}/latest"] if name == "explore" else ["--name", own]
            assert main([*arguments, *jobs, "--quiet", *place]) in (0, 1, 3), name
    return folder / "reports" / "out"


def opened(browser: Browser, path: Path, width: int, **options: Any) -> tuple[Page, list[str]]:
    """A page in a window of this width, and where it sent requests to."""
    page = browser.new_context(viewport={"width": width, "height": 900}, **options).new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(path.as_uri())
    return page, asked


def path_of(folder: Path, name: str) -> Path:
    if name == "all runs":
        return folder / "index.html"
    latest = folder / name.replace(" ", "-") / "latest"
    return next(latest.glob("*.html")) if name == "explore" else latest / "index.html"  # beside the file that it kept


@pytest.mark.parametrize("name", [*COMMANDS, "all runs"])
def test_everybody_can_read_it(browser: Browser, folder: Path, name: str) -> None:
    for width in (WIDE, NARROW):
        for scheme in ("light", "dark"):
            page, asked = opened(browser, path_of(folder, name), width, color_scheme=scheme)
            found = {each["id"]: each["nodes"][0]["html"] for each in Axe().run(page).response["violations"]}
            assert found == {}, (width, scheme)
            assert asked == [path_of(folder, name).as_uri()]
            assert page.evaluate("document.documentElement.scrollWidth") <= width  # what is wider scrolls by itself
            wide = page.locator(".wide:visible")
            for at in range(wide.count()):
                wide.nth(at).evaluate("each => each.scrollTo(each.scrollWidth, 0)")
                last = wide.nth(at).locator("tr").first.locator(":scope > *").last
                right = last.evaluate("each => each.getBoundingClientRect().right")
                assert right <= width, f"table {at} loses its last column at {width}"
            if width == NARROW:  # claims are read from top to bottom there
                scrolls = "each => each.parentElement.scrollWidth > each.parentElement.clientWidth"
                claims = page.locator("table.claims")
                assert not [at for at in range(claims.count()) if claims.nth(at).evaluate(scrolls)]
            page.context.close()


@pytest.mark.parametrize("name", [*COMMANDS, "all runs"])
def test_on_paper_no_column_is_lost(browser: Browser, folder: Path, name: str) -> None:
    page, _ = opened(browser, path_of(folder, name), A4)
    page.emulate_media(media="print")
    lost = page.evaluate(
        "[...document.querySelectorAll('.wide table')].filter(each => each.getBoundingClientRect().right > innerWidth)"
        ".map(each => each.innerText.slice(0, 80))"
    )
    assert lost == []
    page.context.close()


@pytest.mark.parametrize("name", COMMANDS)
def test_without_scripts_it_says_the_same(browser: Browser, folder: Path, name: str) -> None:
    texts = []
    for scripts in (True, False):
        page, _ = opened(browser, path_of(folder, name), WIDE, java_script_enabled=scripts)
        texts.append(page.locator("body").inner_text())
        page.context.close()
    assert texts[0] == texts[1]


def test_every_claim_is_found_and_a_refuted_one_leads_to_its_story(browser: Browser, folder: Path) -> None:
    path = path_of(folder, "verify")
    results = json.loads((path.parent / "results.json").read_text(encoding="utf-8"))
    claims = {(claim["id"], claim["verdict"]) for scenario in results["scenarios"] for claim in scenario["claims"]}
    page, _ = opened(browser, path, WIDE)
    for claim, _ in claims:
        page.locator("table.claims").get_by_role("link", name=claim, exact=True).click()
        assert page.locator(f"#claim-{claim}").is_visible(), claim
    assert "refuted" in {verdict for _, verdict in claims}
    story = page.get_by_role("link", name="Its story").first
    story.click()
    lanes = page.locator(f"article{page.evaluate('location.hash')}")
    assert lanes.locator(".causes").is_visible()
    assert lanes.locator(".what.cause").count() > 0
    page.context.close()
