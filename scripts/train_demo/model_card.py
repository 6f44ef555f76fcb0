"""Writes the bundle's model card from the measured results."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

TEMPLATE = Path(__file__).with_name("model_card_template.md")


def rows(results: dict[str, Any]) -> str:
    """The main table's rows."""
    health = results["health"]
    chord, beat = results["chord_ratio"], results["beat_strength"]
    tempo, voice = results["tempo_within_2_percent"], results["voice_share"]
    pair, window = results["nearest_pair_of_seeds"], results["nearest_training_window"]
    floor = results["frechet_held_out_halves"]
    lines = [
        (
            "Fréchet distance of log-spectrum statistics to the held-out set",
            f"{results['frechet_generated']} ({results['frechet_ratio']} ×)",
            f"{floor} (two halves, 1 ×)",
            f"{results['frechet_noise']} ({results['frechet_noise_ratio']} ×)",
            "≤ 3 ×, noise ≥ 20 ×",
        ),
        (
            "the same, halves against halves on both sides",
            f"{results['frechet_generated_halves']} ({results['frechet_halves_ratio']} ×)",
            f"{floor} (1 ×)",
            "",
            "",
        ),
        (
            "tempo within 2 % of the plan (essentia)",
            *(f"{tempo[name]:.0%}" for name in ("generated", "held_out", "noise")),
            "≥ 90 %",
        ),
        (
            "beat strength (median)",
            f"{beat['generated']} ({beat['generated'] / beat['held_out']:.0%})",
            beat["held_out"],
            beat["noise"],
            "≥ 80 % of held out",
        ),
        (
            "energy on planned chord tones against others (median)",
            f"{chord['generated']} ({chord['generated'] / chord['held_out']:.0%})",
            chord["held_out"],
            chord["noise"],
            "≥ 80 % of held out",
        ),
        (
            "nearest pair of seeds of one prompt (RMS of log spectra)",
            pair["generated"],
            pair["held_out"],
            "",
            "≥ held out",
        ),
        (
            "distance to the nearest training window, smallest / median",
            f"{window['generated']['smallest']} / {window['generated']['median']}",
            f"{window['held_out']['smallest']} / {window['held_out']['median']}",
            "",
            "no copy (0)",
        ),
        (
            "most voice heard in a track (silero-vad, share of 32 ms blocks)",
            *(voice[name] for name in ("generated", "held_out", "noise")),
            "no voice",
        ),
        ("loudest peak", health["loudest_peak"], "", "", "< 1"),
        ("largest DC offset", health["largest_dc"], "", "", "none"),
        (
            "loudness, LUFS",
            f"{health['lufs_lowest']} to {health['lufs_highest']}",
            "",
            "",
            "−16 ± 2",
        ),
        ("longest silence, s", health["longest_silence_sec"], "", "", "≤ 0.5"),
    ]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def first_minute_rows(results: dict[str, Any]) -> str:
    """What a listener notices first, beside the band's own figures."""
    made, played = (results["first_minute"][name] for name in ("generated", "held_out"))
    figures = (
        ("lead_spread_db", "level spread from bar to bar with a lead, dB", "≤ 1.5 × held out"),
        ("attack_ms", "attack of hats and snares, ms", "≤ 3"),
        ("pre_echo_db", "pre-echo of hats and snares, dB", "≤ −40"),
        ("start_db", "first 60 ms against the next 0.3 s, dB", "≤ 3"),
        ("recurrence", "largest autocorrelation of the highest bands from 0.7 s", ""),
        ("beat_within_two_bars", "share of tracks with kick or snare within two bars", "≥ 0.95"),
    )
    lines = [
        f"| {text} | {made[name]} | {played[name]} | {target} |" for name, text, target in figures
    ]
    lines += [
        f"| sides, {band}: phase difference, correlation | {made['width'][band][0]}°, "
        f"{made['width'][band][1]} | {played['width'][band][0]}°, {played['width'][band][1]} "
        "| within a third of held out |"
        for band in made["width"]
    ]
    return "\n".join(lines)


def adherence_rows(results: dict[str, Any]) -> str:
    generated, real = results["adherence"]["generated"], results["adherence"]["held_out"]
    names = {
        "all": ("all", ""),
        "plain": ("plain words", "≥ 80 %"),
        "synonym": ("synonyms", "≥ 70 %"),
        "sentence": ("whole sentences with synonyms", "≥ 70 %"),
    }
    return "\n".join(
        f"| {names.get(key, (key, ''))[0]} | {generated[key]:.0%} | {real[key]:.0%} "
        f"| {names.get(key, (key, ''))[1]} |"
        for key in [*names, *(key for key in generated if key not in names)]
        if key in generated and key in real
    )


def form_rows(results: dict[str, Any]) -> str:
    return "\n".join(
        f"| {track['seed']} | {', '.join(track['sections_told_apart'])} "
        f"| {track['level_drift_db']} dB | {track['planned_bpm']}: "
        f"{', '.join(map(str, track['bpm_by_minute']))} | {track['ending_db_below_body']} dB |"
        for track in results["form"]
    )


def last_row(path: Path) -> list[str]:
    return path.read_text().splitlines()[-1].split(",")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", type=Path)
    parser.add_argument("logs", type=Path, help="folder with flow.csv and vocoder.csv")
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--limits", type=Path, help="text of what held it back")
    parser.add_argument("--hours", type=float, required=True)
    arguments = parser.parse_args()
    results = json.loads(arguments.results.read_text())
    manifest = json.loads((arguments.bundle / "manifest.json").read_text())
    flow, vocoder = last_row(arguments.logs / "flow.csv"), last_row(arguments.logs / "vocoder.csv")
    card = TEMPLATE.read_text(encoding="utf-8").format(
        version=manifest["model_version"],
        megabytes=sum(facts["bytes"] for facts in manifest["files"].values()) / 1e6,
        hours=arguments.hours,
        songs=flow[2],
        flow_steps=flow[0],
        flow_minutes=int(flow[1]) / 60,
        vocoder_steps=vocoder[0],
        tracks=results["tracks"]["generated"],
        seconds=results["seconds_each"],
        rows=rows(results),
        adherence=adherence_rows(results),
        first_minute=first_minute_rows(results),
        form=form_rows(results),
        limits=arguments.limits.read_text().strip() if arguments.limits else "",
    )
    (arguments.bundle / "MODEL_CARD.md").write_text(card)


if __name__ == "__main__":
    main()
