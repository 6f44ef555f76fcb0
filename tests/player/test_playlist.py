from __future__ import annotations

from lofi_daemon.player.playlist import Playlist


def test_tracks_come_one_after_the_other_and_then_none() -> None:
    playlist = Playlist().added(["a", "b"])
    assert playlist.next("off") == "a"
    playlist = playlist.reached("a")
    assert playlist.next("off") == "b"
    assert playlist.reached("b").next("off") is None


def test_a_loop_begins_again() -> None:
    at_end = Playlist(("a", "b"), 2)
    assert at_end.next("playlist") == "a"
    assert at_end.reached("a").next("playlist") == "b"
    assert Playlist().next("playlist") is None


def test_a_track_chosen_by_hand_moves_the_place_and_a_stranger_does_not() -> None:
    playlist = Playlist(("a", "b", "c"), 0)
    assert playlist.reached("b").next("off") == "c"
    assert playlist.reached("x") == playlist
    assert playlist.reached("c").reached("a").next("off") == "b"


def test_a_track_that_is_in_it_twice_is_reached_in_turn() -> None:
    playlist = Playlist(("a", "b", "a", "c"), 0).reached("a").reached("b").reached("a")
    assert playlist.next("off") == "c"


def test_removing_keeps_the_place() -> None:
    playlist = Playlist(("a", "b", "c", "d"), 2)
    assert playlist.removed(["a"]).next("off") == "c"
    assert playlist.removed(["c"]).next("off") == "d"
    assert playlist.removed(["a", "b", "c", "d"]) == Playlist()


def test_what_is_added_at_the_end_comes_next() -> None:
    assert Playlist(("a",), 1).added(["b"]).next("off") == "b"
