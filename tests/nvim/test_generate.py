from __future__ import annotations

from tests.nvim.conftest import Editor


def test_a_prompt_becomes_a_track_that_plays(editor: Editor) -> None:
    editor.fake()
    editor.listen(
        "generation_start", "generation_progress", "generation_complete", "playback_start"
    )
    editor.command("Lofi rainy night piano")
    started = editor.until_heard("playback_start")
    assert started["prompt"] == "rainy night piano"
    assert editor.requests("generate") == [{"prompt": "rainy night piano"}]
    assert editor.heard()[0] == "generation_start"
    assert editor.heard()[-2:] == ["generation_complete", "playback_start"]
    percents = [each["percent"] for each in editor.heard("generation_progress")]
    assert percents == sorted(percents)
    assert len(percents) == 20
