"""The search: Optuna's TPE for several objectives, one trial after the other, kept on disk and taken up again.

A study that is interrupted goes on where it stopped, and finds what it would have found: before each trial the sampler is
made anew, seeded by the number of trials that are complete, so that nothing is remembered but what is on disk. A trial
that was cut off is told as failed, which no sampler looks at, and its place is taken again.

A candidate that breaks a promise more often than the present settings in the same worlds is infeasible (a constraint).
"""

from __future__ import annotations

import json
import sqlite3
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relaysim.scenarios.commands.command_line import UsageError
from relaysim.scenarios.system_errors import reason_of
from relaysim.scenarios.tune.objectives import means
from relaysim.scenarios.tune.space import SPACES

if TYPE_CHECKING:
    from collections.abc import Iterator

    import optuna

#: Trials without a model of what was seen before: those with which the search begins count, the rest is drawn at random.
_RANDOM_TRIALS = 16
_NAME = "tune"
#: With this a database of SQLite's begins.
_SQLITE = b"SQLite format 3\0"
_IDENTITY, _POINT, _FOUND = "identity", "point", "found"


@dataclass(frozen=True, slots=True)
class Found:
    """What a candidate's worlds showed: each profile's objectives, and by how much more often each promise was broken
    than under the present settings.

    `secondary` has, for each profile, the measures that are no objectives (`objectives.secondary_measures`)."""

    by_profile: Mapping[str, tuple[float, ...]]
    excess: Mapping[str, int]
    secondary: Mapping[str, tuple[float, ...]] = field(default_factory=dict)

    @property
    def values(self) -> tuple[float, ...]:
        """The objectives, averaged over the profiles."""
        return means(self.by_profile)

    @property
    def feasible(self) -> bool:
        """Whether no promise was broken more often."""
        return all(each <= 0 for each in self.excess.values())


@dataclass(frozen=True, slots=True)
class Trial:
    """A complete trial: its number from 0, the point tried, what was found, and whether the search began with it."""

    number: int
    point: Mapping[str, Any]
    found: Found
    start: bool


@dataclass(frozen=True, slots=True)
class Search:
    """What is searched. `identity` is everything that the trials depend on; a study of another identity is refused."""

    policy: str
    objectives: Sequence[str]
    starts: Sequence[Mapping[str, Any]]
    trials: int
    seed: int
    identity: Mapping[str, Any]


def search(
    plan: Search,
    evaluate: Callable[[Mapping[str, Any], int], Found],
    storage: Path | None = None,
    done: Callable[[Trial], None] | None = None,
) -> list[Trial]:
    """Run what is missing of the study, and return all its trials.

    Args:
        plan: the search.
        evaluate: `(point, number)` to what its worlds showed.
        storage: an SQLite file, made at need; None: the study is kept in memory.
        done: called after each trial that was run now.

    Raises:
        UsageError: if the file cannot be used, or holds a study of something else.
    """
    with _quiet(), _storage_errors_reworded(storage):
        study = _open(plan, storage)
        _fail_cut_off(study)
        while True:
            trials = complete(study, plan)
            number = len(trials)
            if number >= plan.trials:
                return trials[: plan.trials]
            _run_one(study, plan, number, evaluate)
            if done is not None:
                done(complete(study, plan)[-1])


def _run_one(
    study: optuna.Study, plan: Search, number: int, evaluate: Callable[[Mapping[str, Any], int], Found]
) -> None:
    import optuna

    distributions = {each.name: each.distribution() for each in SPACES[plan.policy]}
    if number < len(plan.starts):
        point = dict(plan.starts[number])
        found = evaluate(point, number)
        study.add_trial(
            optuna.create_trial(
                params=point,
                distributions=distributions,
                values=list(found.values),
                constraints=dict(found.excess),
                user_attrs=_attributes(point, found),
            )
        )
        return
    seed = int.from_bytes(blake2b(f"{plan.seed} {number}".encode(), digest_size=4).digest(), "big")
    study.sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=_RANDOM_TRIALS, multivariate=True)
    trial = study.ask(fixed_distributions=distributions)
    point = {each.name: each.value(trial.params[each.name]) for each in SPACES[plan.policy]}
    found = evaluate(point, number)
    for name, excess in found.excess.items():
        trial.set_constraint(name, excess)
    for name, value in _attributes(point, found).items():
        trial.set_user_attr(name, value)
    study.tell(trial, list(found.values))


def _attributes(point: Mapping[str, Any], found: Found) -> dict[str, str]:
    shown = {"by_profile": found.by_profile, "excess": found.excess, "beside": found.secondary}
    return {_POINT: json.dumps(point), _FOUND: json.dumps(shown)}


def complete(study: optuna.Study, plan: Search) -> list[Trial]:
    """The study's complete trials, numbered from 0."""
    from optuna.trial import TrialState

    trials = []
    for number, trial in enumerate(study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))):
        shown = json.loads(trial.user_attrs[_FOUND])
        by_profile, secondary = (
            {name: tuple(values) for name, values in shown[block].items()} for block in ("by_profile", "beside")
        )
        found = Found(by_profile, shown["excess"], secondary)
        trials.append(Trial(number, json.loads(trial.user_attrs[_POINT]), found, number < len(plan.starts)))
    return trials


def _open(plan: Search, storage: Path | None) -> optuna.Study:
    import optuna
    from optuna.study import StudyDirection

    directions = [StudyDirection.MINIMIZE] * len(plan.objectives)
    identity = json.loads(json.dumps(plan.identity))
    if storage is None:
        study = optuna.create_study(directions=directions)
        study.set_user_attr(_IDENTITY, identity)
        return study
    check_file(storage)
    study = optuna.create_study(
        storage=f"sqlite:///{storage}", study_name=_NAME, directions=directions, load_if_exists=True
    )
    known = study.user_attrs.get(_IDENTITY)
    if known is None:
        study.set_user_attr(_IDENTITY, identity)
        return study
    differing = [name for name in (*identity, *known) if known.get(name) != identity.get(name)]
    if differing:
        words = "; ".join(
            f"{name} was {json.dumps(known.get(name))} and is {json.dumps(identity.get(name))}"
            for name in dict.fromkeys(differing)
        )
        raise UsageError(
            f"--study {storage}: holds a study of something else: {words}; name another file, or remove this one"
        )
    return study


def check_identity(plan: Search, storage: Path) -> None:
    """Whether a file can take up this search, before any world is run for it. A new one is made at once.

    Raises:
        UsageError: as `search`.
    """
    with _quiet(), _storage_errors_reworded(storage):
        _open(plan, storage)


def check_place(path: Path) -> None:
    """Whether there is a folder for a study's file. Raises UsageError where there is none."""
    if not path.parent.is_dir():
        raise UsageError(f"--study {path}: there is no folder {path.parent}; make it, or name another file")


def check_file(path: Path) -> None:
    """Whether a file can hold a study: there is none yet, or it is a database of Optuna's. Nothing is written.

    Raises:
        UsageError: naming the file and what to do.
    """
    check_place(path)
    if path.is_dir():
        raise UsageError(f"--study {path}: is a folder; name a file")
    try:
        with path.open("rb") as file:
            head = file.read(len(_SQLITE))
    except FileNotFoundError:
        return
    except OSError as error:
        raise UsageError(f"--study {path}: cannot be read: {reason_of(error)}") from error
    if not head:
        return  # as SQLite leaves it if it is stopped at once
    if head != _SQLITE:
        raise UsageError(f"--study {path}: is not a study; name another file, or remove this one")
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as database:
            tables = {name for (name,) in database.execute("select name from sqlite_master where type = 'table'")}
    except sqlite3.Error as error:
        raise UsageError(_damaged(path)) from error
    if tables and "studies" not in tables:
        raise UsageError(f"--study {path}: is a database of something else; name another file")


def _damaged(path: Path) -> str:
    return f"--study {path}: cannot be used as a study, it is damaged; name another file, or remove this one"


@contextmanager
def _storage_errors_reworded(storage: Path | None) -> Iterator[None]:
    """What the database library says of a file, in one line without its own words."""
    from optuna.exceptions import StorageInternalError
    from sqlalchemy.exc import OperationalError, SQLAlchemyError

    try:
        yield
    except (SQLAlchemyError, StorageInternalError) as error:
        cause = error if isinstance(error, SQLAlchemyError) else error.__cause__
        if isinstance(cause, OperationalError):  # the disk is full, the file may not be written, somebody holds it
            message = f"--study {storage}: cannot be written: {cause.orig}; name another file"
            raise UsageError(message) from error
        raise UsageError(_damaged(storage or Path(_NAME))) from error


def _fail_cut_off(study: optuna.Study) -> None:
    """Trials that nobody runs any more."""
    from optuna.trial import TrialState

    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        study.tell(trial.number, state=TrialState.FAIL)


def importances(trials: Sequence[Trial], plan: Search) -> dict[str, dict[str, float]]:
    """How much each setting has to do with each objective: PED-ANOVA's shares, which add up to 1 per objective.

    It compares how the best tenth of the trials is distributed with how all are (Watanabe, Bansal and Hutter, IJCAI
    2023). Empty where there are too few trials for it.
    """
    import optuna
    from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances

    if len(trials) < 2 * _RANDOM_TRIALS:
        return {}
    distributions = {each.name: each.distribution() for each in SPACES[plan.policy]}
    shares: dict[str, dict[str, float]] = {}
    with _quiet():
        for place, objective in enumerate(plan.objectives):
            study = optuna.create_study()
            study.add_trials(
                [
                    optuna.create_trial(
                        params=dict(trial.point), distributions=distributions, value=trial.found.values[place]
                    )
                    for trial in trials
                ]
            )
            found = get_param_importances(study, evaluator=PedAnovaImportanceEvaluator())
            shares[objective] = {name: round(float(share), 4) for name, share in found.items()}
    return shares


@contextmanager
def _quiet() -> Iterator[None]:
    """Optuna tells every trial, and that parts of it are experimental."""
    import optuna

    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            yield
    finally:
        optuna.logging.set_verbosity(before)
