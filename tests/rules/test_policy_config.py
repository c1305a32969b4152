"""Policies as an operator writes them: which rule holds for a sku, and what is refused, all at once."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncd.app.build import channel_problems, problems_in, rulebook_of
from syncd.config import Settings, load
from syncd.errors import ConfigError
from syncd.stock.policy import Inputs, Policy, Zero
from syncd.stock.rulebook import Asked, ChannelRules, Rulebook
from tests.rules.test_standing import known

MAIN, ANNEX = 1, 2
TWO = """
[warehouses.main]
[warehouses.annex]
[channels.uk]
platform = "memory"
locations = { "*" = "main" }
[channels.eu]
platform = "memory"
locations = { "1" = "main", "2" = "annex" }
options = { store = "eu" }
"""


def loaded(folder: Path, text: str) -> Settings:
    path = folder / "config.toml"
    path.write_text(text)
    settings = load(path, {}, channel_problems)
    found = problems_in(settings)
    if found:
        raise ConfigError(found)
    return settings


def refused(folder: Path, text: str) -> list[str]:
    with pytest.raises(ConfigError) as error:
        loaded(folder, text)
    return list(error.value.problems)


def book(folder: Path, text: str) -> Rulebook:
    settings = loaded(folder, text)
    ids = {name: n for n, name in enumerate(settings.channels, 1)}
    return rulebook_of(settings, ids, {"main": MAIN, "annex": ANNEX})


def rules(folder: Path, text: str, name: str = "uk") -> ChannelRules:
    found = book(folder, text).named(name)
    assert found is not None
    return found


def shown(of: ChannelRules, sku: str, warehouse_id: int, level: int) -> int:
    """What a listing shows where nothing but the level is known."""
    return of.target_of(Asked(1, sku, warehouse_id), known(level, None))


LAYERS = (
    TWO
    + """
[channels.uk.policy]
buffer = 1
cap = 50
exclude = ["GIFT-*"]
[channels.uk.patterns."TEE-*"]
buffer = 2
percent = 50
[channels.uk.patterns."TEE-RED-*"]
buffer = 3
[channels.uk.patterns."GIFT-1?"]
exclude = false
[channels.uk.patterns."OLD-*"]
exclude = true
zero = "keep_last"
[channels.uk.items."TEE-RED-M"]
buffer = 4
preorder = 5
[channels.uk.items."GIFT-12"]
exclude = true
[channels.uk.items."OLD-1"]
buffer = 0
"""
)


@pytest.mark.parametrize(
    ("sku", "policy", "excluded"),
    [
        ("MUG", Policy(buffer=1, cap=50), False),
        ("tee-x", Policy(buffer=1, cap=50), False),
        ("TEE-X", Policy(percent=50, buffer=2, cap=50), False),
        ("TEE-RED-S", Policy(percent=50, buffer=2, cap=50), False),
        ("TEE-RED-M", Policy(percent=50, buffer=4, cap=50, preorder=5), False),
        ("GIFT-2", Policy(buffer=1, cap=50), True),
        ("GIFT-11", Policy(buffer=1, cap=50), False),
        ("GIFT-12", Policy(buffer=1, cap=50), True),
        ("OLD-2", Policy(buffer=1, cap=50, zero=Zero.KEEP_LAST), True),
        ("OLD-1", Policy(buffer=0, cap=50, zero=Zero.KEEP_LAST), True),
    ],
)
def test_an_item_beats_its_pattern_and_that_the_channel(
    tmp_path: Path, sku: str, policy: Policy, excluded: bool
) -> None:
    uk = rules(tmp_path, LAYERS)
    assert uk.policy_of(sku) == policy
    assert uk.excludes(sku) is excluded
    settings = loaded(tmp_path, LAYERS).channels["uk"]
    assert settings.excludes(sku) is excluded
    assert settings.policy_for(sku).buffer == policy.buffer


def test_speed_and_steps_are_read_and_the_narrowest_holds(tmp_path: Path) -> None:
    uk = rules(
        tmp_path,
        TWO
        + """
[channels.uk.policy]
speed = "48h"
announce_max = 20
[channels.uk.patterns."TEE-*"]
speed = "90m"
[channels.uk.items."TEE-1"]
speed = "0s"
announce_max = 0
""",
    )
    assert uk.policy_of("MUG") == Policy(speed_hours=48, announce_max=20)
    assert uk.policy_of("TEE-2") == Policy(speed_hours=2, announce_max=20)
    assert uk.policy_of("TEE-1") == Policy()
    assert uk.asks_speed
    assert not rules(tmp_path, TWO).asks_speed


@pytest.mark.parametrize(
    ("said", "after"), [('"off"', None), ('"auto"', 45), ('"1h"', 60), ('"16m"', 16)]
)
def test_how_long_a_channel_may_be_silent(tmp_path: Path, said: str, after: int | None) -> None:
    text = TWO.replace("[channels.uk]", f"[channels.uk]\nsafe_mode = {said}")
    found = rules(tmp_path, text)
    assert found.safe_after == (None if after is None else timedelta(minutes=after))
    assert rules(tmp_path, TWO).safe_after is None
    assert not found.zero_when_silent


@pytest.mark.parametrize(
    ("said", "complaint"),
    [
        ('"15m"', "channels.uk.safe_mode: must be longer than sync.sweep_every"),
        ('"on"', 'channels.uk.safe_mode: must be "off", "auto" or a duration, like "45m"'),
        ("true", 'channels.uk.safe_mode: must be "off", "auto" or a duration, like "45m"'),
        ('"0s"', 'channels.uk.safe_mode: must be "off", "auto" or a duration, like "45m"'),
        ('"1h"\ntruth = "none"', "channels.uk.safe_mode: no sales of this channel are booked"),
    ],
)
def test_a_silence_that_cannot_be_is_refused(tmp_path: Path, said: str, complaint: str) -> None:
    text = TWO.replace("[channels.uk]", f"[channels.uk]\nsafe_mode = {said}")
    [problem] = refused(tmp_path, text)
    assert problem.startswith(complaint)


def test_every_problem_of_policies_is_told_at_once(tmp_path: Path) -> None:
    found = refused(
        tmp_path,
        TWO
        + """
[channels.uk.policy]
cap = 5
floor = 6
zero = "retire"
last_unit = 3
[channels.uk.patterns."TEE-*"]
preorder = 6
buffr = 1
[channels.uk.patterns.MUG]
buffer = 1
[channels.uk.patterns."".x]
[channels.uk.items."TEE-1"]
cap = 4
[channels.uk.items."TEE-2"]
floor = 0
preorder = 2
[channels.uk.items."CAP.S"]
zero = "retired"
weather = "fine"
""",
    )
    told = {line.rsplit(" (config.toml", 1)[0] for line in found}
    assert told == {
        "channels.uk.policy.floor: is above the cap that holds here",
        'channels.uk.policy.last_unit: is not a known key; did you mean "last_units"?',
        'channels.uk.patterns."TEE-*".preorder: is above the cap that holds here',
        'channels.uk.patterns."TEE-*".buffr: is not a known key; did you mean "buffer"?',
        "channels.uk.patterns.MUG: matches one sku alone, so it belongs under items",
        'channels.uk.patterns."": must not be empty',
        'channels.uk.patterns."".x: is not a known key; a name with a dot in it needs quotes',
        "channels.uk.items.TEE-1.cap: is below the floor that holds here",
        "channels.uk.items.TEE-1.cap: is below the preorder that holds here",
        'channels.uk.items."CAP.S".zero: must be "show_zero", "retire" or "keep_last"',
        'channels.uk.items."CAP.S".weather: is not a known key; a name with a dot in it needs quotes',
    }


def test_to_retire_needs_a_platform_that_can(tmp_path: Path) -> None:
    found = refused(
        tmp_path,
        TWO
        + """
[channels.uk.policy]
zero = "retire"
[channels.uk.patterns."TEE-*"]
zero = "retire"
[channels.eu.items."A.B"]
zero = "retire"
""",
    )
    words = '"retire" is not supported on memory; it can be "show_zero" or "keep_last"'
    assert found == [
        f"channels.uk.policy.zero: {words}",
        f'channels.uk.patterns."TEE-*".zero: {words}',
        f'channels.eu.items."A.B".zero: {words}',
    ]


CLAIMS = TWO + "[channels.uk.policy]\nlast_units = 3\n"


@pytest.mark.parametrize(
    ("more", "where"),
    [
        ("[channels.eu.policy]\nlast_units = 4", "channels.eu.policy.last_units"),
        ("[channels.eu.items.MUG]\nlast_units = 4", "channels.eu.items.MUG.last_units"),
        ('[channels.eu.patterns."T*"]\nlast_units = 4', 'channels.eu.patterns."T*".last_units'),
        (
            '[channels.uk.items.MUG]\nlast_units=0\n[channels.eu.patterns."M*"]\nlast_units = 4',
            'channels.eu.patterns."M*".last_units',
        ),
    ],
)
def test_last_units_go_to_one_channel(tmp_path: Path, more: str, where: str) -> None:
    (found,) = refused(tmp_path, CLAIMS + more)
    words = "the last units are uk's already, which shares a warehouse with eu"
    assert found.startswith(f"{where}: {words} (config.toml line ")


@pytest.mark.parametrize(
    "more",
    [
        "[channels.uk.items.MUG]\nlast_units = 0\n[channels.eu.items.MUG]\nlast_units = 4",
        "[channels.eu.items.MUG]\nlast_units = 0",
    ],
)
def test_one_item_may_go_to_another_channel(tmp_path: Path, more: str) -> None:
    assert loaded(tmp_path, CLAIMS + more).channels["uk"].policy.last_units == 3


def test_channels_that_share_no_warehouse_may_both_keep_their_last(tmp_path: Path) -> None:
    text = CLAIMS.replace('"1" = "main", ', "") + "[channels.eu.policy]\nlast_units = 4"
    assert shown(rules(tmp_path, text, "eu"), "MUG", ANNEX, 2) == 2
    off = CLAIMS.replace("[channels.eu]", "[channels.eu]\ndeliver = false")
    assert loaded(tmp_path, off + "[channels.eu.policy]\nlast_units = 4").warnings[1:] == (
        "channels.eu: last units go to nobody alone while nothing is delivered here",
    )


def test_below_its_last_units_only_one_channel_shows_them(tmp_path: Path) -> None:
    found = book(tmp_path, CLAIMS + 'exclude = ["GIFT-*"]')
    uk, eu = found.named("uk"), found.named("eu")
    assert uk is not None
    assert eu is not None
    assert [shown(uk, "MUG", MAIN, n) for n in (4, 3, 2, 0)] == [4, 3, 2, 0]
    assert [shown(eu, "MUG", MAIN, n) for n in (4, 3, 2, 0)] == [4, 3, 0, 0]
    assert shown(eu, "MUG", ANNEX, 2) == 2, "uk has nothing of that warehouse"
    assert shown(eu, "GIFT-1", MAIN, 2) == 2, "uk does not sell it"
    assert eu.inputs_of(Asked(1, "MUG", MAIN), known(2, None)) == Inputs(
        2, others_below=3, others="uk"
    )


@pytest.mark.parametrize("key", ["enabled", "deliver"])
def test_a_channel_that_delivers_nothing_claims_nothing(tmp_path: Path, key: str) -> None:
    text = CLAIMS.replace("[channels.uk]\n", f"[channels.uk]\n{key} = false\n")
    assert shown(rules(tmp_path, text, "eu"), "MUG", MAIN, 2) == 2


def test_what_works_but_looks_wrong_is_told(tmp_path: Path) -> None:
    text = TWO + '[channels.uk.policy]\npercent = 0\n[channels.uk.items."TEE-*"]\nbuffer = 1'
    assert loaded(tmp_path, text).warnings[1:] == (
        "channels.uk.policy: shows nothing, whatever there is",
        'channels.uk.items."TEE-*": is one sku, not a pattern; those stand under patterns',
    )


@given(
    st.integers(-5, 20),
    st.integers(0, 6),
    st.sampled_from(["MUG", "TEE-1", "GIFT-1"]),
    st.booleans(),
)
def test_somebody_shows_what_there_is(level: int, below: int, sku: str, excluded: bool) -> None:
    uk = {"platform": "memory", "locations": {"*": "main"}, "policy": {"last_units": below}}
    eu = {"platform": "memory", "locations": {"*": "main"}}
    if excluded:
        uk["policy"] = {"last_units": below, "exclude": ["GIFT-*"]}
    settings = Settings.model_validate(
        {"warehouses": {"main": {}}, "channels": {"uk": uk, "eu": eu}}
    )
    found = rulebook_of(settings, {"uk": 1, "eu": 2}, {"main": MAIN})
    found_there = [
        shown(r, sku, MAIN, level) for r in found.channels.values() if not r.excludes(sku)
    ]
    assert max(found_there) == max(level, 0)
