from __future__ import annotations

import pytest

from tests.nvim.conftest import Editor


def make_track(editor: Editor, prompt: str = "rainy night") -> str:
    """Makes a track and waits until it plays; returns its id."""
    editor.listen("playback_start")
    editor.command(f"Lofi {prompt}")
    return editor.until(
        lambda: [t for t in editor.heard("playback_start") if t["prompt"] == prompt]
    )[-1]["track_id"]


def test_parameters_may_stand_anywhere(editor: Editor) -> None:
    editor.fake()
    editor.command(
        "Lofi generate duration=90 slow seed=18446744073709551615 guitar steps=27 scheduler=heun"
        " variation_seed=18446744073709551614 guidance=7.5 backend=demo priority=high"
        " cfg=apg erg=false"
    )
    assert editor.until_requested("generate") == {
        "prompt": "slow guitar",
        "play": "early",
        "duration_sec": 90,
        "seed": 2**64 - 1,
        "variation_seed": 2**64 - 2,
        "inference_steps": 27,
        "scheduler": "heun",
        "guidance_scale": 7.5,
        "backend": "demo",
        "priority": "high",
        "cfg_type": "apg",
        "erg": False,
    }


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ("soft keys tempo=3", 'unknown parameter "tempo"; known are duration'),
        ("soft keys duration=long", "duration=long is no number. Length of the track"),
        ("soft keys duration=nan", "duration=nan is no number"),
        ("soft keys erg=maybe", "erg=maybe is not one of true, false"),
        ("soft keys scheduler=magic", "scheduler=magic is not one of euler, heun, pingpong"),
        ("soft keys seed=-1", "seed=-1 is negative; a seed is one from 0 to 2^64 - 1"),
        ("soft keys seed=1.5", "seed=1.5 is no whole number"),
        ("soft keys variation_seed=-1", "variation_seed=-1 is negative; a seed is one from 0"),
        ("volume 120", "percentage from 0 to 100"),
        ("volume loud", "percentage from 0 to 100"),
        ("download", "download which backend?"),
    ],
)
def test_what_cannot_be_right_is_said_at_once(
    editor: Editor, arguments: str, complaint: str
) -> None:
    editor.fake()
    editor.command(f"Lofi {arguments}")
    assert complaint in editor.notices()
    assert editor.requests() == []


def test_bare_it_starts_the_radio_then_pauses_then_goes_on(editor: Editor) -> None:
    editor.fake()
    editor.listen("playback_start", "playback_pause", "playback_resume")
    editor.command("Lofi")
    editor.until_heard("playback_start")
    assert editor.requests("radio_start") == [{}]
    editor.command("Lofi")
    editor.until_heard("playback_pause")
    assert not editor.lua("return require('lofi').is_playing()")
    editor.command("Lofi toggle")
    editor.until_heard("playback_resume")
    assert editor.lua("return require('lofi').is_playing()")


def test_bare_while_the_radio_makes_its_first_track(editor: Editor) -> None:
    editor.fake("late_radio")
    editor.listen("radio_waiting")
    editor.command("Lofi")
    assert editor.until_heard("radio_waiting")["eta_sec"] == 3
    editor.command("Lofi")
    editor.until_noticed("the radio is making its next track")
    assert len(editor.requests("radio_start")) == 1


def test_a_radio_whose_box_is_away_says_so(editor: Editor) -> None:
    editor.fake("box_away")
    editor.command("Lofi")
    editor.until_noticed("the radio goes on with demo: gpubox cannot be reached: no route to host.")


def test_radio_by_preset_by_prompt_and_off(editor: Editor) -> None:
    editor.fake(radio={"ahead": 3, "preset": "study"}, generate={"duration_sec": 60})
    editor.listen("playback_start")
    common = {"ahead": 3, "duration_sec": 60}
    for arguments, expected in [
        ("radio", {"preset": "study"}),
        ("radio rain", {"preset": "rain"}),
        ("radio foggy harbour", {"prompts": ["foggy harbour"]}),
    ]:
        editor.command(f"Lofi {arguments}")
        editor.until(lambda e=expected: {**common, **e} in editor.requests("radio_start"))
    editor.command("Lofi radio off")
    editor.until_requested("radio_stop")
    editor.until(lambda: editor.lua("return require('lofi').state().radio") is None)


def test_a_radio_that_flows(editor: Editor) -> None:
    editor.fake(radio={"preset": "study", "flow": False})
    for arguments, expected in [
        ("radio flow", {"preset": "study", "flow": True}),
        ("radio flow rain", {"preset": "rain", "flow": True}),
        ("radio flow foggy harbour steps=8", {"prompts": ["foggy harbour"], "flow": True}),
        ("radio rain", {"preset": "rain", "flow": False}),
        ("radio kept", {"library": "kept"}),
    ]:
        editor.command(f"Lofi {arguments}")
        wanted = {**expected, **({"inference_steps": 8} if "steps" in arguments else {})}
        editor.until(lambda w=wanted: w in editor.requests("radio_start"))
    editor.command("Lofi radio flow rain")
    editor.until_noticed("rain, flowing")
    editor.command("Lofi status")
    editor.until(lambda: "Radio    rain, flowing, 0 ready" in "\n".join(editor.screen()))


def test_a_flow_is_made_again_with_its_length(editor: Editor) -> None:
    editor.fake()
    track_id = make_track(editor)
    editor.lua(
        """
        local source = ...
        require("lofi.editing").make_again({
          track_id = ("a"):rep(16), prompt = "rain", backend = "demo", duration_sec = 30,
          task = "flow", source = source, span = { 22.5, 52.5 },
        })
        """,
        track_id,
    )
    expected = {
        "task": "flow", "source": track_id, "duration_sec": 30, "backend": "demo",
        "prompt": "rain", "play": "early",
    }  # fmt: skip
    editor.until(lambda: expected in editor.requests("generate"))


def test_pause_resume_skip_stop(editor: Editor) -> None:
    editor.fake()
    editor.listen("playback_start", "playback_pause", "playback_resume", "playback_end")
    editor.command("Lofi radio")
    editor.until_heard("playback_start")
    editor.command("Lofi pause")
    editor.until_heard("playback_pause")
    editor.command("Lofi resume")
    editor.until_heard("playback_resume")
    editor.command("Lofi skip")
    editor.until(lambda: len(editor.heard("playback_start")) == 2)
    assert editor.heard("playback_end") == [{"track_id": f"{1:016x}", "reason": "skipped"}]
    assert editor.lua("return require('lofi').current_track().track_id") == f"{2:016x}"
    editor.command("Lofi stop")
    editor.until_requested("stop")
    assert editor.requests("radio_stop") == [{}]
    editor.until(lambda: editor.lua("return require('lofi').current_track()") is None)


def test_play_by_id_by_words_and_bare(editor: Editor) -> None:
    editor.fake()
    track_id = make_track(editor, "rainy night")
    make_track(editor, "sunny morning")
    for arguments in (track_id, "rainy ni", ""):
        editor.command(f"Lofi play {arguments}")
    editor.until(lambda: len(editor.requests("play")) == 3)
    assert sorted(map(str, editor.requests("play"))) == sorted(
        map(str, [{"track_id": track_id}, {"track_id": track_id}, {}])
    )
    editor.command("Lofi play polka")
    editor.until_noticed('no track\'s prompt contains "polka"')


def test_volume(editor: Editor) -> None:
    editor.fake()
    editor.command("Lofi volume")
    editor.until_noticed("volume 50%")
    editor.command("Lofi volume 70")
    editor.until_noticed("volume 70%")
    for _ in range(3):
        editor.command("Lofi volume -5")
    editor.until_noticed("volume 55%")
    editor.command("Lofi volume +90")
    editor.until_noticed("volume 100%")
    volumes = [round(each["volume"], 2) for each in editor.requests("player_set")]
    assert volumes == [0.7, 0.65, 0.6, 0.55, 1]


def test_a_held_key_adds_up(editor: Editor) -> None:
    """However late the daemon's answers to the first changes come."""
    editor.fake()
    editor.command("Lofi volume 70")
    editor.until_noticed("volume 70%")
    editor.lua("for _ = 1, 3 do vim.cmd('Lofi volume -5') end")
    editor.until_noticed("volume 65%")
    editor.lua("for _ = 1, 3 do vim.cmd('Lofi volume -5') end")
    editor.until_noticed("volume 40%")


def test_a_first_change_of_volume_starts_from_what_the_daemon_has(editor: Editor) -> None:
    editor.fake()
    editor.command("Lofi volume +5")
    editor.until_noticed("volume 55%")
    assert editor.requests() == ["ping", "status", "player_set"]


def test_device(editor: Editor) -> None:
    editor.fake()
    editor.lua(
        """
        vim.ui.select = function(items, options, choose)
          _G.offered = vim.tbl_map(options.format_item, items)
          choose(items[3])
        end
        """
    )
    editor.command("Lofi device")
    editor.until(lambda: editor.requests("player_set") == [{"device": "USB Headset"}])
    assert editor.lua("return offered") == ["default (now)", "Built-in Audio", "USB Headset"]
    editor.command("Lofi device Built-in Audio")
    editor.until(lambda: editor.requests("player_set")[-1] == {"device": "Built-in Audio"})
    editor.command("Lofi device default")
    editor.until(lambda: editor.requests("player_set")[-1] == {"device": None})
    editor.command("Lofi device broken")
    editor.until_noticed("no sound device called broken")


def test_keep(editor: Editor) -> None:
    editor.fake()
    editor.command("Lofi keep")
    editor.until_noticed("nothing is playing")
    track_id = make_track(editor)
    editor.command("Lofi keep")
    editor.until_noticed("lofi: kept")
    assert editor.requests("tracks_keep") == [{"track_ids": [track_id], "kept": True}]


def test_prompt_asks(editor: Editor) -> None:
    editor.fake()
    editor.lua("vim.ui.input = function(_, answer) answer('  foggy harbour duration=45 ') end")
    for command in ("Lofi prompt", "Lofi generate"):
        editor.command(command)
    editor.until(lambda: len(editor.requests("generate")) == 2)
    asked = {"prompt": "foggy harbour", "duration_sec": 45, "play": "early"}
    assert editor.requests("generate") == [asked] * 2
    editor.lua("vim.ui.input = function(_, answer) answer(nil) end")
    editor.command("Lofi prompt")
    assert editor.notices() == ""


def test_cancel(editor: Editor) -> None:
    editor.fake("slow")
    editor.listen("generation_progress", "generation_cancelled")
    editor.command("Lofi cancel")
    editor.until_noticed("nothing is being generated")
    editor.command("Lofi slow keys")
    track_id = editor.until_heard("generation_progress")["track_id"]
    editor.command("Lofi cancel")
    editor.until(lambda: editor.requests("cancel") == [{"track_id": track_id}])


def test_the_queue_in_a_window(editor: Editor) -> None:
    editor.fake("slow")
    editor.listen("generation_progress")
    editor.command("Lofi slow keys")
    editor.until_heard("generation_progress")
    editor.command("Lofi queue")
    screen = editor.until(lambda: "lofi queue" in (s := "\n".join(editor.screen())) and s)
    assert "Making   slow keys  40% diffusing, 0:08 left" in screen
    assert "Waiting  1. waits its turn" in screen
    editor.nvim.input("q")
    editor.until(lambda: "lofi queue" not in "\n".join(editor.screen()))
    editor.command("Lofi queue clear")
    editor.until_noticed("1 cancelled")


def test_the_status_in_a_window(editor: Editor) -> None:
    editor.fake()
    make_track(editor)
    editor.command("Lofi radio rain")
    editor.until_requested("radio_start")
    editor.command("Lofi status")
    screen = editor.until(lambda: "Cache" in (s := "\n".join(editor.screen())) and s)
    assert "Player   playing  0:00/0:30  rainy night" in screen
    assert "Sound    volume 50%, crossfade 2 s, loop off, device default" in screen
    assert "Radio    rain, 0 ready" in screen
    assert "Making   nothing" in screen
    assert "Cache    1 tracks, 5 of 2000 MB" in screen


def test_the_backends_in_a_window(editor: Editor) -> None:
    editor.fake()
    editor.command("Lofi backends")
    screen = editor.until(lambda: "lofi backends" in (s := "\n".join(editor.screen())) and s)
    assert "* demo       ready          5 to 240 s, 44.1 kHz, 1" in screen
    assert "  musicgen   not installed" in screen


def test_the_log_in_a_window(editor: Editor) -> None:
    editor.fake("banner")
    editor.command("Lofi log")
    assert "Daemon   does not run" in "\n".join(editor.screen())
    editor.command("close")
    editor.command("Lofi volume")
    editor.until_noticed("volume")
    editor.command("Lofi log")
    assert "stdout: Welcome to the wrapper script" in "\n".join(editor.screen())


def test_download(editor: Editor) -> None:
    editor.fake()
    editor.listen("download_progress", "download_complete", "download_error")
    editor.command("Lofi download demo")
    editor.until_noticed("demo is installed already")
    editor.command("Lofi download musicgen")
    editor.until_heard("download_complete")
    percents = [each["overall_percent"] for each in editor.heard("download_progress")]
    assert percents == list(range(0, 100, 10))


def test_a_download_can_be_cancelled(editor: Editor) -> None:
    editor.fake()
    editor.listen("download_progress", "download_error")
    editor.command("Lofi download musicgen")
    editor.until_heard("download_progress")
    editor.command("Lofi cancel musicgen")
    assert editor.until_heard("download_error")["code"] == "CANCELLED"
    assert editor.requests("cancel") == [{"backend": "musicgen"}]
    assert editor.lua("return require('lofi').status()") == ""
    assert editor.notices() == ""


def test_a_download_that_fails(editor: Editor) -> None:
    editor.fake("disk_full")
    editor.listen("download_error")
    editor.command("Lofi download musicgen")
    assert editor.until_heard("download_error")["code"] == "MODEL_DOWNLOAD_FAILED"
    editor.until_noticed("the disk is full")


def test_a_prompt_from_a_visual_selection(editor: Editor) -> None:
    editor.fake()
    editor.lua(
        "vim.api.nvim_buf_set_lines(0, 0, -1, true, {'make: foggy  harbour', 'at dawn; please'})"
    )
    editor.nvim.input("gg6lvj0we:Lofi duration=45<CR>")
    assert editor.until_requested("generate") == {
        "prompt": "foggy harbour at dawn",
        "play": "early",
        "duration_sec": 45,
    }


def test_a_prompt_from_a_range_of_lines(editor: Editor) -> None:
    editor.fake()
    editor.lua("vim.api.nvim_buf_set_lines(0, 0, -1, true, {'foggy harbour', 'at dawn', 'no'})")
    editor.command("1,2Lofi generate lofi")
    assert editor.until_requested("generate") == {
        "prompt": "lofi foggy harbour at dawn",
        "play": "early",
    }


def test_plug_maps(editor: Editor) -> None:
    editor.fake()
    editor.listen("playback_start", "playback_pause")
    editor.lua(
        """
        vim.ui.input = function(_, answer) answer("from a map") end
        for key, name in pairs({ t = "toggle", s = "skip", k = "keep", p = "prompt",
          u = "volume-up", d = "volume-down" }) do
          vim.keymap.set("n", "<Space>" .. key, "<Plug>(lofi-" .. name .. ")")
        end
        """
    )
    editor.nvim.input("<Space>t")
    editor.until_heard("playback_start")
    editor.nvim.input("<Space>s<Space>k<Space>p<Space>u<Space>u<Space>d")
    editor.until_noticed("kept")
    editor.until(lambda: len(editor.requests("player_set")) >= 2)
    assert editor.until_requested("generate") == {"prompt": "from a map", "play": "early"}
    assert len(editor.requests("skip")) == 1
    editor.lua("vim.api.nvim_buf_set_lines(0, 0, -1, true, {'foggy harbour'})")
    editor.lua("vim.keymap.set('x', '<Space>p', '<Plug>(lofi-prompt)')")
    editor.nvim.input("V<Space>p")
    editor.until(
        lambda: {"prompt": "foggy harbour", "play": "early"} in editor.requests("generate")
    )


def test_no_keys_are_mapped_by_default(editor: Editor) -> None:
    maps = editor.lua(
        """
        return vim.tbl_map(function(map) return map.lhs end, vim.tbl_filter(function(map)
          return (map.desc or ""):match("^lofi") ~= nil
        end, vim.list_extend(vim.api.nvim_get_keymap("n"), vim.api.nvim_get_keymap("x"))))
        """
    )
    assert maps
    assert all(lhs.startswith("<Plug>(lofi-") for lhs in maps)


def test_restart(editor: Editor) -> None:
    editor.fake()
    editor.listen("daemon_exit")
    editor.command("Lofi volume")
    editor.until_noticed("volume 50%")
    before = editor.daemon_pid()
    editor.command("Lofi restart")
    editor.until_noticed("daemon 0.0-fake runs")
    assert editor.heard("daemon_exit")[0]["expected"]
    assert editor.daemon_pid() != before
