from __future__ import annotations

from typing import Any

from tests.nvim.conftest import Editor

GENERATE = """
    local options = ...
    _G.calls = {}
    _G.handle = require("lofi").generate(options, function(problem, track)
      table.insert(calls, { code = problem and problem.code or "", track = track })
    end)
"""


def outcome(editor: Editor) -> dict[str, Any]:
    """The one call of the callback; more than one would fail here a moment later."""
    editor.until(lambda: editor.lua("return calls"))
    editor.lua("vim.wait(50)")
    calls = editor.lua("return calls")
    assert len(calls) == 1
    return calls[0]


def test_a_prompt_becomes_a_track_that_plays(editor: Editor) -> None:
    editor.fake()
    events = ("generation_start", "generation_progress", "generation_complete", "playback_start")
    editor.listen(*events)
    editor.command("Lofi rainy night piano")
    assert editor.until_heard("playback_start")["prompt"] == "rainy night piano"
    assert editor.requests("generate") == [{"prompt": "rainy night piano", "play": "early"}]
    assert editor.requests("play") == []  # the daemon does that by itself
    assert editor.heard()[0] == "generation_start"
    assert editor.heard()[-2:] == ["generation_complete", "playback_start"]
    percents = [each["percent"] for each in editor.heard("generation_progress")]
    assert percents == sorted(percents)
    assert len(percents) == 20


def test_a_callback_gets_the_track_and_nothing_plays(editor: Editor) -> None:
    editor.fake()
    editor.lua(GENERATE, {"prompt": "soft keys", "duration_sec": 12.5, "seed": 7})
    track = outcome(editor)["track"]
    assert track["prompt"] == "soft keys"
    assert track["seed"] == 7
    assert track["path"].endswith(".wav")
    assert editor.requests("generate") == [{"prompt": "soft keys", "duration_sec": 12.5, "seed": 7}]
    assert editor.requests("play") == []
    assert editor.lua("return handle.done")


def test_options_are_defaults_for_every_track(editor: Editor) -> None:
    editor.fake(generate={"duration_sec": 60, "inference_steps": 27})
    editor.lua(GENERATE, {"prompt": "soft keys", "inference_steps": 8})
    outcome(editor)
    assert editor.requests("generate") == [
        {"prompt": "soft keys", "duration_sec": 60, "inference_steps": 8}
    ]


def test_a_seed_of_64_bits_survives_the_round_trip(editor: Editor) -> None:
    editor.fake()
    editor.lua(GENERATE, {"prompt": "soft keys", "seed": "18446744073709551615"})
    assert outcome(editor)["track"]["seed"] == "18446744073709551615"
    assert editor.requests("generate")[0]["seed"] == 2**64 - 1


def test_a_prompt_that_looks_like_a_seed_stays_as_it_is(editor: Editor) -> None:
    editor.fake()
    prompt = 'a "seed":"123456789012345678" and "seed":123456789012345678'
    editor.lua(GENERATE, {"prompt": prompt})
    assert outcome(editor)["track"]["prompt"] == prompt
    assert editor.requests("generate")[0]["prompt"] == prompt


def test_cancelled_half_way(editor: Editor) -> None:
    editor.fake("slow")
    editor.listen("generation_cancelled", "generation_complete")
    editor.lua(GENERATE, {"prompt": "soft keys"})
    editor.until(lambda: editor.lua("return (require('lofi').state().jobs[1] or {}).percent") == 45)
    assert editor.lua("return require('lofi').is_generating()")
    assert editor.lua("return handle:cancel()")
    assert outcome(editor)["code"] == "CANCELLED"
    assert editor.heard() == ["generation_cancelled"]
    assert not editor.lua("return handle:cancel()"), "there is nothing left to cancel"
    assert not editor.lua("return require('lofi').is_generating()")


def test_cancelled_before_the_daemon_has_answered(editor: Editor) -> None:
    editor.fake()
    editor.lua(GENERATE + "handle:cancel()", {"prompt": "soft keys"})
    assert outcome(editor)["code"] == "CANCELLED"
    assert editor.requests("cancel") == [{"track_id": editor.lua("return handle.track_id")}]


def test_two_requests_for_one_track_are_cancelled_one_by_one(editor: Editor) -> None:
    editor.fake()
    editor.lua(
        """
        _G.codes = {}
        local options = { prompt = "soft keys", seed = 3 }
        local function note(name)
          return function(problem) codes[name] = problem and problem.code or "fine" end
        end
        _G.first = require("lofi").generate(options, note("first"))
        _G.second = require("lofi").generate(options, note("second"))
        """
    )
    editor.until(lambda: editor.lua("return second.track_id"))
    editor.lua("first:cancel()")
    editor.until(lambda: editor.lua("return codes.second"))
    assert editor.lua("return codes") == {"first": "CANCELLED", "second": "fine"}
    assert editor.requests("cancel") == []


def test_what_the_daemon_refuses(editor: Editor) -> None:
    editor.fake()
    editor.lua(GENERATE, {"prompt": "soft keys", "backend": "musicgen"})
    assert outcome(editor)["code"] == "BACKEND_NOT_INSTALLED"
    editor.command("Lofi generate soft keys backend=musicgen")
    notice = editor.until_noticed("musicgen is not installed")
    assert "Download it first." in notice


def test_a_full_queue(editor: Editor) -> None:
    editor.fake("queue_full")
    editor.command("Lofi soft keys")
    assert "Wait for one of them." in editor.until_noticed("10 tracks wait already")


def test_a_track_that_fails(editor: Editor) -> None:
    editor.fake("fails")
    editor.listen("generation_error")
    editor.lua(GENERATE, {"prompt": "soft keys"})
    assert outcome(editor)["code"] == "MODEL_INFERENCE_FAILED"
    assert editor.heard("generation_error")[0]["message"] == "not a number at step 10"
    editor.command("Lofi other keys")
    editor.until_noticed("not a number at step 10")


def test_without_a_sound_device_the_track_is_named(editor: Editor) -> None:
    editor.fake("no_device")
    editor.command("Lofi soft keys")
    notice = editor.until_noticed("there is no sound device")
    assert '"soft keys" is ready (/tmp/' in notice
    assert "Connect one." in notice


def test_wrong_types_and_names_are_refused_before_the_daemon_starts(editor: Editor) -> None:
    editor.fake()
    for options in ({"prompt": 3}, {}, {"prompt": "x", "duration": 3}, {"prompt": "x", "erg": 1}):
        editor.lua(GENERATE, options)
        assert outcome(editor)["code"] == "INVALID_PARAMS"
    assert editor.requests() == []


def test_autoplay_can_be_turned_off(editor: Editor) -> None:
    editor.fake(autoplay=False)
    editor.listen("generation_complete")
    editor.command("Lofi soft keys")
    editor.until_heard("generation_complete")
    editor.lua("vim.wait(50)")
    assert editor.requests("generate") == [{"prompt": "soft keys"}]
    assert editor.requests("play") == []
