"""Scenario files as tests: `bot.scenario.toml` has one for each of its claims, named after the claim.

    bot.scenario.toml::in-order

The worlds of a file are run once in a process, for all of its claims; where several processes run tests, `--dist loadfile`
keeps them together.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from relaysim.scenarios.testing.check_errors import CheckFailedError, NotShownError
from relaysim.scenarios.testing.running_test import RunningTest, running_test

if TYPE_CHECKING:
    from relaysim.scenarios.model import Scenario
    from relaysim.scenarios.replication_summary import Summary


class ScenarioFile(pytest.File):
    """A scenario file. Collecting it checks it, its relay included: what is wrong is told once, before any test runs."""

    scenario: Scenario
    _summary: Summary | None = None

    def collect(self) -> Iterator[ScenarioClaim]:
        """A test for each claim.

        Raises:
            CollectError: the file cannot be used; a line for each mistake, with file, place and remedy.
        """
        try:
            from relaysim.scenarios.docs_pages import lines_to_type
            from relaysim.scenarios.load import load
            from relaysim.scenarios.problems import ScenarioError
            from relaysim.scenarios.testing.checking import modules_found
        except ModuleNotFoundError as error:
            missing = (error.name or "").partition(".")[0].lstrip("_")
            if missing == "relaysim":
                raise
            raise self.CollectError(
                f"{self._shown}: needs the simulator, and {missing} is not installed: install `relaysim[sim]`"
            ) from error
        folders = (self.path.parent, self.config.rootpath)
        try:
            with modules_found(folders):
                self.scenario = load(self._shown)
        except ScenarioError as error:
            more = f" (more: {lines_to_type(error.page.split(', '))})" if error.page else ""
            raise self.CollectError(f"{error}{more}") from None
        if not self.scenario.claims:
            raise self.CollectError(
                f"{self._shown}: claims: there are none, and nothing would be tested; add a [[claims]] table "
                "(docs/scenarios.md)"
            )
        for claim in self.scenario.claims:
            yield ScenarioClaim.from_parent(self, name=claim.id)

    def judge(self, claim: str, test: RunningTest) -> None:
        """Judge a claim. Raises CheckFailedError or NotShownError."""
        from relaysim.scenarios.testing.checking import modules_found
        from relaysim.scenarios.testing.judging import Judging

        __tracebackhide__ = True
        judging = Judging(self.scenario, claim=claim, test=test)
        with modules_found(test.folders):
            if test.only_seeds is not None:
                judging.judge_seeds(test.only_seeds)
                return
            if known := test.known.get("", ()):
                judging.judge_known(known, judging.run(known))
            seeds = range(test.seed_count or self.scenario.replications)
            if self._summary is None:
                self._summary = judging.run(seeds)
            judging.judge(self._summary, tuple(dict.fromkeys([*known, *seeds])), len(seeds))

    @property
    def _shown(self) -> str:
        """The file as it is found from where pytest was started, which is where its command runs again."""
        return os.path.relpath(self.path, self.config.invocation_params.dir)


class ScenarioClaim(pytest.Item):
    """A claim of a scenario: the test passes if its verdict is the expected one."""

    parent: ScenarioFile

    def runtest(self) -> None:
        """Judge the claim."""
        test = running_test()
        assert test is not None, "pytest runs it"
        self.parent.judge(self.name, test)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """What is false, in words: a traceback through the simulator would tell nobody anything."""
        if not isinstance(excinfo.value, CheckFailedError | NotShownError):
            return super().repr_failure(excinfo, style)
        told: Any = super().repr_failure(excinfo, "value")
        told.reprcrash.message = str(excinfo.value)  # what the summary's line shows
        return told

    def reportinfo(self) -> tuple[Any, int | None, str]:
        """Where it stands, and what it claims."""
        title = next(claim.title for claim in self.parent.scenario.claims if claim.id == self.name)
        return self.path, None, f"{self.name}: {title}"
