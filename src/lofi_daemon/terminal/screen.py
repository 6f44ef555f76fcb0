"""What a listener sees: a view of the moment, and how it is drawn at any width."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from lofi_daemon.text import shown

MARKS = {"playing": "▶", "paused": "⏸", "stopped": "■"}
BARS = "▁▂▃▄▅▆▇█"
MAX_WIDTH = 76
NOTICE_LINES = 6
MIN_TITLE_WIDTH = 8
KEYS = (
    ("space", "pause"),
    ("n", "next"),
    ("+ −", "volume"),
    ("k", "keep"),
    ("q", "quit"),
    ("p", "back"),
    ("← →", "seek"),
    ("m", "mute"),
    ("r", "repeat"),
    ("t", "timer"),
    ("v", "vary"),
    ("x", "longer"),
)


@dataclass(frozen=True)
class MakingView:
    """What is being generated: its prompt, how far, and the seconds left where they are known."""

    title: str
    percent: int
    phase: str
    eta_sec: float | None


@dataclass(frozen=True)
class View:
    """One moment. kept is None where nothing can be kept; ready tells of new tracks waiting."""

    heading: str
    state: str = "stopped"
    title: str = ""
    position_sec: float = 0.0
    duration_sec: float = 0.0
    volume: float = 0.5
    muted: bool = False
    loop: str = "off"
    stops_in_sec: float | None = None
    waveform: Sequence[float] = ()
    kept: bool | None = None
    ready: int | None = None
    ahead: int = 0
    upcoming: str | None = None
    making: MakingView | None = None
    notice: str | None = None


@dataclass(frozen=True)
class Screen:
    """Draws a view with rich; every line fits the width."""

    view: View

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for line in lines(self.view, min(options.max_width, MAX_WIDTH)):
            line.no_wrap, line.overflow = True, "ellipsis"
            yield line


def lines(view: View, width: int) -> list[Text]:
    """The screen's lines, none longer than `width` cells."""
    view = _as_shown(view)
    drawn = [_heading(view, width), Text(), _title(view, width)]
    if view.waveform and view.duration_sec > 0:
        drawn.append(_waveform(view, width))
    drawn.append(_clock(view, width))
    if view.upcoming is not None:
        drawn.append(_fitted(Text.assemble(("next   ", "dim"), view.upcoming), width))
    if view.making is not None:
        drawn.append(Text())
        drawn.extend(_making(view.making, width))
    if view.notice:
        drawn.extend(_notice(view.notice, width))
    drawn.append(Text())
    drawn.append(_keys(view, width))
    return drawn


def _as_shown(view: View) -> View:
    making = view.making
    return replace(
        view,
        heading=shown(view.heading),
        title=shown(view.title),
        upcoming=None if view.upcoming is None else shown(view.upcoming),
        notice=None if view.notice is None else shown(view.notice),
        making=None if making is None else replace(making, title=shown(making.title)),
    )


def clock(seconds: float) -> str:
    """63.4 → 1:03"""
    minutes, rest = divmod(max(0, int(seconds)), 60)
    return f"{minutes}:{rest:02d}"


def _heading(view: View, width: int) -> Text:
    left = Text(view.heading, "bold cyan")
    right = Text() if view.ready is None else Text(f"{view.ready}/{view.ahead} ready", "dim")
    return _both_ends(left, right, width)


def _title(view: View, width: int) -> Text:
    mark = MARKS.get(view.state, " ")
    heart = Text(" ♥", "red") if view.kept and width > MIN_TITLE_WIDTH else Text()
    title = Text.assemble((f"{mark} ", "green"), (view.title or "waiting for music", "bold"))
    return _fitted(title, width - heart.cell_len) + heart


def _waveform(view: View, width: int) -> Text:
    loudest = max(view.waveform) or 1.0
    played = int(width * view.position_sec / view.duration_sec)
    line = Text()
    for column in range(width):
        first = column * len(view.waveform) // width
        last = max(first + 1, (column + 1) * len(view.waveform) // width)
        power = (max(view.waveform[first:last]) / loudest) ** 2
        bar = BARS[min(len(BARS) - 1, int(power * len(BARS)))]
        line.append(bar, "green" if column < played else "dim")
    return line


def _clock(view: View, width: int) -> Text:
    times = f"{clock(view.position_sec)} / {clock(view.duration_sec)}"
    if view.duration_sec <= 0:
        times = ""
    said = ["muted" if view.muted else f"volume {round(view.volume * 100)} %"]
    if view.loop != "off":
        said.insert(0, "again and again")
    if view.stops_in_sec is not None:
        said.insert(0, f"stops in {clock(view.stops_in_sec)}")
    # the most important one is the last that a narrow window loses
    while len(said) > 1 and len(" · ".join(said)) + len(times) + 1 > width:
        said.pop(1)
    return _both_ends(Text(times), Text(" · ".join(said), "dim"), width)


def _making(making: MakingView, width: int) -> list[Text]:
    title = _fitted(Text.assemble(("making ", "dim"), making.title), width)
    left = f" {making.percent} % {making.phase}"
    if making.eta_sec is not None:
        left += f", {clock(making.eta_sec)} left"
    length = max(0, min(30, width - len(left)))
    done = length * making.percent // 100
    bar = Text.assemble(("━" * done, "magenta"), ("─" * (length - done), "dim"))
    return [title, _fitted(bar + Text(left, "dim"), width)]


def _notice(notice: str, width: int) -> list[Text]:
    """As many lines as it takes, up to a few; the log has all of it."""
    if width < 1:
        return []
    wrapped = list(Text(notice, "yellow").wrap(Console(), width))
    if len(wrapped) > NOTICE_LINES:
        rest = Text(" ").join(wrapped[NOTICE_LINES - 1 :])
        wrapped[NOTICE_LINES - 1 :] = [rest]
    return [_fitted(line, width) for line in wrapped]


def _keys(view: View, width: int) -> Text:
    line = Text()
    for key, meaning in KEYS:
        if key in "kvx" and view.kept is None:
            continue
        if key == "space" and view.state == "paused":
            meaning = "go on"
        item = Text.assemble((key, "bold"), (f" {meaning}", "dim"))
        gap = 2 if line else 0
        if line.cell_len + gap + item.cell_len > width:
            break
        line.append(" " * gap).append_text(item)
    return line


def _both_ends(left: Text, right: Text, width: int) -> Text:
    gap = width - left.cell_len - right.cell_len
    if gap < 1:
        return _fitted(left, width)
    return left + Text(" " * gap) + right


def _fitted(line: Text, width: int) -> Text:
    if width < 1:
        return Text()
    line.truncate(width, overflow="ellipsis")
    return line
