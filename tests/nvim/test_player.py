"""What listeners expect besides play and pause, and the window that has keys for it."""

from __future__ import annotations

import pytest

from tests.nvim.conftest import Editor


def listening(editor: Editor) -> None:
    editor.listen("playback_start")
    editor.command("Lofi radio study")
    editor.until_heard("playback_start")


def test_back_to_the_track_before(editor: Editor) -> None:
    editor.fake()
    listening(editor)
    editor.command("Lofi skip")
    editor.until(lambda: len(editor.heard("playback_start")) == 2)
    editor.command("Lofi previous")
    editor.until_noticed("back to radio track 1")
    assert editor.requests().count("previous") == 1


@pytest.mark.parametrize(
    ("place", "position"),
    [("30", 30), ("0:45", 45), ("+10", 10), ("-10", 0), ("9:00", 60)],
)
def test_seek(editor: Editor, place: str, position: float) -> None:
    editor.fake()
    listening(editor)
    editor.command(f"Lofi seek {place}")
    [settings] = editor.until(lambda: editor.requests("player_set"))
    assert settings["position_sec"] == pytest.approx(position, abs=5)


def test_no_place_to_seek(editor: Editor) -> None:
    editor.fake()
    editor.command("Lofi seek there")
    editor.until_noticed('"there" is no place in a track')
    editor.command("Lofi seek 3")
    editor.until_noticed("nothing plays")


def test_mute_and_loop(editor: Editor) -> None:
    editor.fake()
    listening(editor)
    editor.command("Lofi mute")
    editor.until_noticed("muted; :Lofi mute again")
    editor.command("Lofi mute")
    editor.until_noticed("heard again")
    editor.command("Lofi loop")
    editor.until_noticed("loop track")
    editor.command("Lofi loop")
    editor.until_noticed("loop off")
    editor.command("Lofi loop playlist")
    editor.until_noticed("loop playlist")
    assert editor.requests("player_set") == [
        {"muted": True},
        {"muted": False},
        {"loop": "track"},
        {"loop": "off"},
        {"loop": "playlist"},
    ]


@pytest.mark.parametrize(
    ("time", "seconds"),
    [("25m", 1500), ("1h30m", 5400), ("90s", 90), ("25", 1500), ("1h", 3600)],
)
def test_a_sleep_timer(editor: Editor, time: str, seconds: int) -> None:
    editor.fake()
    listening(editor)
    editor.command(f"Lofi stop in {time}")
    editor.until_noticed("fades out in ")
    assert editor.requests("player_set") == [{"stops_in_sec": seconds}]
    assert editor.requests("stop") == []
    editor.command("Lofi stop in off")
    editor.until_noticed("goes on")
    assert editor.requests("player_set")[-1] == {"stops_in_sec": None}


@pytest.mark.parametrize("time", ["soon", "in 0m", "in 99h", "in 5x"])
def test_no_time_to_stop_at(editor: Editor, time: str) -> None:
    editor.fake()
    editor.command(f"Lofi stop {time}")
    editor.until_noticed("is no time within a day")
    assert editor.requests() == []


@pytest.mark.parametrize("library", ["kept", "all"])
def test_a_radio_of_what_there_is(editor: Editor, library: str) -> None:
    editor.fake(radio={"preset": "study"})
    editor.command(f"Lofi radio {library}")
    editor.until_noticed(f"radio: {library} tracks")
    assert editor.requests("radio_start") == [{"library": library}]


def test_the_window_and_its_keys(editor: Editor) -> None:
    editor.fake()
    listening(editor)
    editor.command("Lofi player")
    editor.until(lambda: "▶ radio track 1" in editor.watched.text())
    editor.until(lambda: "volume 50%" in editor.watched.text())
    text = editor.watched.text()
    assert "0:0" in text
    assert "radio: study" in text
    assert "space pause  n next  p back" in text
    for keys, method, params in [
        ("+", "player_set", {"volume": 0.55}),
        ("m", "player_set", {"muted": True}),
        ("t", "player_set", {"stops_in_sec": 900}),
        ("r", "player_set", {"loop": "track"}),
        ("<Space>", "pause", {}),
        ("n", "skip", {}),
        ("p", "previous", {}),
        ("k", "tracks_keep", {"track_ids": [f"{1:016x}"], "kept": True}),
    ]:
        before = len(editor.requests(method))
        editor.nvim.input(keys)
        editor.until(lambda m=method, n=before: len(editor.requests(m)) > n)
        assert editor.requests(method)[-1] == params
        editor.lua("vim.wait(30)")
    editor.until(lambda: "muted · repeats the track · stops in 1" in editor.watched.text())
    editor.nvim.input("q")
    editor.until(lambda: "space pause" not in editor.watched.text())
    assert editor.lua("return #vim.api.nvim_list_wins()") == 1


def test_the_window_in_a_small_terminal(editors) -> None:
    editor = editors(columns=40, lines=10)
    editor.fake()
    listening(editor)
    editor.command("Lofi player")
    editor.until(lambda: "▶ radio track 1" in editor.watched.text())
    editor.until(lambda: "0:0" in editor.watched.text())
