"""What is sung: lines as the model reads them, and their ids in a small vocabulary of that kind."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lofi_daemon.backends.ace_step.lyrics import (
    LYRIC_TOKENIZER,
    lyric_ids,
    marked_lines,
)
from lofi_daemon.backends.kit.mel_diffusion.context import instrumental_lyric
from lofi_daemon.errors import InvalidParams, ModelLoadFailed
from scripts.export_onnx.ace_step.export import LYRIC_TOKENIZER_FILE
from scripts.export_onnx.tiny import build_lyric_tokenizer


@pytest.fixture(scope="module")
def vocabulary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("vocabulary") / LYRIC_TOKENIZER
    build_lyric_tokenizer("lyrics").save(str(path))
    return path


def test_the_export_writes_the_file_that_is_read() -> None:
    assert LYRIC_TOKENIZER_FILE == LYRIC_TOKENIZER


@pytest.mark.parametrize(
    ("line", "language", "expected"),
    [
        ("Rain on the Pane", None, "[en]rain[SPACE]on[SPACE]the[SPACE]pane"),
        ("  \t", None, ""),
        ('say "stay",  \t now', None, "[en]say[SPACE]stay,[SPACE]now"),
        ("Mr. Moon & Mrs. Sun", None, "[en]mister[SPACE]moon[SPACE]and[SPACE]misess[SPACE]sun"),
        ("50% aus", "de", None),
        ("ganz % aus & Straße", "de", "[de]ganz[SPACE]prozent[SPACE]aus[SPACE]und[SPACE]straße"),
        ("İstanbul", "tr", "[tr]istanbul"),
        ("Г-н Дождь", None, "[ru]господин[SPACE]дождь"),
        ("дождь", "en", "[ru]дождь"),
        ("يا ليل", None, "[ar]يا[SPACE]ليل"),
        ('रात "2"', None, '[hi]रात[SPACE]"2"'),
        ("Ni3hao3 ma5", "zh", "[zh-cn]ni3hao3[SPACE]ma5"),
        ("[Verse]", "de", "[en][verse]"),
        ("[Verse 2: both]", "de", "[en][verse]"),
        ("[Pre-Chorus]", None, "[en][pre-chorus]"),
        ("[Guitar Solo]", "fr", "[en][guitar[SPACE]solo]"),
        ("[chorus] stay a while", "fr", "[en][chorus][SPACE]stay[SPACE]a[SPACE]while"),
        ("one [verse] two", "fr", "[fr]one[SPACE][verse][SPACE]two"),
    ],
)
def test_a_line_is_marked_with_its_language_and_reads_as_it_is_sung(
    line: str, language: str | None, expected: str | None
) -> None:
    if expected is None:
        with pytest.raises(InvalidParams, match="line 1 has 50 in digits"):
            marked_lines(line, language)
    else:
        assert marked_lines(line, language) == [expected]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("quiet\n夜の雨", "line 2 .*not transcribed.*romaji"),
        ("\n\n안녕", "line 3 .*Latin letters.*language=ko"),
        ("下雨", "line 1 .*pinyin.*language=zh"),
        ("[verse]\n24 hours", "line 2 has 24 in digits.*as it is sung"),
        ("[guitar 2]", "line 1 has 2 in digits"),
    ],
)
def test_what_would_be_transcribed_by_a_dictionary_is_refused(text: str, said: str) -> None:
    with pytest.raises(InvalidParams) as refused:
        marked_lines(text)
    assert refused.match(said.split(".*")[0])
    for part in said.split(".*")[1:]:
        assert part in f"{refused.value.message} {refused.value.hint}"
    assert refused.value.data["parameters"] == ["lyrics"]


def test_ids_are_the_start_then_every_line_and_a_blank(vocabulary: Path) -> None:
    lyric = lyric_ids(marked_lines("[verse]\nhm\n\nдождь"), vocabulary)
    assert lyric.ids.dtype == lyric.mask.dtype == np.int64
    assert lyric.mask.tolist() == np.ones_like(lyric.ids).tolist()
    ids = lyric.ids[0].tolist()
    assert ids[:5] == [261, 259, 6683, 2, 259]
    assert ids.count(267) == 1
    blanks = [place for place, each in enumerate(ids) if each == 2]
    assert len(blanks) == 4
    assert blanks[2] == blanks[1] + 1  # the empty line
    assert blanks[-1] == len(ids) - 1


def test_the_instrumental_tag_is_what_instrumental_music_is_asked_for_with(
    vocabulary: Path,
) -> None:
    lyric, plain = lyric_ids(marked_lines("[Inst]"), vocabulary), instrumental_lyric()
    np.testing.assert_array_equal(lyric.ids, plain.ids)
    np.testing.assert_array_equal(lyric.mask, plain.mask)


def test_a_letter_that_the_vocabulary_lacks_is_unknown_to_it(vocabulary: Path) -> None:
    assert lyric_ids(marked_lines("h☃m"), vocabulary).ids[0].tolist().count(1) == 1


def test_a_broken_vocabulary_is_named(tmp_path: Path) -> None:
    (tmp_path / "broken.json").write_text("{")
    with pytest.raises(ModelLoadFailed, match=r"broken\.json cannot be loaded"):
        lyric_ids(["[en]hm"], tmp_path / "broken.json")
