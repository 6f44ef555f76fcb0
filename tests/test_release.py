"""A release is made of a tag, the package's version and what the changelog says of it."""

from __future__ import annotations

import pytest

from scripts.release_notes import main, notes

SOURCE = '"""x"""\n__version__ = "1.2.0"\n'
CHANGELOG = "# Changelog\n\n## 1.3.0\n\nlater\n\n## 1.2.0\n\n- what is new\n\n## 1.1.0\n\nolder\n"


def test_the_notes_are_the_versions_own() -> None:
    assert notes("v1.2.0", CHANGELOG, SOURCE) == "- what is new\n"


@pytest.mark.parametrize(
    ("tag", "changelog", "problem"),
    [
        ("v1.3.0", CHANGELOG, "is not v1.2.0"),
        ("1.2.0", CHANGELOG, "is not v1.2.0"),
        ("v1.2.0", "# Changelog\n", "no section"),
        ("v1.2.0", "## 1.2.0\n\n## 1.1.0\n\nx\n", "no section"),
    ],
)
def test_what_does_not_fit_is_said(tag: str, changelog: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        notes(tag, changelog, SOURCE)


def test_a_wrong_tag_is_a_failure(capsys: pytest.CaptureFixture[str]) -> None:
    assert main("v0.0.0") == 1
    assert "v0.0.0" in capsys.readouterr().err
