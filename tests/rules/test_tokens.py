"""Who may call the API, as it is configured: names, roles, and secrets that stay secret."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import SecretStr

from syncd.app.build import problems_in, tokens_of
from syncd.config import diff, load
from syncd.console import Role
from syncd.errors import ConfigError

CANARY = "canary-4711"


def written(folder: Path, text: str) -> Path:
    path = folder / "config.toml"
    path.write_text(text)
    return path


def problems(folder: Path, text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(written(folder, text), {})
    assert CANARY not in str(caught.value)
    return caught.value.problems


def test_tokens_are_secrets_wherever_they_stand(tmp_path: Path) -> None:
    (tmp_path / "wms").write_text(f"{CANARY}\n")
    unit = tmp_path / "unit"
    unit.mkdir()
    (unit / "erp").write_text("from-unit")
    text = (
        '[ops]\ntoken = "root"\n[ops.tokens.wms]\ntoken = { file = "wms" }\nrole = "operate"\n'
        '[ops.tokens.erp]\ntoken = { credential = "erp" }\nrole = "read"\n'
        f'[ops.tokens.till]\ntoken = "{CANARY}-2"\nrole = "admin"\n'
    )
    found = load(written(tmp_path, text), {"CREDENTIALS_DIRECTORY": str(unit)})
    assert found.ops.tokens["wms"].token == SecretStr(CANARY)
    assert {(t.name, t.role) for t in tokens_of(found)} == {
        ("admin", Role.ADMIN),
        ("wms", Role.OPERATE),
        ("erp", Role.READ),
        ("till", Role.ADMIN),
    }
    assert [w.split(":")[0] for w in found.warnings] == ["ops.token", "ops.tokens.till.token"]
    assert set(found.secrets()) == {"root", CANARY, f"{CANARY}-2", "from-unit"}
    assert CANARY not in repr(found) + repr(tokens_of(found))


def test_the_environment_names_tokens_too(tmp_path: Path) -> None:
    environ = {"SYNCD_OPS__TOKENS__WMS__TOKEN": "x", "SYNCD_OPS__TOKENS__WMS__ROLE": "read"}
    found = load(written(tmp_path, ""), environ)
    assert found.ops.tokens["wms"].role == "read"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('[ops.tokens.wms]\nrole = "read"', "ops.tokens.wms.token: is missing"),
        (f'[ops.tokens.wms]\ntoken = "{CANARY}"', "ops.tokens.wms.role: is missing"),
        (f'[ops.tokens.wms]\ntoken = "{CANARY}"\nrole = "god"', "ops.tokens.wms.role: "),
        (f'[ops.tokens.wms]\ntoken = "{CANARY}"\nrole = "read"\nroel = 1', "ops.tokens.wms.roel"),
        ('[ops.tokens.wms]\ntoken = " "\nrole = "read"', "ops.tokens.wms.token: must not be empty"),
        (f'[ops.tokens."a b"]\ntoken = "{CANARY}"\nrole = "read"', 'ops.tokens."a b"'),
        (f'[ops.tokens.admin]\ntoken = "{CANARY}"\nrole = "read"', "ops.tokens.admin: is the name"),
        (
            f'[ops]\ntoken = "{CANARY}"\n[ops.tokens.wms]\ntoken = "{CANARY}"\nrole = "read"',
            "ops.tokens.wms.token: is somebody else's token too",
        ),
        ('[ops]\ntokens = "x"', "ops.tokens"),
        ("[ops.tokens]\nwms = 3", "ops.tokens.wms"),
    ],
)
def test_what_cannot_be_a_token_is_refused(tmp_path: Path, text: str, says: str) -> None:
    assert any(problem.startswith(says) for problem in problems(tmp_path, text))


def test_tokens_change_without_a_restart(tmp_path: Path) -> None:
    old = load(written(tmp_path, '[ops.tokens.wms]\ntoken = "one"\nrole = "read"'), {})
    new = load(written(tmp_path, '[ops.tokens.wms]\ntoken = "two"\nrole = "admin"'), {})
    found = diff(old, new)
    assert found.needs_restart == ()
    assert {change.key for change in found.changes} == {
        "ops.tokens.wms.token",
        "ops.tokens.wms.role",
    }


def test_a_channel_that_posts_has_movements_for_its_truth_and_a_shop_cannot(tmp_path: Path) -> None:
    text = '[warehouses.main]\n[channels.wms]\nplatform = "api"\n[channels.wms.locations]\n"*" = "main"'
    assert problems_in(load(written(tmp_path, text), {})) == []
    shop = '[channels.shop]\nplatform = "memory"\ntruth = "movements"\n[channels.shop.options]\nstore = "x"'
    assert any(
        'truth: "movements" does not fit memory' in problem
        for problem in problems_in(load(written(tmp_path, shop), {}))
    )


def test_a_channel_that_posts_may_map_no_location(tmp_path: Path) -> None:
    found = load(written(tmp_path, '[channels.wms]\nplatform = "api"'), {})
    assert not any("channels.wms.locations" in warning for warning in found.warnings)
