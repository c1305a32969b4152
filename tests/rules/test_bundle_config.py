"""Bundles as they are configured and as a spreadsheet has them: each complaint by its key or row."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncd.app.bundles import bundles_of
from syncd.config import diff, load
from syncd.errors import ConfigError
from syncd.stock.bundle_sheet import HEADER, described, rows_out
from syncd.stock.bundles import Bundle
from syncd.stock.sheet import Complaint


def problems(folder: Path, text: str) -> list[str]:
    path = folder / "config.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as told:
        load(path, {})
    return [problem.partition(" (")[0] for problem in told.value.problems]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            '[bundles."SET"]\ncomponents = {}',
            ["bundles.SET.components: has no components"],
        ),
        ('[bundles."SET"]', ["bundles.SET.components: is missing"]),
        (
            '[bundles."SET"]\ncomponents = { SET = 1 }',
            ["bundles.SET.components.SET: contains itself"],
        ),
        (
            '[bundles."A.B"]\ncomponents = { MUG = 0, BOX = -1, TEE = 1.5, CAP = 1000001 }',
            [
                'bundles."A.B".components.MUG: must be between 1 and 1000000',
                'bundles."A.B".components.BOX: must be between 1 and 1000000',
                'bundles."A.B".components.TEE: must be a whole number',
                'bundles."A.B".components.CAP: must be between 1 and 1000000',
            ],
        ),
        (
            "[bundles.SET]\ncomponents = { MUG = 1 }\n[bundles.BIG]\ncomponents = { SET = 2 }",
            [
                (
                    'bundles.BIG.components.SET: contains the bundle "SET":'
                    " name what that one is made of instead"
                )
            ],
        ),
        (
            "[bundles.SET]\ncomponent = { MUG = 1 }",
            [
                "bundles.SET.components: is missing",
                'bundles.SET.component: is not a known key; did you mean "components"?',
            ],
        ),
        ("[bundles]\nSET = 1", ["bundles.SET: must be a table"]),
        ("[bundle.SET]", ['bundle: is not a known key; did you mean "bundles"?']),
    ],
)
def test_what_no_bundle_can_be_made_of(tmp_path: Path, text: str, words: list[str]) -> None:
    assert sorted(problems(tmp_path, text)) == sorted(words)


def test_bundles_are_read_and_their_changes_told(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text('[bundles."SET"]\ncomponents = { MUG = 2, "BOX.L" = 1 }')
    one = load(path, {})
    assert bundles_of(one) == [Bundle("SET", {"MUG": 2, "BOX.L": 1})]
    path.write_text('[bundles."SET"]\ncomponents = { MUG = 3 }')
    changes = [str(change) for change in diff(one, load(path, {})).changes]
    assert changes == [
        '- bundles.SET.components."BOX.L" = 1',
        "~ bundles.SET.components.MUG: 2 -> 3",
    ]


# --- files ---


def told(*lines: str) -> list[tuple[int, str]]:
    found = described([f"{line}\n" for line in lines])
    return [(one.row, one.says) for one in found.complaints]


def test_a_file_describes_bundles_by_their_rows() -> None:
    found = described(
        [
            "\ufeffBundle_SKU;Component-SKU;Qty\r\n",
            "SET;MUG;2\r\n",
            '="00123";TEE;1\r\n',
            ";;\r\n",
            "SET;BOX;1\r\n",
        ]
    )
    assert found.complaints == []
    assert found.all() == [Bundle("SET", {"MUG": 2, "BOX": 1}), Bundle("00123", {"TEE": 1})]
    assert (found.row_of("SET", "BOX"), found.row_of("SET", None)) == (5, 2)


@pytest.mark.parametrize(
    ("lines", "complaints"),
    [
        ((), [(0, "the file is empty")]),
        (("bundle sku,component sku,quantity",), [(0, "the file has a header and no rows")]),
        (("bundle,units", "SET,1"), [(1, "no column says component sku")]),
        (
            (
                "bundle,component,units",
                "SET,MUG,0",
                "SET,BOX,-1",
                "SET,TEE,1.5",
                "SET,CAP,1E+3",
                "SET,HAT,",
                ",MUG,1",
                "SET,,1",
                "SET,PIN,1000001",
                "SET,POT,two",
                "SET",
            ),
            [
                (2, "SET: 0 is not between 1 and 1000000"),
                (3, "SET: -1 is not between 1 and 1000000"),
                (4, "SET: 1.5 is no whole number"),
                (
                    5,
                    (
                        "SET: 1E+3 is a spreadsheet's short form:"
                        " format the column as a number without decimals"
                    ),
                ),
                (6, "SET: no quantity (nothing is not 0)"),
                (7, "no sku"),
                (8, "SET: no sku"),
                (9, "SET: 1000001 is not between 1 and 1000000"),
                (10, "SET: 'two' is no number"),
                (11, "has 1 columns: is the file cut off?"),
            ],
        ),
        (
            ("bundle,component,units", "SET,MUG,1", "SET,BOX,1", "SET,MUG,1"),
            [(4, "SET: MUG stands in row 2 already")],
        ),
        (
            ("bundle,component,units", 'SET,"MUG,1'),
            [(0, "the file cannot be read to its end: unexpected end of data")],
        ),
    ],
)
def test_every_wrong_row_is_told(lines: tuple[str, ...], complaints: list[tuple[int, str]]) -> None:
    assert told(*lines) == complaints


SKUS = st.sampled_from(["A", "B 1", "00123", 'Q"uote', "semi;colon", "komma,s"])


@given(
    st.dictionaries(SKUS, st.dictionaries(SKUS, st.integers(1, 1_000_000), min_size=1), min_size=1)
)
def test_what_is_written_is_read_again(made_of: dict[str, dict[str, int]]) -> None:
    import csv
    import io

    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(HEADER)
    writer.writerows(rows_out(Bundle(sku, parts) for sku, parts in made_of.items()))
    found = described(io.StringIO(out.getvalue()))
    assert found.complaints == []
    assert found.bundles == made_of


def test_a_complaint_is_a_row_and_its_words() -> None:
    assert described(["x\n"]).complaints == [
        Complaint(1, "no column says bundle sku or component sku or quantity")
    ]
