"""Named devices are used or refused; auto falls back, and says so once."""

from __future__ import annotations

import logging
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType, SimpleNamespace

import onnxruntime as ort
import pytest

from lofi_daemon.errors import ModelLoadFailed
from lofi_daemon.onnx import devices
from lofi_daemon.onnx.devices import CPU, choose_device, device_in_use
from lofi_daemon.onnx.session import OnnxModel, SessionSettings
from tests.onnx.graphs import half_precision_sum

CUDA = "CUDAExecutionProvider"


def test_auto_takes_the_processor_where_there_is_nothing_else() -> None:
    assert choose_device("auto", [CPU]).device == "cpu"


def test_auto_takes_the_graphics_card() -> None:
    choice = choose_device("auto", [CUDA, CPU])
    assert (choice.device, [name for name, _ in choice.providers]) == ("cuda", [CUDA, CPU])


@pytest.mark.parametrize("name", ["cuda", "metal", "directml", "webgpu"])
def test_what_is_not_there_is_refused_with_what_to_do(name: str) -> None:
    with pytest.raises(ModelLoadFailed) as failure:
        choose_device(name, [CPU])
    assert f"LOFI_DEVICE={name}" in failure.value.message
    assert "cpu" in failure.value.hint


def test_auto_falls_back_with_one_warning(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(devices, "_warned", set())
    choice = choose_device("auto", [CUDA, CPU])
    with caplog.at_level(logging.WARNING):
        assert [device_in_use(choice, [CPU]) for _ in range(3)] == ["cpu"] * 3
    assert len(caplog.records) == 1


def test_a_named_device_does_not_fall_back() -> None:
    with pytest.raises(ModelLoadFailed, match="cannot use"):
        device_in_use(choose_device("cuda", [CUDA, CPU]), [CPU])


@pytest.fixture
def plug_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    """A plug-in package that is installed, and whose library cannot be loaded."""
    module = ModuleType("onnxruntime_ep_webgpu")
    module.__spec__ = ModuleSpec(module.__name__, None)
    library = tmp_path / "plug_in.so"
    library.write_bytes(b"not a library")
    module.get_library_path = lambda: str(library)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    devices.plug_in_devices.cache_clear()
    return module


def test_a_plug_in_that_cannot_be_loaded_says_what_it_needs(plug_in: ModuleType) -> None:
    with pytest.raises(ModelLoadFailed, match=plug_in.__name__) as failure:
        choose_device("webgpu", [CPU])
    assert "libvulkan" in failure.value.hint


def test_the_devices_of_a_plug_in_make_the_session(
    plug_in: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    registered: list[tuple[str, str]] = []
    there = [SimpleNamespace(ep_name="WebGpuExecutionProvider"), SimpleNamespace(ep_name=CPU)]
    monkeypatch.setattr(
        ort, "register_execution_provider_library", lambda *names: registered.append(names)
    )
    monkeypatch.setattr(ort, "get_ep_devices", lambda: there)
    for _ in range(2):
        choice = choose_device("webgpu", [CPU])
        assert (choice.device, choice.plug_in_devices) == ("webgpu", (there[0],))
    assert registered == [(plug_in.__name__, plug_in.get_library_path())]
    devices.plug_in_devices.cache_clear()
    there.pop(0)
    with pytest.raises(ModelLoadFailed, match="finds no device"):
        choose_device("webgpu", [CPU])
    devices.plug_in_devices.cache_clear()


def test_a_session_says_what_it_runs_on(tmp_path: Path) -> None:
    model = OnnxModel(half_precision_sum(tmp_path / "sum.onnx"), SessionSettings(device="auto"))
    assert model.device == "cpu"
    with pytest.raises(ModelLoadFailed, match="LOFI_DEVICE=directml"):
        OnnxModel(model.path, SessionSettings(device="directml"))
