"""The configuration: what it means, everything that is refused, and that no secret ever shows."""

from __future__ import annotations

import copy
import traceback
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

from syncd.config import Address, PolicySettings, Settings, diff, load, problems_of
from syncd.errors import ConfigError
from syncd.stock.model import Edits, Truth

EXAMPLE = Path(__file__).parents[2] / "config.example.toml"
CANARY = "canary-9f3b7c1d"

GOOD = """
[warehouses.main]
source = "uk"
[channels.uk]
platform = "shopify"
[channels.uk.locations]
"*" = "main"
[channels.uk.options]
shop = "urbanwear"
"""


def write(folder: Path, text: str, name: str = "config.toml") -> Path:
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def loaded(folder: Path, text: str, environ: Mapping[str, str] | None = None) -> Settings:
    return load(write(folder, text), environ or {})


def problems(folder: Path, text: str, environ: Mapping[str, str] | None = None) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        loaded(folder, text, environ)
    return caught.value.problems


def credentials(folder: Path, **named: str) -> dict[str, str]:
    home = folder / "credentials"
    home.mkdir(exist_ok=True)
    for name, text in named.items():
        (home / name).write_text(text)
    return {"CREDENTIALS_DIRECTORY": str(home)}


# ---- what it means


def test_defaults_are_those_written_in_the_surfaces(tmp_path: Path) -> None:
    found = loaded(tmp_path, "")
    assert found.database.dsn is None
    assert found.http.listen == Address("127.0.0.1", 8080)
    assert found.http.max_body == 1024 * 1024
    assert found.ops.listen == Address("127.0.0.1", 9108)
    assert found.ops.token is None
    assert found.sync.sweep_every == timedelta(minutes=15)
    assert found.sync.blast_radius == 0.2
    assert found.sync.retain_bodies == timedelta(days=7)
    assert found.sync.retain_journal == timedelta(days=365)
    assert found.sync.retain_delivery_ids == timedelta(days=35)
    assert found.sync.drain_timeout == timedelta(seconds=20)
    assert (found.log.level, found.log.format) == ("info", "json")
    assert found.channels == {}
    assert found.warnings == ()


def test_a_channel_without_words_follows_its_platform(tmp_path: Path) -> None:
    channel = loaded(tmp_path, GOOD).channels["uk"]
    assert channel.edits is None
    assert channel.truth is None
    assert channel.enabled
    assert channel.deliver
    assert channel.match == ("sku",)
    assert channel.policy == PolicySettings()
    assert channel.warehouse_of("81") == "main"


def test_every_key_reaches_its_field(tmp_path: Path) -> None:
    found = loaded(
        tmp_path,
        GOOD.replace('source = "uk"', 'source = "uk/81/2"').replace('"*" =', '"81/2" =')
        + """
[channels.uk.policy]
buffer = 2
percent = 90
cap = 50
floor = 1
zero = "keep_last"
exclude = ["GIFT-*"]
[channels.uk.items."A.B"]
buffer = 0
cap = 5
[channels.uk.items."GIFT-1"]
exclude = false
[channels.de]
platform = "woocommerce"
enabled = false
deliver = false
deliver_raises = false
deliver_lowers = false
edits = "overwrite"
truth = "none"
commit_on = "paid"
restock = "never"
match = ["barcode", "sku"]
""",
    )
    uk, de, main = found.channels["uk"], found.channels["de"], found.warehouses["main"]
    assert (main.source_channel, main.source_location) == ("uk", "81/2")
    assert uk.policy_for("A.B") == PolicySettings(
        buffer=0, percent=90, cap=5, floor=1, zero="keep_last", exclude=("GIFT-*",)
    )
    assert uk.policy_for("other") == uk.policy
    assert uk.excludes("GIFT-2")
    assert not uk.excludes("GIFT-1")
    assert not uk.excludes("gift-2")
    assert uk.warehouse_of("82") is None
    assert {de.enabled, de.deliver, de.deliver_raises, de.deliver_lowers} == {False}
    assert (de.edits, de.truth) == (Edits.OVERWRITE, Truth.NONE)
    assert (de.commit_on, de.restock, de.match) == ("paid", "never", ("barcode", "sku"))


@pytest.mark.parametrize(
    ("written", "seconds"),
    [("15m", 900), ("90s", 90), ("1h30m", 5400), ("7d", 604_800), ("250ms", 0.25), ("1w", 604_800)],
)
def test_durations(tmp_path: Path, written: str, seconds: float) -> None:
    found = loaded(tmp_path, f'[sync]\nsweep_every = "{written}"')
    assert found.sync.sweep_every.total_seconds() == seconds


@pytest.mark.parametrize(
    "written",
    [
        "15",
        "900.0",
        '"15"',
        '"15 m"',
        '"-5m"',
        '"1.5h"',
        '""',
        "true",
        '"999999999w"',
        '"0s"',
        "[]",
    ],
)
def test_durations_without_a_unit_are_refused(tmp_path: Path, written: str) -> None:
    (found,) = problems(tmp_path, f"[sync]\nsweep_every = {written}")
    assert found.startswith("sync.sweep_every: must be ")
    assert found.endswith(" (config.toml line 2)")


def test_nothing_may_be_kept_of_bodies(tmp_path: Path) -> None:
    assert loaded(tmp_path, '[sync]\nretain_bodies = "0s"').sync.retain_bodies == timedelta()


@pytest.mark.parametrize(
    ("written", "size"), [("512KiB", 524_288), ("2MB", 2_000_000), ("1GiB", 1 << 30), ("9B", 9)]
)
def test_sizes(tmp_path: Path, written: str, size: int) -> None:
    assert loaded(tmp_path, f'[http]\nmax_body = "{written}"').http.max_body == size


@pytest.mark.parametrize("written", ["1", '"1"', '"1 mb"', '"0B"', '"9999999GiB"', "1.5", "false"])
def test_sizes_without_a_unit_are_refused(tmp_path: Path, written: str) -> None:
    (found,) = problems(tmp_path, f"[http]\nmax_body = {written}")
    assert found.startswith("http.max_body: must be a size")


@pytest.mark.parametrize(("written", "share"), [("0%", 0.0), ("12.5%", 0.125), ("100%", 1.0)])
def test_shares(tmp_path: Path, written: str, share: float) -> None:
    assert loaded(tmp_path, f'[sync]\nblast_radius = "{written}"').sync.blast_radius == share


@pytest.mark.parametrize("written", ["0.2", "20", '"20"', '"101%"', '"-1%"', '"%"'])
def test_shares_that_could_mean_two_things_are_refused(tmp_path: Path, written: str) -> None:
    (found,) = problems(tmp_path, f"[sync]\nblast_radius = {written}")
    assert found.startswith("sync.blast_radius: must be a share")


@pytest.mark.parametrize(
    ("written", "host", "port"),
    [("0.0.0.0:80", "0.0.0.0", 80), ("[::1]:8080", "::1", 8080), ("localhost:0", "localhost", 0)],
)
def test_addresses(tmp_path: Path, written: str, host: str, port: int) -> None:
    listen = loaded(tmp_path, f'[http]\nlisten = "{written}"').http.listen
    assert (listen.host, listen.port, str(listen)) == (host, port, written)


@pytest.mark.parametrize("written", ['"8080"', "8080", '":80"', '"::1:80"', '"a:99999"', '"a b:1"'])
def test_addresses_without_host_or_port_are_refused(tmp_path: Path, written: str) -> None:
    (found,) = problems(tmp_path, f"[http]\nlisten = {written}")
    assert found.startswith("http.listen: must be an address and a port")


# ---- what is refused


def test_everything_wrong_is_said_at_once_with_key_place_and_hint(tmp_path: Path) -> None:
    found = problems(
        tmp_path,
        """
[http]
listen = "127.0.0.1:9108"
[syncs]
x = 1
[warehouses.main]
source = "ukk"
[channels.uk]
platform = "shopify"
edits = "adoptt"
polcy = 3
enabled = 1
[channels.uk.locations]
"81" = "man"
[channels.uk.policy]
bufer = 1
buffer = -1
percent = 101
cap = 2.5
[channels.uk.items.A.B]
buffer = 1
[channels.de]
""",
    )
    assert sorted(found) == sorted(
        [
            "ops.listen: is the address of http.listen: it needs its own",
            'syncs: is not a known key; did you mean "sync"? (config.toml line 4)',
            'warehouses.main.source: names no channel; did you mean "uk"? (config.toml line 7)',
            'channels.uk.edits: must be "adopt", "overwrite" or "alert" (config.toml line 10)',
            'channels.uk.polcy: is not a known key; did you mean "policy"? (config.toml line 11)',
            "channels.uk.enabled: must be true or false (config.toml line 12)",
            'channels.uk.locations.81: names no warehouse; did you mean "main"? (config.toml line 14)',
            'channels.uk.policy.bufer: is not a known key; did you mean "buffer"? (config.toml line 16)',
            "channels.uk.policy.buffer: must be between 0 and 1000000000 (config.toml line 17)",
            "channels.uk.policy.percent: must be between 0 and 100 (config.toml line 18)",
            "channels.uk.policy.cap: must be a whole number (config.toml line 19)",
            "channels.uk.items.A.B: is not a known key; a name with a dot in it needs quotes (config.toml line 20)",
            "channels.de.platform: is missing (config.toml line 22)",
        ]
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[channels.uk]\nplatform = "x"\nmatch = []', "channels.uk.match: must name at least one"),
        ('[channels.uk]\nplatform = "x"\nmatch = ["sku", "sku"]', "channels.uk.match: must name"),
        ('[channels.uk]\nplatform = "x"\nmatch = ["ean"]', "channels.uk.match.0: must be"),
        ('[channels.uk]\nplatform = "x"\nmatch = "sku"', "channels.uk.match: must be a list"),
        ("[channels.uk]\nplatform = 3", "channels.uk.platform: must be text, in quotes"),
        ('[channels.uk]\nplatform = ""', "channels.uk.platform: must not be empty"),
        ('[channels.uk]\nplatform = "x"\ntruth = "moves"', "channels.uk.truth: must be"),
        ('[channels."u k"]\nplatform = "x"', 'channels."u k": a name has 1 to 63'),
        ('[channels.uk]\nplatform = "x"\n[channels.uk.items." "]', 'channels.uk.items." ": a sku'),
        ("[channels]\nuk = 3", "channels.uk: must be a table"),
        ("channels = 3", "channels: must be a table"),
        ('[database]\ndsn = "mysql://x/y"', 'database.dsn: must begin with "postgresql://"'),
        ('[http]\npublic_url = "ftp://x"', "http.public_url: must be an address like"),
        ('[http]\npublic_url = "https://a:b/"', "http.public_url: must be an address like"),
        ('[http]\npublic_url = "https://u:p@a/"', "http.public_url: must be an address like"),
        ('state_dir = ""', "state_dir: must be text"),
        ('[log]\nlevel = "trace"', 'log.level: must be "debug", "info", "warning" or "error"'),
        ('[http]\nlisten="0.0.0.0:9108"', "ops.listen: is the address of http.listen"),
        ("[channels.uk]\nplatform='x'\noptions = 3", "channels.uk.options: must be a table"),
        ("[channels.uk]\nplatform='x'\n[channels.uk.policy]\ncap=true", "channels.uk.policy.cap:"),
    ],
)
def test_refused(tmp_path: Path, text: str, words: str) -> None:
    (found,) = problems(tmp_path, text)
    assert found.startswith(words)


@pytest.mark.parametrize(
    ("source", "locations", "words"),
    [
        ("de", {}, "names no channel"),
        ("uk", {"81": "other"}, "names a channel of which no location feeds this warehouse"),
        (
            "uk/8123457",
            {"8123456": "main"},
            'names a location that its channel does not map; did you mean "8123456"',
        ),
        ("uk/81", {"81": "other", "*": "main"}, "names a location that feeds another warehouse"),
    ],
)
def test_a_source_must_feed_its_warehouse(
    tmp_path: Path, source: str, locations: dict[str, str], words: str
) -> None:
    mapped = "\n".join(f'"{where}" = "{to}"' for where, to in locations.items())
    (found,) = problems(
        tmp_path,
        f'[warehouses.other]\n[warehouses.main]\nsource = "{source}"\n[channels.uk]\n'
        f'platform = "x"\n[channels.uk.locations]\n{mapped}',
    )
    assert found.startswith(f"warehouses.main.source: {words}")


def test_two_ports_chosen_by_the_system_do_not_collide(tmp_path: Path) -> None:
    found = loaded(tmp_path, '[http]\nlisten = "127.0.0.1:0"\n[ops]\nlisten = "127.0.0.1:0"')
    assert found.http.listen.port == found.ops.listen.port == 0


# ---- files


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a = \n", "config.toml: invalid value (at line 1, column 5)"),
        ("[a]\n[a]\n", "config.toml: cannot declare … twice (at line 2, column 3)"),
        ("x = 1979-99-99", "config.toml: "),
        ("x = " + "9" * 5000, "config.toml: a number or date cannot be read"),
        ("x = " + "[" * 200 + "]" * 200, "config.toml: tables are nested too deeply"),
        ("x = " + "[" * 5000, "config.toml: tables are nested too deeply"),
        (".".join("a" * 100) + " = 1", "config.toml: tables are nested too deeply"),
    ],
)
def test_bad_toml(tmp_path: Path, text: str, words: str) -> None:
    (found,) = problems(tmp_path, text)
    assert found.startswith(words)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    for path in (tmp_path / "none.toml", tmp_path, Path("a\0b")):
        with pytest.raises(ConfigError) as caught:
            load(path, {})
        assert len(caught.value.problems) == 1
        assert "cannot be read" in caught.value.problems[0]


def test_a_file_that_is_no_text_names_the_line(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_bytes(b'[http]\nlisten = "\xff"\n')
    with pytest.raises(ConfigError) as caught:
        load(path, {})
    assert caught.value.problems == ["config.toml: is not UTF-8 text (at line 2)"]


def test_conf_d_is_merged_and_a_key_set_twice_names_both_files(tmp_path: Path) -> None:
    write(tmp_path / "conf.d", "[channels.uk.policy]\nbuffer = 3\n", "uk.toml")
    found = loaded(tmp_path, GOOD)
    assert found.channels["uk"].policy.buffer == 3
    write(tmp_path / "conf.d", '[channels.uk]\nplatform = "x"\npolicy = 3\n', "zz.toml")
    assert problems(tmp_path, GOOD) == [
        "channels.uk.platform: is set twice, in config.toml and in conf.d/zz.toml",
        "channels.uk.policy: is set twice, in conf.d/uk.toml and in conf.d/zz.toml",
    ]


def test_every_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    write(tmp_path / "conf.d", "a =", "one.toml")
    write(tmp_path / "conf.d", "b =", "two.toml")
    found = problems(tmp_path, "c =")
    assert [line.split(":")[0] for line in found] == [
        "config.toml",
        "conf.d/one.toml",
        "conf.d/two.toml",
    ]


def test_a_problem_in_conf_d_names_its_file(tmp_path: Path) -> None:
    write(tmp_path / "conf.d", "\n[channels.uk.policy]\nbufer = 3\n", "uk.toml")
    (found,) = problems(tmp_path, GOOD)
    assert found.endswith("(conf.d/uk.toml line 3)")


def test_relative_paths_count_from_the_file(tmp_path: Path) -> None:
    (tmp_path / "token").write_text(CANARY)
    found = loaded(
        tmp_path,
        'state_dir = "state"\n' + GOOD + 'access_token = { file = "token" }',
    )
    assert found.state_dir == tmp_path / "state"
    assert found.channels["uk"].options["access_token"] == SecretStr(CANARY)


def test_the_state_directory_of_the_unit_is_the_default(tmp_path: Path) -> None:
    unit = {"STATE_DIRECTORY": "/var/lib/private/syncd:/other"}
    assert loaded(tmp_path, "", unit).state_dir == Path("/var/lib/private/syncd")
    assert loaded(tmp_path, 'state_dir = "/srv"', unit).state_dir == Path("/srv")


# ---- precedence


def test_environment_beats_credentials_beats_file(tmp_path: Path) -> None:
    text = '[log]\nlevel = "error"\nformat = "console"\n[sync]\nsweep_every = "1m"'
    unit = credentials(tmp_path, log__level="warning\n", log__format="json", unrelated="x")
    found = loaded(tmp_path, text, {**unit, "SYNCD_LOG__LEVEL": "debug"})
    assert (found.log.level, found.log.format) == ("debug", "json")
    assert found.sync.sweep_every == timedelta(minutes=1)


def test_names_without_case_mean_the_key_as_the_file_spells_it(tmp_path: Path) -> None:
    found = loaded(
        tmp_path,
        GOOD.replace("channels.uk", "channels.UkShop").replace('"uk"', '"UkShop"'),
        {
            "SYNCD_CHANNELS__UKSHOP__DELIVER": "false",
            "SYNCD_CHANNELS__UKSHOP__POLICY__BUFFER": "4",
            "SYNCD_CHANNELS__UKSHOP__MATCH": '["handle", "sku"]',
            "SYNCD_SPECS": "not a key",
            "OTHER": "x",
        },
    )
    assert list(found.channels) == ["UkShop"]
    assert not found.channels["UkShop"].deliver
    assert found.channels["UkShop"].policy.buffer == 4
    assert found.channels["UkShop"].match == ("handle", "sku")


def test_variables_meant_as_keys_must_be_known(tmp_path: Path) -> None:
    environ = {
        "SYNCD_DATABSE__DSN": "x",
        "SYNCD_LOG__LEVL": "info",
        "SYNCD_SYNC__SWEEP_EVERY": "15",
        "SYNCD_CHANNELS": "nonsense",
    }
    assert problems(tmp_path, GOOD, environ) == [
        'SYNCD_DATABSE__DSN: is not a known key; did you mean "database"?',
        "SYNCD: a table or list is not written as JSON",
    ]
    del environ["SYNCD_CHANNELS"]
    assert problems(tmp_path, GOOD, environ) == [
        'SYNCD_DATABSE__DSN: is not a known key; did you mean "database"?',
        'sync.sweep_every: must be a duration with its unit, like "15m", "90s" or "1h30m" (environment)',
        'log.levl: is not a known key; did you mean "level"? (environment)',
    ]


def test_a_secret_of_digits_stays_text(tmp_path: Path) -> None:
    name = "SYNCD_CHANNELS__UK__OPTIONS__ACCESS_TOKEN"
    for secret in ("12345678901234567890", "1e5", "true", "null", "0x1f"):
        deep = "SYNCD_CHANNELS__UK__OPTIONS__PROXY__PASSWORD"
        found = loaded(tmp_path, GOOD, {name: secret, deep: secret}).channels["uk"].options
        assert found["access_token"] == SecretStr(secret)
        assert found["proxy"] == {"password": SecretStr(secret)}


def test_the_environment_may_name_a_credential_instead(tmp_path: Path) -> None:
    unit = credentials(tmp_path, new="from-new")
    environ = {**unit, "SYNCD_CHANNELS__UK__OPTIONS__ACCESS_TOKEN__CREDENTIAL": "new"}
    found = loaded(tmp_path, GOOD + 'access_token = { file = "/none" }', environ)
    assert found.channels["uk"].options["access_token"] == SecretStr("from-new")


def test_without_a_file_the_environment_alone_counts() -> None:
    assert load(None, {"SYNCD_STATE_DIR": "/srv/syncd"}).state_dir == Path("/srv/syncd")


# ---- secrets


def test_secrets_are_read_at_any_depth(tmp_path: Path) -> None:
    unit = credentials(tmp_path, uk_token="one\n", uk_old="two\r\n", ops="three")
    (tmp_path / "file").write_text("four")
    found = loaded(
        tmp_path,
        GOOD
        + """
access_token = { credential = "uk_token" }
webhook_secret = [{ credential = "uk_old" }, { file = "file" }]
[channels.uk.options.proxy]
auth = { credential = "uk_token" }
[ops]
token = { credential = "ops" }
[database]
dsn = "postgresql://me:p%40ss@db/syncd"
""",
        unit,
    )
    options = found.channels["uk"].options
    assert options["access_token"] == SecretStr("one")
    assert options["webhook_secret"] == [SecretStr("two"), SecretStr("four")]
    assert options["proxy"] == {"auth": SecretStr("one")}
    assert options["shop"] == "urbanwear"
    assert found.ops.token == SecretStr("three")
    assert set(found.secrets()) == {
        "one",
        "two",
        "three",
        "four",
        "postgresql://me:p%40ss@db/syncd",
        "p%40ss",
        "p@ss",
    }


def test_literal_secrets_work_and_are_warned_about(tmp_path: Path) -> None:
    found = loaded(
        tmp_path,
        GOOD
        + f'access_token = "{CANARY}"\nconsumer_key = "{CANARY}"\nwebhook_secret = ["{CANARY}"]\n'
        f'[ops]\ntoken = "{CANARY}"\n[database]\ndsn = "postgresql://me:{CANARY}@db/syncd"\n'
        '[http]\npublic_url = "https://x.example/"',
    )
    assert [warning.split(":")[0] for warning in found.warnings] == [
        "database.dsn",
        "ops.token",
        "channels.uk.options.access_token",
        "channels.uk.options.consumer_key",
        "channels.uk.options.webhook_secret.0",
    ]
    assert found.channels["uk"].options["webhook_secret"] == [SecretStr(CANARY)]
    assert CANARY not in repr(found) + str(found) + "".join(found.warnings)
    assert found.http.public_url == "https://x.example"


def test_credentials_and_open_dsns_are_not_warned_about(tmp_path: Path) -> None:
    unit = credentials(tmp_path, channels__uk__options__access_token=CANARY)
    text = GOOD + '[database]\ndsn = "postgresql:///syncd"\n[http]\npublic_url = "https://x"'
    found = loaded(tmp_path, text, unit)
    assert found.channels["uk"].options["access_token"] == SecretStr(CANARY)
    assert found.warnings == ()
    open_ = {**unit, "SYNCD_CHANNELS__UK__OPTIONS__ACCESS_TOKEN": CANARY}
    assert len(loaded(tmp_path, text, open_).warnings) == 1


@pytest.mark.parametrize(
    ("reference", "words"),
    [
        ('{ credential = "none" }', "the credential cannot be read: No such file"),
        ('{ credential = "../x" }', "the credential's name must have no slash"),
        ('{ credential = ".." }', "the credential's name must have no slash"),
        ('{ credential = "empty" }', "the credential is empty"),
        ('{ credential = "binary" }', "the credential is not UTF-8 text"),
        ('{ credential = "large" }', "the credential is larger than 65536 bytes"),
        ("{ credential = 3 }", "the credential must be named in quotes"),
        ('{ credential = "a", file = "b" }', 'must hold one thing, "credential" or "file"'),
        ('{ file = "/none/such" }', "the file cannot be read: No such file"),
        ('{ file = "a\\u0000b" }', "the file must be named in quotes"),
        ('{ file = "/" }', "the file cannot be read: Is a directory"),
        ('""', "must not be empty"),
    ],
)
def test_secrets_that_cannot_be_had(tmp_path: Path, reference: str, words: str) -> None:
    unit = credentials(tmp_path, empty=" \n", large="x" * 70_000)
    (tmp_path / "credentials" / "binary").write_bytes(b"\xff\xfe")
    (found,) = problems(tmp_path, GOOD + f"access_token = {reference}", unit)
    assert found.startswith(f"channels.uk.options.access_token: {words}")
    assert found.endswith("(config.toml line 10)")


def test_credentials_without_a_unit_say_where_they_come_from(tmp_path: Path) -> None:
    (found,) = problems(tmp_path, GOOD + 'access_token = { credential = "x" }')
    assert "$CREDENTIALS_DIRECTORY is not set" in found


def canaries(place: str) -> str:
    """A broken configuration with a secret where it should not be."""
    return GOOD + f'access_token = "{CANARY}"\n' + place


@pytest.mark.parametrize(
    "place",
    [
        f'[http]\nlisten = "{CANARY}"',
        f'[http]\nmax_body = "{CANARY}"',
        f'[http]\npublic_url = "{CANARY}"',
        f'[sync]\nsweep_every = "{CANARY}"\nblast_radius = "{CANARY}"',
        f'[database]\ndsn = "{CANARY}"',
        f'[log]\nlevel = "{CANARY}"',
        f'[channels.de]\nplatform = "x"\nedits = "{CANARY}"\ntruth = "{CANARY}"\nenabled = "{CANARY}"',
        f'[channels.de.locations]\n"1" = "{CANARY}"\n"2" = ["{CANARY}"]',
        f'[warehouses.x]\nsource = "{CANARY}"',
        f'[channels.de]\nplatform = ["{CANARY}"]\nitems = "{CANARY}"\npolicy = ["{CANARY}"]',
        f'[channels.de.policy]\nbuffer = "{CANARY}"\nzero = "{CANARY}"\nexclude = "{CANARY}"',
        f'[ops]\ntoken = ["{CANARY}"]',
        f"x = '{CANARY}",
        f'x = "{CANARY}\\q"',
        f"[{CANARY}]\n[{CANARY}]",
        f'x = {{ "{CANARY}" = 1, "{CANARY}" = 2 }}',
        f'other_token = {{ file = "{CANARY}" }}',
        f'other_token = {{ credential = "{CANARY}" }}',
    ],
)
def test_no_complaint_holds_what_was_written(tmp_path: Path, place: str) -> None:
    try:
        loaded(tmp_path, canaries(place))
    except ConfigError as error:
        told = "".join(traceback.format_exception(error)) + repr(error)
    else:
        pytest.fail("was accepted")
    assert CANARY not in told


# ---- a reload's difference


def test_a_difference_names_channels_keys_and_what_needs_a_restart(tmp_path: Path) -> None:
    old = loaded(tmp_path, GOOD + f'access_token = "{CANARY}"\n[channels.gone]\nplatform = "x"')
    new = loaded(
        tmp_path,
        GOOD.replace('source = "uk"', "")
        + 'access_token = "other-secret"\n[channels.come]\nplatform = "x"\n[warehouses.two]\n'
        '[sync]\nsweep_every = "5m"\n[http]\nlisten = "127.0.0.1:81"\n[log]\nlevel = "debug"\n'
        '[channels.uk.policy]\nexclude = ["A*", "B*"]',
    )
    found = diff(old, new)
    assert (found.added, found.removed, found.changed) == (("come",), ("gone",), ("uk",))
    assert found.warehouses == ("main", "two")
    assert found.sync == ("sync.sweep_every",)
    assert found.needs_restart == ("http.listen",)
    lines = [str(change) for change in found.changes]
    assert "~ channels.uk.options.access_token: (secret) -> (secret)" in lines
    assert "~ sync.sweep_every: 900s -> 300s" in lines
    assert "~ channels.uk.policy.exclude: [] -> [A*, B*]" in lines
    assert "- warehouses.main.source = uk" in lines
    assert "+ channels.come.platform = x" in lines
    assert "other-secret" not in repr(found)
    assert CANARY not in repr(found)


def test_equal_configurations_do_not_differ(tmp_path: Path) -> None:
    text = GOOD + f'access_token = "{CANARY}"'
    found = diff(loaded(tmp_path, text), loaded(tmp_path, text))
    assert not found
    assert found.needs_restart == ()


# ---- a connector's own options


class FakeOptions(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    shop: str
    webhook_secret: SecretStr | tuple[SecretStr, ...]
    api_version: Annotated[str, Field(pattern="^20")] = "2026"


def test_problems_of_options_sound_like_those_of_keys() -> None:
    with pytest.raises(ValidationError) as caught:
        FakeOptions.model_validate({"shp": CANARY, "webhook_secret": 3, "api_version": CANARY})
    found = problems_of(caught.value, "channels.uk.options", FakeOptions)
    assert found == [
        "channels.uk.options.shop: is missing",
        "channels.uk.options.webhook_secret: must be text, in quotes; or must be a list",
        "channels.uk.options.api_version: string should match pattern '^20'",
        'channels.uk.options.shp: is not a known key; did you mean "shop"?',
    ]
    plain = problems_of(caught.value, "channels.uk.options")
    assert plain[:3] == found[:3]
    assert plain[3] == "channels.uk.options.shp: is not a known key"
    assert CANARY not in "".join(found + plain)


# ---- the example, and anything at all


def example_unit(folder: Path) -> dict[str, str]:
    names = [
        part.split('"')[1]
        for part in EXAMPLE.read_text().split("credential = ")[1:]
        if part.startswith('"') and part[1:5] != "name"
    ]
    return credentials(folder, **{name: f"fake{number}secret" for number, name in enumerate(names)})


def test_the_example_loads(tmp_path: Path) -> None:
    found = load(EXAMPLE, example_unit(tmp_path))
    assert found.warnings == ()
    assert {c.platform for c in found.channels.values()} == {
        "shopify",
        "shopwired",
        "woocommerce",
        "api",
    }
    assert found.http.model_copy(update={"public_url": None}) == Settings().http
    assert found.sync == Settings().sync
    assert found.log == Settings().log
    assert found.state_dir == Settings().state_dir
    shown = found.channels["uk"].policy
    assert shown == PolicySettings()


def test_the_example_names_every_key() -> None:
    text = EXAMPLE.read_text()

    def keys(model: type[BaseModel]) -> set[str]:
        found: set[str] = set()
        for key, field in model.model_fields.items():
            found.add(key)
            kinds = [field.annotation, *getattr(field.annotation, "__args__", ())]
            for kind in kinds:
                if isinstance(kind, type) and issubclass(kind, BaseModel):
                    found |= keys(kind)
        return found

    assert {key for key in keys(Settings) if key not in text} == set()


@pytest.mark.parametrize("channel", ["uk", "outlet", "wholesale"])
def test_the_example_satisfies_its_connectors(tmp_path: Path, channel: str) -> None:
    platforms = pytest.importorskip("syncd.connectors").PLATFORMS
    found = load(EXAMPLE, example_unit(tmp_path)).channels[channel]
    options = platforms[found.platform].options
    options.model_validate(found.options)
    text = EXAMPLE.read_text()
    assert [key for key in options.model_fields if key not in text] == []


EXAMPLE_TREE: dict[str, Any] = {
    "http": {"listen": "127.0.0.1:8080", "max_body": "1MiB"},
    "sync": {"sweep_every": "15m", "blast_radius": "20%"},
    "warehouses": {"main": {"source": "uk/81"}},
    "channels": {
        "uk": {
            "platform": "shopify",
            "edits": "adopt",
            "match": ["sku"],
            "locations": {"81": "main", "*": "main"},
            "policy": {"buffer": 2, "exclude": ["A*"]},
            "patterns": {"B*": {"last_units": 1}},
            "items": {"A": {"cap": 3}},
            "options": {"shop": "x", "access_token": {"file": "/none"}, "webhook_secret": ["s"]},
        }
    },
}

anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=True)
    | st.text(max_size=8)
    | st.sampled_from(["15m", "uk", "main", "20%", "uk/", "/", "[", "{", "*", "", "a.b", "\x00"])
    | st.dates(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["credential", "file", "uk", "main", "81", "policy"])
            | st.text(max_size=4),
            inner,
            max_size=3,
        )
    ),
    max_leaves=8,
)


def toml(value: Any) -> str:
    """The value as TOML; a table as an inline one."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return '"' + "".join(f"\\U{ord(c):08x}" for c in value) + '"'
    if isinstance(value, dict):
        return "{" + ", ".join(f"{toml(k)} = {toml(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(toml(inner) for inner in value if inner is not None) + "]"
    return '""' if value is None else str(value)


@st.composite
def mutated(draw: st.DrawFn) -> dict[str, Any]:
    tree = copy.deepcopy(EXAMPLE_TREE)
    for _ in range(draw(st.integers(1, 3))):
        node: Any = tree
        while isinstance(node, dict) and node:
            key = draw(st.sampled_from(sorted(node)))
            if not isinstance(node[key], dict) or draw(st.booleans()):
                break
            node = node[key]
        if isinstance(node, dict):
            action = draw(st.sampled_from(["replace", "remove", "add"]))
            if action == "remove" and node:
                del node[key]
            elif action == "add":
                node[draw(st.text(max_size=5))] = draw(anything)
            else:
                node[key] = draw(anything)
    return tree


def outcome(path: Path, environ: Mapping[str, str]) -> Settings | list[str]:
    found: list[str] = []
    try:
        return load(path, environ)
    except ConfigError as error:
        found = error.problems
    assert found
    assert not any("\n" in problem for problem in found)
    return found


@settings(
    max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(tree=mutated())
def test_whatever_is_written_it_loads_or_is_refused(tmp_path: Path, tree: dict[str, Any]) -> None:
    text = "\n".join(f"{toml(key)} = {toml(value)}" for key, value in tree.items())
    found = outcome(write(tmp_path, text.encode("utf-8", "replace").decode()), {})
    if isinstance(found, Settings):
        assert not diff(found, found)
        repr(found)


@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(raw=st.binary(max_size=60) | st.text(max_size=60).map(lambda t: t.encode("utf-8", "ignore")))
def test_bytes_of_any_kind_load_or_are_refused(tmp_path: Path, raw: bytes) -> None:
    path = tmp_path / "config.toml"
    path.write_bytes(raw)
    outcome(path, {})


@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    names=st.dictionaries(
        st.lists(
            st.sampled_from(
                ["channels", "uk", "de", "options", "policy", "buffer", "items", "A", "http", ""]
            ),
            min_size=1,
            max_size=5,
        ).map(lambda parts: "SYNCD_" + "__".join(parts).upper()),
        st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=6)
        | st.sampled_from(["{}", "[]", "[1]", '{"a": 1}', "[" * 2000, "true", "1"]),
        max_size=4,
    )
)
def test_any_environment_loads_or_is_refused(tmp_path: Path, names: dict[str, str]) -> None:
    outcome(write(tmp_path, GOOD), names)
