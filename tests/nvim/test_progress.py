from __future__ import annotations

import pytest

from tests.nvim.conftest import Editor


def screen_with(editor: Editor, text: str) -> list[str]:
    return editor.until(lambda: text in "\n".join(s := editor.screen()) and s)


def test_the_corner_shows_a_track_that_is_made(editor: Editor) -> None:
    editor.fake("slow", progress={"style": "float", "linger_ms": 200})
    editor.command("Lofi foggy harbour at dawn")
    screen = screen_with(editor, "45%")
    assert screen[21][20:] == " ████░░░░ 45% foggy harbour at …: diffusing 9/20, 0:00 left"
    assert "diffusing" not in screen[20], "one line, right above the statusline"
    editor.command("Lofi cancel")
    assert screen_with(editor, "– foggy harbour at dawn: cancelled")
    editor.until(lambda: "foggy harbour" not in "\n".join(editor.screen()))
    assert editor.lua("return #vim.api.nvim_list_wins()") == 1


def test_the_corner_shows_each_of_several(editor: Editor) -> None:
    editor.fake(progress={"style": "float", "linger_ms": 60000})
    editor.listen("generation_complete")
    editor.command("Lofi one")
    editor.command("Lofi two")
    editor.command("Lofi download musicgen")
    screen_with(editor, "model musicgen: downloaded")
    editor.until(lambda: len(editor.heard("generation_complete")) == 2)
    screen = screen_with(editor, "two: 0:30 of music")
    assert [row[20:].strip() for row in screen[19:22]] == [
        "✓ one: 0:30 of music, made in 0:00",
        "✓ two: 0:30 of music, made in 0:00",
        "✓ model musicgen: downloaded",
    ]


def test_the_corner_follows_to_another_tab_and_takes_no_focus(editor: Editor) -> None:
    editor.fake("slow", progress={"style": "float"})
    window = editor.lua("return vim.api.nvim_get_current_win()")
    editor.command("Lofi keys")
    screen_with(editor, "45%")
    assert editor.lua("return vim.api.nvim_get_current_win()") == window
    editor.command("tabnew")
    editor.command("Lofi cancel")
    screen_with(editor, "cancelled")


def test_the_corner_opens_over_the_command_line_window(editor: Editor) -> None:
    editor.fake(progress={"style": "float"})
    editor.nvim.input("q:")
    editor.until(lambda: editor.lua("return vim.fn.getcmdwintype()") == ":")
    editor.lua("require('lofi').generate('keys')")
    screen_with(editor, "keys: 0:30 of music")
    assert editor.lua("return vim.fn.getcmdwintype()") == ":"


def test_the_corner_waits_while_text_is_locked(editor: Editor) -> None:
    editor.fake(progress={"style": "float"})
    editor.lua(
        """
        vim.keymap.set("n", "<Space>", function()
          require("lofi").generate("keys")
          vim.wait(5000, function() return not require("lofi").is_generating() and locked end, 10)
          return "i"
        end, { expr = true })
        require("lofi").on("generation_complete", function()
          vim.defer_fn(function() _G.locked = true end, 300)
        end)
        """
    )
    editor.nvim.input("<Space>typed")
    editor.until(lambda: editor.nvim.current.line == "typed")
    assert "E565" not in editor.nvim.command_output("messages")
    editor.lua("require('lofi').generate('more keys')")
    screen_with(editor, "more keys: 0:30 of music")


RADIO_TRACK = """
    local params = { track_id = ("0"):rep(16), percent = 40, phase = "decoding", eta_sec = 3,
      prompt = "foggy harbour" }
    require("lofi.jobs").notifications.generation_progress(params)
"""


def test_the_radios_tracks_show_while_one_waits_for_them(editor: Editor) -> None:
    editor.fake("late_radio", progress={"style": "float"})
    editor.listen("radio_waiting")
    editor.command("Lofi radio")
    editor.until_heard("radio_waiting")
    editor.lua(RADIO_TRACK)
    screen_with(editor, " 40% foggy harbour: decoding, 0:03 left")


@pytest.mark.parametrize("shown", [True, False])
def test_the_radios_tracks_while_another_plays(editor: Editor, shown: bool) -> None:
    editor.fake(progress={"style": "float", "radio": shown})
    editor.listen("playback_start")
    editor.command("Lofi radio")
    editor.until_heard("playback_start")
    editor.lua(RADIO_TRACK)
    assert "◌ 40%" in editor.lua("return require('lofi').status()")
    if shown:
        screen_with(editor, " 40% foggy harbour: decoding")
    else:
        assert editor.lua("return #require('lofi.corner').items()") == 0


def test_errors_are_marked(editor: Editor) -> None:
    editor.fake("fails", progress={"style": "float"})
    editor.command("Lofi keys")
    screen_with(editor, "✗ keys: not a number at step 10")


def test_none(editor: Editor) -> None:
    editor.fake(progress={"style": "none"})
    editor.listen("generation_complete")
    editor.command("Lofi keys")
    editor.until_heard("generation_complete")
    assert editor.lua("return #vim.api.nvim_list_wins()") == 1
    assert editor.notices() == ""


NOTIFIER = """
    _G.told = {}
    vim.notify = function(message) table.insert(told, message) end
"""


def test_notify_in_quarters(editor: Editor) -> None:
    editor.lua(NOTIFIER)
    editor.fake(progress={"style": "notify"})
    editor.listen("generation_complete")
    editor.command("Lofi keys")
    editor.until_heard("generation_complete")
    notices = editor.lua("return told")
    assert notices[0] == "lofi: keys: starting"
    assert [line.split(",")[0] for line in notices[1:-1]] == [
        f"lofi: keys: diffusing {step}/20" for step in (5, 10, 15)
    ]
    assert notices[-1] == "lofi: keys: 0:30 of music, made in 0:00"


def test_fidget(editor: Editor) -> None:
    editor.lua(
        """
        _G.reports = {}
        package.loaded["fidget.progress"] = { handle = { create = function(options)
          table.insert(reports, { "create", options.title, options.lsp_client.name })
          return {
            report = function(_, changes)
              table.insert(reports, { "report", changes.percentage })
            end,
            finish = function() table.insert(reports, { "finish" }) end,
            cancel = function() table.insert(reports, { "cancel" }) end,
          }
        end } }
        """
    )
    editor.fake(progress={"style": "fidget"})
    editor.listen("generation_complete")
    editor.command("Lofi keys")
    editor.until_heard("generation_complete")
    reports = editor.lua("return reports")
    assert reports[:2] == [["create", "keys", "lofi"], ["report", 0]]
    assert reports[-2:] == [["report", 100], ["finish"]]
    assert len(reports) == 24


def test_snacks(editor: Editor) -> None:
    editor.lua(
        """
        _G.reports = {}
        package.loaded["snacks"] = { notifier = { notify = function(message, level, options)
          table.insert(reports, { message, level, options.id, options.title })
        end } }
        """
    )
    editor.fake("fails", progress={"style": "snacks"})
    editor.listen("generation_error")
    editor.command("Lofi keys")
    track_id = editor.until_heard("generation_error")["track_id"]
    reports = editor.lua("return reports")
    assert {tuple(report[2:]) for report in reports} == {("lofi-" + track_id, "keys")}
    assert reports[-1][:2] == ["not a number at step 10", "error"]


def test_native_messages_where_neovim_has_them(editor: Editor) -> None:
    if not editor.nvim.eval("has('nvim-0.12')"):
        pytest.skip("only 0.12 has them")
    editor.lua(
        """
        _G.told = {}
        vim.api.nvim_create_autocmd("Progress", { callback = function(event)
          table.insert(told, event.data)
        end })
        """
    )
    editor.fake("slow")
    editor.listen("generation_complete")
    editor.command("Lofi keys")
    editor.until(lambda: "keys:  45% diffusing 9/20" in editor.watched.text())
    editor.until_heard("generation_complete")
    editor.until(lambda: "keys: 100% 0:30 of music" in editor.watched.text())
    told = editor.lua("return told")
    assert {each["title"] for each in told} == {"keys"}
    assert len({each["id"] for each in told}) == 1
    assert told[0]["status"] == "running"
    assert told[-1]["status"] == "success"
    assert editor.lua("return #vim.api.nvim_list_wins()") == 1


LONG = (
    "jazzy lofi, upright bass walking, brushed drums, bright rhodes, light swing, friendly and "
    "relaxed, 84 bpm, instrumental"
)


@pytest.mark.parametrize("size", [(80, 24), (40, 10), (24, 8), (12, 4)])
@pytest.mark.parametrize("options", ["", "cmdheight=0", "cmdheight=2 shortmess= nomore noshowcmd"])
@pytest.mark.parametrize("style", ["auto", "notify"])
def test_nothing_that_is_shown_waits_for_enter(
    editors, size: tuple[int, int], options: str, style: str
) -> None:
    """The fixture fails a test whose screen showed a prompt."""
    editor = editors(columns=size[0], lines=size[1])
    if options:
        editor.command(f"set {options}")
    editor.fake("fails" if style == "notify" else "", progress={"style": style})
    editor.listen("generation_complete", "generation_error", "playback_start")
    editor.lua("require('lofi').generate({ prompt = ..., play = true })", LONG)
    editor.command("Lofi volume 120")
    editor.command("Lofi cancel 0123456789abcdef")
    editor.command("Lofi device broken")
    editor.until_noticed("no sound device called broken")
    editor.command("Lofi generate soft keys backend=musicgen")
    editor.until_noticed("musicgen is not installed")
    editor.until(lambda: editor.heard("generation_complete") or editor.heard("generation_error"))
    editor.command("Lofi pause")
    editor.command("Lofi nonsense=3")
    editor.until_noticed("unknown parameter")
    editor.lua("vim.wait(100)")


def test_a_message_while_somebody_types_a_command_goes_to_the_corner(editor: Editor) -> None:
    editor.fake("slow", progress={"style": "auto"})
    editor.listen("generation_progress")
    editor.command("Lofi keys")
    editor.until_heard("generation_progress")
    editor.nvim.input(":echo 'typed'")
    editor.until(lambda: editor.nvim.eval("mode()") == "c")
    editor.lua("require('lofi.message').say('hello there')")
    editor.until(lambda: "hello there" in editor.watched.text())
    assert editor.watched.text().splitlines()[-1].startswith(":echo 'typed'")
    editor.nvim.input("<CR>")
    editor.until(lambda: editor.watched.text().splitlines()[-1].startswith("typed"))


def test_what_does_not_fit_is_whole_in_the_log(editor: Editor) -> None:
    editor.fake()
    editor.lua("require('lofi.message').complain(('long '):rep(40), 'Do this.')")
    shown = editor.watched.text().splitlines()[-1]
    editor.until(lambda: editor.watched.text().splitlines()[-1].strip().endswith("(:Lofi log)"))
    assert "Do this." not in shown
    assert "Do this." in editor.notices()
    assert ("long " * 40).strip() in editor.notices()
    editor.lua("require('lofi.message').complain('short', 'Do this.')")
    editor.until(lambda: editor.watched.text().splitlines()[-1].startswith("lofi: short. Do this."))


@pytest.mark.parametrize("style", ["native", "fidget", "snacks"])
def test_a_style_that_is_not_there_becomes_the_corner(editor: Editor, style: str) -> None:
    if style == "native" and editor.nvim.eval("has('nvim-0.12')"):
        pytest.skip("0.12 has it")
    editor.fake(progress={"style": style})
    editor.command("Lofi keys")
    screen_with(editor, "keys: 0:30 of music")


@pytest.mark.parametrize("size", [(20, 6), (12, 4)])
def test_a_tiny_screen(editors, size: tuple[int, int]) -> None:
    editor = editors(columns=size[0], lines=size[1])
    editor.fake(progress={"style": "float"})
    editor.listen("generation_complete")
    editor.command("Lofi keys")
    editor.until_heard("generation_complete")
    editor.lua("vim.wait(150)")
    editor.command("Lofi status")
    editor.until_requested("status")
    assert editor.nvim.command_output("messages") == ""


@pytest.mark.parametrize("size", [(80, 24), (40, 10)])
def test_a_command_longer_than_the_line_waits_for_no_enter(editors, size: tuple[int, int]) -> None:
    """The fixture fails a test whose screen showed a prompt."""
    editor = editors(columns=size[0], lines=size[1])
    editor.fake()
    for command in (f"Lofi {LONG}", f"Lofi pause {LONG}", f"Lofi soft keys tempo={LONG}"):
        editor.nvim.input(f":{command}<CR>")
        editor.until(lambda: editor.nvim.eval("mode()") == "n")
    editor.until_noticed("`:Lofi pause` takes no more words")
    editor.until_noticed('unknown parameter "tempo"')
    assert editor.until_requested("generate")["prompt"] == LONG
    editor.lua("vim.wait(200)")


TELL = """
    local module, name, params = ...
    require(module).notifications[name](params)
"""
STARTED = {"track_id": "a" * 16, "prompt": "rain", "position_sec": 0, "duration_sec": 60}


def made(letter: str, percent: int) -> dict[str, object]:
    """Progress of a track of the radio."""
    return {"track_id": letter * 16, "percent": percent, "phase": "diffusing", "prompt": letter}


def test_what_the_radio_makes_goes_on_unseen_once_music_plays(editor: Editor) -> None:
    editor.fake("late_radio", progress={"style": "float"})
    editor.listen("radio_waiting")
    editor.command("Lofi radio")
    editor.until_heard("radio_waiting")
    editor.lua(TELL, "lofi.jobs", "generation_progress", made("b", 40))
    screen_with(editor, " 40% b: diffusing")
    editor.lua(TELL, "lofi.player", "playback_started", STARTED)
    assert editor.lua("return require('lofi.corner').items()") == []
    editor.lua(TELL, "lofi.jobs", "generation_progress", made("b", 50))
    assert editor.lua("return require('lofi.corner').items()") == []


def test_the_track_after_one_that_is_ready_is_not_waited_for(editor: Editor) -> None:
    """Its first event comes a moment before the ready one starts."""
    editor.fake("late_radio", progress={"style": "float"})
    editor.listen("radio_waiting")
    editor.command("Lofi radio")
    editor.until_heard("radio_waiting")
    complete = {**STARTED, "path": "/a.wav", "backend": "demo", "generation_time_sec": 3}
    editor.lua(TELL, "lofi.jobs", "generation_complete", complete)
    editor.lua(TELL, "lofi.jobs", "generation_progress", made("b", 1))
    names = "return vim.tbl_map(function(i) return i.title end, require('lofi.corner').items())"
    assert editor.lua(names) == ["rain"]


def test_neovims_own_progress_ends_when_music_plays(editor: Editor) -> None:
    if not editor.nvim.eval("has('nvim-0.12')"):
        pytest.skip("only 0.12 has it")
    editor.lua(
        """
        _G.told = {}
        vim.api.nvim_create_autocmd("Progress", { callback = function(event)
          table.insert(told, event.data.status)
        end })
        """
    )
    editor.fake("late_radio")
    editor.listen("radio_waiting")
    editor.command("Lofi radio")
    editor.until_heard("radio_waiting")
    editor.lua(TELL, "lofi.jobs", "generation_progress", made("b", 40))
    editor.lua(TELL, "lofi.player", "playback_started", STARTED)
    editor.lua(TELL, "lofi.jobs", "generation_progress", made("b", 50))
    assert editor.lua("return told") == ["running", "running", "success"]
