"""What a request means to a bundle, and what it is expected to cost."""

from __future__ import annotations

import pytest

from lofi_daemon.backends.kit.diffusion_options import DiffusionOptions
from lofi_daemon.backends.kit.mel_diffusion.backend import ConfiguredDefaults
from lofi_daemon.backends.kit.mel_diffusion.bundle import Defaults, Manifest, RelativeCost
from lofi_daemon.backends.kit.mel_diffusion.requests import Resolver, diffusion_of, expected_seconds
from lofi_daemon.backends.protocol import GenerationRequest, Phase
from lofi_daemon.errors import InvalidParams

OPEN = GenerationRequest("rain", 30.0, 1)
WITH_ERG = Manifest(erg=True)


def asking(**options: object) -> GenerationRequest:
    return GenerationRequest("rain", 30.0, 1, DiffusionOptions(**options))


def resolve(request: GenerationRequest, manifest: Manifest) -> GenerationRequest:
    return Resolver(manifest).resolve(request)


def test_an_open_request_gets_the_manifests_defaults() -> None:
    assert resolve(OPEN, Manifest()).options == DiffusionOptions(
        inference_steps=25, scheduler="adams", guidance_scale=15.0, cfg_type="apg", erg=False
    )


def test_the_configuration_goes_before_the_manifest_and_the_request_before_both() -> None:
    configured = ConfiguredDefaults(inference_steps=27, guidance_scale=7.0)
    defaults = configured.over(Manifest(defaults=Defaults(scheduler="heun")))
    diffusion = diffusion_of(asking(guidance_scale=1.0), Manifest(), defaults)
    assert (diffusion.steps, diffusion.scheduler) == (27, "heun")
    assert diffusion.guidance.scale == 1.0


def test_erg_is_on_where_the_files_can_do_it_unless_asked_not_to() -> None:
    assert diffusion_of(OPEN, WITH_ERG).erg is True
    assert diffusion_of(asking(erg=False), WITH_ERG).erg is False


def test_erg_asked_of_files_that_cannot_do_it_is_refused() -> None:
    with pytest.raises(InvalidParams, match="erg"):
        resolve(asking(erg=True), Manifest())


def test_what_is_resolved_stays_what_it_is() -> None:
    resolved = resolve(asking(inference_steps=3, scheduler="heun"), WITH_ERG)
    assert resolve(resolved, Manifest(erg=True, defaults=Defaults(cfg_type="cfg"))) == resolved


def test_guidance_takes_its_interval_from_the_manifest() -> None:
    manifest = Manifest(defaults=Defaults(guidance_interval=1.0))
    assert diffusion_of(OPEN, manifest).guidance.interval == 1.0


def test_cost_counts_model_calls_and_frames() -> None:
    cost = RelativeCost(loading=9.0, encoding=1.0, model_call=0.1, dcae=0.2, vocoder=0.3)
    manifest = Manifest(relative_cost=cost)
    seconds = expected_seconds(resolve(OPEN, manifest), manifest)
    assert seconds[Phase.DIFFUSING] == pytest.approx(25 * 323 * 0.1)
    euler = expected_seconds(asking(quality="reference"), manifest)
    assert euler[Phase.DIFFUSING] == pytest.approx(90 * 323 * 0.1)
    assert seconds[Phase.DECODING] == pytest.approx(323 * (0.2 + 2 * 0.3))


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, ("adams", 25)),
        ({"quality": "fast"}, ("adams", 16)),
        ({"quality": "normal"}, ("adams", 25)),
        ({"quality": "reference"}, ("euler", 60)),
        ({"inference_steps": 30}, ("adams", 30)),
        ({"scheduler": "euler"}, ("euler", 60)),
        ({"scheduler": "heun"}, ("heun", 60)),
        ({"quality": "fast", "inference_steps": 12}, ("adams", 12)),
        ({"quality": "fast", "scheduler": "euler"}, ("euler", 60)),
        ({"quality": "reference", "scheduler": "adams"}, ("adams", 25)),
        ({"quality": "reference", "inference_steps": 27}, ("euler", 27)),
    ],
)
def test_what_is_given_goes_before_the_quality(
    options: dict[str, object], expected: tuple[str, int]
) -> None:
    diffusion = diffusion_of(asking(**options), Manifest())
    assert (diffusion.scheduler, diffusion.steps) == expected


def test_a_quality_and_what_it_means_are_one_request() -> None:
    said = asking(scheduler="euler", inference_steps=60)
    assert resolve(asking(quality="reference"), Manifest()) == resolve(said, Manifest())


def test_a_configured_solver_gets_steps_of_its_kind() -> None:
    euler = ConfiguredDefaults(scheduler="euler").over(Manifest())
    assert (euler.scheduler, euler.inference_steps) == ("euler", 60)


def test_requests_in_a_row_are_filled_in_each_as_alone() -> None:
    row = [
        OPEN,
        OPEN,
        asking(variation=0.5),
        asking(variation=0.0, variation_seed=9),
        asking(scheduler="heun"),
        OPEN,
    ]
    together = Resolver(WITH_ERG)
    assert [together.resolve(each) for each in row] == [resolve(each, WITH_ERG) for each in row]
    assert together.resolve(row[2]).options.given["variation_seed"] == 2
