"""The protocol's side: what is there, what it takes, and which form of the files runs."""

from __future__ import annotations

import json
import os
import shutil
import weakref
from pathlib import Path

import numpy as np
import onnx
import pytest

from lofi_daemon.backends.kit.diffusion_options import DiffusionOptions
from lofi_daemon.backends.musicgen.backend import MusicGenBackend, musicgen_backend
from lofi_daemon.backends.protocol import GenerationRequest, Phase, PhaseProgress
from lofi_daemon.backends.registry import Registry
from lofi_daemon.cancellation import Cancelled, CancelToken
from lofi_daemon.config import DeviceName, Settings
from lofi_daemon.errors import InvalidDuration, InvalidParams, ModelLoadFailed, ModelNotFound
from tests import tiny_musicgen

REQUEST = GenerationRequest("lofi piano", 5.0, seed=3)


def backend(folder: Path, device: DeviceName = "cpu") -> MusicGenBackend:
    variables = {"LOFI_MUSICGEN_MODEL_PATH": str(folder)}
    return musicgen_backend(Settings(backend_variables=variables, threads=1, device=device))


def loaded(folder: Path) -> MusicGenBackend:
    made = backend(folder)
    made.load(CancelToken(), lambda progress: None)
    return made


def sound(made: MusicGenBackend) -> np.ndarray:
    clip = made.generate(REQUEST, on_progress=lambda progress: None, cancel=CancelToken())
    return clip.samples


@pytest.fixture
def published(tmp_path: Path) -> Path:
    folder = tmp_path / "musicgen"
    shutil.copytree(tiny_musicgen.published_folder(), folder)
    return folder


def to_half_precision(folder: Path) -> None:
    """Every weight as fp16, as in the published small_fp16 folder."""
    for path in folder.glob("*.onnx"):
        model = onnx.load(path)
        for value in (*model.graph.input, *model.graph.output, *model.graph.value_info):
            if value.type.tensor_type.elem_type == onnx.TensorProto.FLOAT:
                value.type.tensor_type.elem_type = onnx.TensorProto.FLOAT16
        for tensor in model.graph.initializer:
            _halve(tensor)
        for node in model.graph.node:
            for attribute in node.attribute:
                if attribute.type == onnx.AttributeProto.TENSOR:
                    _halve(attribute.t)
                elif node.op_type == "Cast" and attribute.i == onnx.TensorProto.FLOAT:
                    attribute.i = onnx.TensorProto.FLOAT16
        onnx.save(model, path)


def _halve(tensor: onnx.TensorProto) -> None:
    if tensor.data_type == onnx.TensorProto.FLOAT:
        array = np.clip(onnx.numpy_helper.to_array(tensor), -6e4, 6e4).astype(np.float16)
        tensor.CopyFrom(onnx.numpy_helper.from_array(array, tensor.name))


def test_nothing_there_is_not_installed(tmp_path: Path) -> None:
    assert not backend(tmp_path / "nowhere").availability().installed
    assert not backend(tmp_path).availability().installed
    with pytest.raises(ModelNotFound, match="MusicGen is not in"):
        backend(tmp_path).load(CancelToken(), lambda progress: None)


def test_a_missing_file_is_named(published: Path) -> None:
    (published / "decoder_model.onnx").unlink()
    available = backend(published).availability()
    assert available.installed
    assert available.error is not None
    assert "decoder_model.onnx is missing" in available.error
    with pytest.raises(ModelLoadFailed, match=r"decoder_model\.onnx"):
        backend(published).load(CancelToken(), lambda progress: None)


def test_a_truncated_native_file_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "native"
    shutil.copytree(tiny_musicgen.native_folder(), folder)
    with (folder / "decoder.bin").open("r+b") as file:
        file.truncate(1000)
    error = backend(folder).availability().error
    assert error is not None
    assert "decoder.bin is 1000 bytes long instead of" in error


def test_a_broken_config_is_named(published: Path) -> None:
    (published / "config.json").write_text('{"decoder": {"hidden_size": "wide"}}')
    error = backend(published).availability().error
    assert error is not None
    assert "config.json is broken at decoder.hidden_size" in error


def test_durations_outside_the_range_are_refused(tmp_path: Path) -> None:
    for seconds in (4.99, 120.5):
        with pytest.raises(InvalidDuration) as caught:
            backend(tmp_path).resolve(GenerationRequest("x", seconds, 1))
        assert caught.value.data == {"min": 5.0, "max": 120.0}


def test_parameters_of_the_diffusion_models_are_refused_by_name(tmp_path: Path) -> None:
    request = GenerationRequest(
        "x", 30.0, 1, options=DiffusionOptions(inference_steps=20, erg=False)
    )
    with pytest.raises(InvalidParams, match="inference_steps, erg"):
        backend(tmp_path).resolve(request)


def test_the_workload_is_mostly_tokens_and_longer_tracks_cost_more() -> None:
    made = backend(tiny_musicgen.native_folder())
    short = made.workload(GenerationRequest("x", 30.0, 1))
    long = made.workload(GenerationRequest("x", 60.0, 1))
    assert Phase.LOADING in short
    assert long[Phase.DECODING_TOKENS] > 2.0 * short[Phase.DECODING_TOKENS]


def test_published_fp32_files_become_one_native_fp32_graph(published: Path) -> None:
    version = backend(published).availability().model_version
    made = loaded(published)
    assert version == made.availability().model_version == "2x64-native-fp32"
    expected = sound(loaded(tiny_musicgen.native_folder()))
    actual = sound(made)
    assert np.linalg.norm(actual - expected) / np.linalg.norm(expected) < 1e-3


def test_graphs_of_an_older_operator_set_are_recognised(tmp_path: Path) -> None:
    """Optimum's default: layer norms spelt out in nine operators."""
    folder = tmp_path / "musicgen"
    shutil.copytree(tiny_musicgen.published_folder(opset=14), folder)
    graph = onnx.load(folder / "decoder_with_past_model.onnx").graph
    assert not any(node.op_type == "LayerNormalization" for node in graph.node)
    assert loaded(folder).availability().model_version == "2x64-native-fp32"
    assert (folder / "native-fp32" / "decoder.onnx").is_file()


def test_published_fp16_files_become_int8(published: Path) -> None:
    to_half_precision(published)
    made = loaded(published)
    assert made.availability().model_version == "2x64-native-int8"
    manifest = json.loads((published / "native-int8" / "manifest.json").read_text())
    assert manifest["precision"] == "int8"
    assert np.abs(sound(made)).max() == pytest.approx(0.89, abs=0.01)


def test_the_native_form_is_made_once(published: Path) -> None:
    loaded(published)
    first = (published / "native-fp32" / "decoder.bin").stat().st_mtime_ns
    loaded(published)
    assert (published / "native-fp32" / "decoder.bin").stat().st_mtime_ns == first
    with (published / "decoder_model.onnx").open("ab") as file:
        file.write(b"\x72\x00")  # an empty doc string: the same graph in a file of another size
    loaded(published)
    assert (published / "native-fp32" / "decoder.bin").stat().st_mtime_ns != first


def test_cancelling_while_the_native_form_is_made_leaves_nothing(published: Path) -> None:
    cancel = CancelToken()

    def watch(progress: PhaseProgress) -> None:
        assert progress.phase is Phase.PREPARING
        cancel.cancel()

    with pytest.raises(Cancelled):
        backend(published).load(cancel, watch)
    assert not [*published.glob("native-*"), *published.glob(".native-*")]


def make_unrecognisable(folder: Path) -> None:
    """A layer norm whose weight is computed."""
    path = folder / "decoder_with_past_model.onnx"
    model = onnx.load(path)
    norm = next(node for node in model.graph.node if node.op_type == "LayerNormalization")
    computed = onnx.helper.make_node("Abs", [norm.input[1]], ["computed"])
    norm.input[1] = "computed"
    model.graph.node.insert(0, computed)
    onnx.save(model, path)


def test_a_graph_that_is_not_recognised_runs_as_it_is(
    published: Path, caplog: pytest.LogCaptureFixture
) -> None:
    make_unrecognisable(published)
    made = loaded(published)
    assert "is run as it is: the weight computed is computed" in caplog.text
    assert made.availability().model_version == "2x64-published"
    assert sound(made).shape == (1, 160000)
    (refused,) = published.glob("native-*")
    assert [path.name for path in refused.iterdir()] == ["manifest.json"]
    document = json.loads((refused / "manifest.json").read_text())
    assert document["refused"]["reason"] == "the weight computed is computed"
    assert backend(published).availability().model_version == "2x64-published"
    caplog.clear()
    loaded(published)
    assert caplog.text == "", "it is not tried again"


def test_a_refusal_ends_with_the_files_that_were_refused(published: Path) -> None:
    whole = (published / "decoder_with_past_model.onnx").read_bytes()
    make_unrecognisable(published)
    loaded(published)
    (published / "decoder_with_past_model.onnx").write_bytes(whole)
    assert backend(published).availability().model_version == "2x64-native-fp32"
    assert loaded(published).availability().model_version == "2x64-native-fp32"
    assert [path.name for path in published.glob("native-*")] == ["native-fp32"]


def test_a_refusal_ends_with_files_of_the_same_size(published: Path) -> None:
    make_unrecognisable(published)
    loaded(published)
    path = published / "decoder_with_past_model.onnx"
    os.utime(path, ns=(0, path.stat().st_mtime_ns + 1))
    assert backend(published).availability().model_version == "2x64-native-fp32"


@pytest.mark.parametrize("broken", ["no JSON\n", '{"refused": {"reason": "that"}}'])
def test_a_refusal_that_says_too_little_is_tried_again(published: Path, broken: str) -> None:
    (published / "native-fp32").mkdir()
    (published / "native-fp32" / "manifest.json").write_text(broken)
    assert backend(published).availability().model_version == "2x64-native-fp32"


def test_a_refusal_ends_with_the_version_that_refused(
    published: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_unrecognisable(published)
    loaded(published)
    monkeypatch.setattr("lofi_daemon.models.making.__version__", "99")
    assert backend(published).availability().model_version == "2x64-native-fp32"


def test_a_native_form_that_computes_something_else_is_not_used(
    published: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A factor that nothing in MusicGen has, where reading the weights does not notice it."""
    path = published / "decoder_with_past_model.onnx"
    model = onnx.load(path)
    weights = {tensor.name for tensor in model.graph.initializer}
    index, node = next(
        (i, node)
        for i, node in enumerate(model.graph.node)
        if node.op_type == "MatMul" and node.input[1] in weights
    )
    scaled = onnx.helper.make_node("Mul", ["unscaled", "factor"], [node.output[0]])
    node.output[0] = "unscaled"
    model.graph.initializer.append(
        onnx.helper.make_tensor("factor", onnx.TensorProto.FLOAT, [], [1.5])
    )
    model.graph.node.insert(index + 1, scaled)
    onnx.save(model, path)
    made = loaded(published)
    assert "the native form's logits differ" in caplog.text
    assert made.availability().model_version == "2x64-published"


def test_a_folder_that_cannot_be_written_is_run_as_it_is(
    published: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(self: Path, *arguments: object, **options: object) -> None:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "mkdir", refuse)
    made = loaded(published)
    monkeypatch.undo()
    assert "cannot be written" in caplog.text
    assert made.availability().model_version == "2x64-published"


def test_a_device_named_other_than_the_processor_gets_the_published_form(published: Path) -> None:
    assert backend(published, "cuda").availability().model_version == "2x64-published"
    assert backend(published, "auto").availability().model_version == "2x64-native-fp32"
    error = backend(tiny_musicgen.native_folder(), "cuda").availability().error
    assert error is not None
    assert "LOFI_DEVICE=cuda cannot run" in error


def test_models_take_turns_and_only_one_is_in_memory() -> None:
    folders = {
        "mono": tiny_musicgen.native_folder(),
        "stereo": tiny_musicgen.native_folder(channels=2),
    }
    registry = Registry(
        Settings(), {name: lambda _, at=folder: backend(at) for name, folder in folders.items()}
    )
    first: dict[str, np.ndarray] = {}
    for name in ("mono", "stereo", "mono", "stereo"):
        made = registry.get(name)
        registry.unload_others(made)
        made.load(CancelToken(), lambda progress: None)
        kept = [each for each in registry if each.availability().device is not None]
        assert kept == [made]
        np.testing.assert_array_equal(sound(made), first.setdefault(name, sound(made)))
    assert first["mono"].shape[0] == 1
    assert first["stereo"].shape[0] == 2


def test_unloading_lets_go_of_the_model() -> None:
    made = loaded(tiny_musicgen.native_folder())
    pipeline = weakref.ref(made._pipeline)
    decoder = weakref.ref(made._pipeline.decoder)
    made.unload()
    assert pipeline() is None
    assert decoder() is None
    with pytest.raises(AssertionError, match="load comes before generate"):
        sound(made)
