"""The tape: what was recorded plays back, and nothing else strikes or takes longer than the median."""

from __future__ import annotations

from relaysim.sim.kernel import DrawKey, Draws, Recording, RecordingDraws, TapedDraws

RARE = 0.2


def sampler(u: float) -> float:
    return 10.0 * u


def world(draws: Draws) -> list[float | bool]:
    """Some decisions and durations, with and without an index."""
    made: list[float | bool] = []
    for number in range(40):
        made.append(draws.rare("w1", "fault", number) < RARE)
        made.append(not draws.rare("w1", "other fault") >= RARE)
        made.append(draws.seconds(sampler, "w1", "way", number))
        made.append(draws.seconds(sampler, "w1", "way back"))
        made.append(draws.uniform("w1", "what", number))
    return made


def test_recording_changes_nothing_and_notes_what_struck() -> None:
    recording = Recording()
    made = world(RecordingDraws(Draws(1, 2), recording))
    assert made == world(Draws(1, 2))
    assert len(recording.strikes) == sum(each is True for each in made)
    assert all(u < RARE for u in recording.strikes.values())
    assert len(recording.seconds) == 80
    assert {median for _, median in recording.seconds.values()} == {5.0}


def test_a_tape_with_all_choices_is_the_same_world() -> None:
    recording = Recording()
    made = world(RecordingDraws(Draws(1, 2), recording))
    seconds = {key: drawn for key, (drawn, _) in recording.seconds.items()}
    assert world(TapedDraws(1, 2, recording.strikes, seconds)) == made


def test_what_is_not_on_the_tape_does_not_strike_and_takes_the_median() -> None:
    struck, taken = DrawKey("w1", "fault", 3), DrawKey("w1", "way back", 5)
    made = world(TapedDraws(1, 2, {struck: 0.1}, {taken: 7.5}))
    assert [index for index, each in enumerate(made) if each is True] == [15]
    assert sorted({each for index, each in enumerate(made) if index % 5 in (2, 3)}) == [5.0, 7.5]
    # All else is drawn as ever.
    assert made[4::5] == world(Draws(1, 2))[4::5]


def test_what_is_certain_does_not_strike_beside_a_tape_either() -> None:
    assert not TapedDraws(1, 2, {}, {}).rare("w1", "crash") < 1.0


def test_one_duration_may_be_of_all_that_an_actor_does() -> None:
    draws = TapedDraws(1, 2, {}, {DrawKey("w1/*", "request", 0): 5.0, DrawKey("w1/b", "request", 1): 7.0})

    def taken(entity: str, purpose: str = "request") -> list[float]:
        return [draws.seconds(lambda u: u, entity, purpose) for _ in range(3)]

    assert taken("w1/a") == [5.0] * 3
    assert taken("w1/b") == [5.0, 7.0, 5.0]
    assert taken("w2/a") == taken("w1/a", "other") == taken("w11/a") == [0.5] * 3
