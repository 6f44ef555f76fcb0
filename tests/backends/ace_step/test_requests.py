"""What a request means to a bundle, and what it is expected to cost."""

from __future__ import annotations

import pytest

from lofi_daemon.backends.ace_step.backend import ConfiguredDefaults
from lofi_daemon.backends.ace_step.bundle import Defaults, Manifest, RelativeCost
from lofi_daemon.backends.ace_step.requests import expected_seconds, guidance_of, resolve
from lofi_daemon.backends.protocol import GenerationRequest, Phase
from lofi_daemon.errors import InvalidParams

OPEN = GenerationRequest("rain", 30.0, 1)
WITH_ERG = Manifest(erg=True)


def test_an_open_request_gets_the_manifests_defaults() -> None:
    request = resolve(OPEN, Manifest())
    assert (request.inference_steps, request.scheduler) == (60, "euler")
    assert (request.guidance_scale, request.cfg_type, request.erg) == (15.0, "apg", False)


def test_the_configuration_goes_before_the_manifest_and_the_request_before_both() -> None:
    configured = ConfiguredDefaults(inference_steps=27, guidance_scale=7.0)
    defaults = configured.over(Defaults(scheduler="heun"))
    request = resolve(GenerationRequest("rain", 30.0, 1, guidance_scale=1.0), Manifest(), defaults)
    assert (request.inference_steps, request.scheduler) == (27, "heun")
    assert request.guidance_scale == 1.0


def test_erg_is_on_where_the_files_can_do_it_unless_asked_not_to() -> None:
    assert resolve(OPEN, WITH_ERG).erg is True
    assert resolve(GenerationRequest("rain", 30.0, 1, erg=False), WITH_ERG).erg is False


def test_erg_asked_of_files_that_cannot_do_it_is_refused() -> None:
    with pytest.raises(InvalidParams, match="erg"):
        resolve(GenerationRequest("rain", 30.0, 1, erg=True), Manifest())


def test_guidance_takes_its_interval_from_the_manifest() -> None:
    manifest = Manifest(defaults=Defaults(guidance_interval=1.0))
    assert guidance_of(resolve(OPEN, manifest), manifest).interval == 1.0


def test_cost_counts_model_calls_and_frames() -> None:
    cost = RelativeCost(loading=9.0, encoding=1.0, model_call=0.1, dcae=0.2, vocoder=0.3)
    manifest = Manifest(relative_cost=cost)
    seconds = expected_seconds(resolve(OPEN, manifest), manifest, loaded=True)
    assert Phase.LOADING not in seconds
    assert seconds[Phase.DIFFUSING] == pytest.approx(90 * 323 * 0.1)
    assert seconds[Phase.DECODING] == pytest.approx(323 * (0.2 + 2 * 0.3))
    assert expected_seconds(resolve(OPEN, manifest), manifest, loaded=False)[Phase.LOADING] == 9.0
