"""Every graph against what the original code computed."""

from __future__ import annotations

import re

import numpy as np
import pytest

from lofi_daemon.backends.ace_step_15.checkpoint import Checkpoint
from lofi_daemon.backends.ace_step_15.encode import AudioTokens, SoundEncoder
from lofi_daemon.backends.ace_step_15.graphs.condition_encoder import write_timbre_encoder
from lofi_daemon.backends.ace_step_15.pipeline import AceStep15Pipeline
from lofi_daemon.cancellation import CancelToken
from lofi_daemon.onnx.graph_writer import GraphWriter
from lofi_daemon.onnx.session import OnnxModel
from tests.parity.ace_step_15.conftest import SETTINGS
from tests.parity.ace_step_15.reference import REFERENCE, assert_same, draw

Pipelines = dict[str, AceStep15Pipeline]

CONDITIONS = REFERENCE["condition"]
CALLS = REFERENCE["dit"]
# Which condition each single call of the transformer was made under.
CONDITION_OF = {
    "even": "long", "odd": "short", "long": "song", "single": "one",
    "xl.odd": "xl.short", "xl.long": "xl.short",
}  # fmt: skip
SINGLE_CALLS = [
    name
    for name in CALLS
    if re.fullmatch(r".*\.t[\d.]+\.out", name) and name.split(".t")[0] in CONDITION_OF
]
ALONE = [
    name.removesuffix(".lyric")
    for name in CONDITIONS
    if name.endswith(".lyric") and CONDITIONS[name].shape[0] == 1 and not name.startswith("ref")
]


def variant_of(name: str) -> str:
    return "xl" if name.startswith("xl.") else "turbo"


def test_text_states_and_embeddings(pipelines: Pipelines) -> None:
    text, encoder = REFERENCE["text"], pipelines["turbo"].encoder
    ids = text["one.input_ids"]
    assert_same(encoder.embeddings(ids, CancelToken()), text["one.embeddings"])
    assert_same(encoder.text_states(ids, CancelToken()), text["one.last_hidden_state"])


def test_text_states_of_a_batch_are_those_of_each_item_alone(pipelines: Pipelines) -> None:
    text, encoder = REFERENCE["text"], pipelines["turbo"].encoder
    for item, mask in enumerate(text["two.attention_mask"]):
        ids = text["two.input_ids"][item : item + 1, : mask.sum()]
        expected = text["two.last_hidden_state_with_mask"][item : item + 1, : mask.sum()]
        assert_same(encoder.text_states(ids, CancelToken()), expected)


@pytest.mark.parametrize("name", ALONE)
def test_condition_rows(pipelines: Pipelines, name: str) -> None:
    encoder = pipelines[variant_of(name)].encoder
    feeds = {
        "text_hidden_states": CONDITIONS[f"{name}.text"],
        "lyric_embeddings": CONDITIONS[f"{name}.lyric"],
        "timbre": encoder.timbre,
    }
    rows = encoder._condition.run(feeds, CancelToken())[0]
    assert_same(rows, CONDITIONS[f"{name}.out"])


@pytest.mark.parametrize(("variant", "prefix"), [("turbo", ""), ("xl", "xl.")])
def test_the_timbre_of_silence_is_kept(pipelines: Pipelines, variant: str, prefix: str) -> None:
    assert_same(pipelines[variant].encoder.timbre, CONDITIONS[f"{prefix}timbre.silence.out"])


def test_timbre_of_references(
    checkpoints: dict[str, Checkpoint],
    pipelines: Pipelines,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    path = tmp_path_factory.mktemp("timbre") / "timbre_encoder.onnx"
    with GraphWriter(path, {}) as graph:
        write_timbre_encoder(graph, checkpoints["turbo"])
    model = OnnxModel(path, SETTINGS)
    channels = CONDITIONS["multi.timbre"].shape[2]
    latents = draw("input/cond.ref.timbre", (1, checkpoints["turbo"].timbre_frames, channels))
    timbre = model.run({"latents": latents}, CancelToken())[0]
    feeds = {
        "text_hidden_states": CONDITIONS["ref.text"],
        "lyric_embeddings": CONDITIONS["ref.lyric"],
        "timbre": timbre,
    }
    rows = pipelines["turbo"].encoder._condition.run(feeds, CancelToken())[0]
    assert_same(rows, CONDITIONS["ref.out"])


@pytest.mark.parametrize("name", SINGLE_CALLS)
def test_one_call_of_the_transformer(pipelines: Pipelines, name: str) -> None:
    case, level = re.fullmatch(r"(.*)\.t([\d.]+)\.out", name).groups()  # type: ignore[union-attr]
    rows = CONDITIONS[f"{CONDITION_OF[case]}.out"]
    transformer = pipelines[variant_of(name)].transformer
    velocity = transformer.velocity(rows, CALLS[f"{case}.context"], CancelToken())
    assert_same(velocity(CALLS[f"{case}.x"], np.float32(level)), CALLS[name])


def test_calls_are_not_one_and_the_same() -> None:
    assert len(SINGLE_CALLS) >= 8
    assert {variant_of(name) for name in SINGLE_CALLS} == {"turbo", "xl"}


@pytest.mark.parametrize(
    "name", [name for name in REFERENCE["vae"] if re.fullmatch(r"decode\.\w+\.wav", name)]
)
def test_decoder(pipelines: Pipelines, name: str) -> None:
    latents = REFERENCE["vae"][name.replace(".wav", ".z")].transpose(0, 2, 1)
    for item, expected in enumerate(REFERENCE["vae"][name]):
        pieces = pipelines["turbo"].decoder.pieces(
            latents[item : item + 1], lambda share: None, CancelToken()
        )
        assert_same(np.concatenate(list(pieces), axis=1), expected)


@pytest.mark.parametrize(
    "name", [name for name in REFERENCE["vae"] if re.fullmatch(r"encode\.\w+\.mean", name)]
)
def test_encoder(pipelines: Pipelines, name: str) -> None:
    pipeline = pipelines["turbo"]
    encoder = SoundEncoder(pipeline.folder, pipeline.manifest.audio, SETTINGS)
    count = int(name.split(".")[1].removeprefix("L"))
    sound = np.float32(0.3) * draw(f"input/vae.w{count}", (1, 2, count))
    assert_same(encoder._model.run({"audio": sound}, CancelToken())[0], REFERENCE["vae"][name])


def test_the_encoder_reads_whole_frames(pipelines: Pipelines) -> None:
    pipeline = pipelines["turbo"]
    frame = pipeline.manifest.audio.samples_per_frame
    encoder = SoundEncoder(pipeline.folder, pipeline.manifest.audio, SETTINGS)
    sound = np.float32(2.0) * draw("input/loud", (2, 3 * frame))
    latents = encoder.latents(sound, lambda share: None, CancelToken())
    cut = encoder.latents(np.clip(sound, -1.0, 1.0), lambda share: None, CancelToken())
    np.testing.assert_array_equal(latents, cut)
    assert latents.shape[:2] == (1, 3)


@pytest.mark.parametrize(
    "name", [name for name in REFERENCE["tokens"] if re.fullmatch(r"(xl\.)?T\d+\.x", name)]
)
def test_there_and_back_through_the_tokens(pipelines: Pipelines, name: str) -> None:
    """Latents that fill no whole number of tokens are filled up with silence."""
    pipeline, latents = pipelines[variant_of(name)], REFERENCE["tokens"][name]
    frames = latents.shape[1]
    tokens = AudioTokens(pipeline.folder, SETTINGS)
    outline = tokens.outline(latents, pipeline.silence(frames), CancelToken())
    expected = REFERENCE["tokens"][name.replace(".x", ".detokenized")]
    assert_same(outline, expected[:, :frames])


def test_decoding_in_windows_is_decoding_in_one(pipelines: Pipelines) -> None:
    vae = REFERENCE["vae"]
    latents = vae["decode.long.z"].transpose(0, 2, 1)
    assert latents.shape[1] > 2 * pipelines["turbo"].manifest.audio.window_frames
    pieces = list(pipelines["turbo"].decoder.pieces(latents, lambda share: None, CancelToken()))
    assert len(pieces) > 2
    samples = np.concatenate(pieces, axis=1)
    assert_same(samples[:, ::499], vae["decode.long.full.stride499"])
    for centre, segment in zip(
        vae["decode.long.segment_centres"], vae["decode.long.full.segments"], strict=True
    ):
        half = segment.shape[1] // 2
        assert_same(samples[:, centre - half : centre + half], segment)
