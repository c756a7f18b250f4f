from __future__ import annotations

import json
from pathlib import Path

import pytest
from judged_bots import Judge, Judged

from relaysim.reports import claims, figures
from relaysim.scenarios import first_failures
from relaysim.scenarios.cli import main


@pytest.fixture
def judge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Judge:
    """Judges a bot: `judge("my_bot:make")`, with scenario, number of worlds, `--set`s and provider if they matter, and the
    page's stories if they are asked for."""
    monkeypatch.setattr(figures, "draw_all", lambda results: {})  # pages are tested where they are made
    monkeypatch.setattr(claims, "RARE_SHARE", 1.0)  # how many worlds a verdict takes is tested where verdicts are made
    monkeypatch.chdir(Path(__file__).parent)

    def judged(
        factory: str,
        scenario: str = "rapid_pair",
        *,
        worlds: int = 1,
        lane: str = "direct",
        sets: tuple[str, ...] = (),
        provider: str | None = None,
        stories: bool = False,
    ) -> Judged:
        if not stories:  # each runs a world again, and is on the page only
            monkeypatch.setattr(first_failures, "first_failures", lambda results, scenarios: [])
        # Determinism is checked elsewhere, in a process that takes seconds to start.
        options = [
            "--replications",
            str(worlds),
            "--jobs",
            "1",
            "--lane",
            lane,
            "--recheck",
            "0",
            "--quiet",
            "--json",
        ]
        changed = [part for each in sets for part in ("--set", each)]
        changed += [] if provider is None else ["--provider", provider]
        code = main(["verify", scenario, "--factory", factory, *options, *changed, "--out", str(tmp_path)])
        said = capsys.readouterr()
        assert code in (0, 1, 3), said.err
        return Judged(code, json.loads(said.out))

    return judged
