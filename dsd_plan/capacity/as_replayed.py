"""The model as one replay corrects it: its numbers times observed / predicted, at every load."""

from __future__ import annotations

from dataclasses import fields, replace

from dsd_plan.domain.deployed import Deployed
from dsd_plan.domain.performance import DevicePerformance, Performance, Quantiles, WorkloadPerformance
from dsd_plan.optimize.choices.evaluate import Predict


def as_replayed(predict: Predict, predicted: Performance, replayed: Performance) -> Predict:
    """`predict` with each workload's latencies and share of requests in time, and each device's power, corrected.

    A number that one of the two does not know stays as the model tells it; so do all of them where the replay found no
    steady state.
    """
    if not replayed.steady:
        return predict
    workloads = {one.name: (one, replayed.workload(one.name)) for one in predicted.workloads}
    seen = {device.name: device for device in replayed.devices}
    devices = {one.name: (one, seen[one.name]) for one in predicted.devices if one.name in seen}

    def corrected(deployed: Deployed) -> Performance:
        found = predict(deployed)
        return replace(
            found,
            workloads=tuple(_workload(one, *workloads[one.name]) for one in found.workloads),
            devices=tuple(_device(one, *devices[one.name]) if one.name in devices else one for one in found.devices),
        )

    return corrected


def _workload(
    found: WorkloadPerformance, expected: WorkloadPerformance, seen: WorkloadPerformance
) -> WorkloadPerformance:
    share = _times(found.slo_attainment, expected.slo_attainment, seen.slo_attainment)
    return replace(
        found,
        ttft_ms=_quantiles(found.ttft_ms, expected.ttft_ms, seen.ttft_ms),
        tpot_ms=_quantiles(found.tpot_ms, expected.tpot_ms, seen.tpot_ms),
        itl_ms=_quantiles(found.itl_ms, expected.itl_ms, seen.itl_ms),
        e2e_ms=_quantiles(found.e2e_ms, expected.e2e_ms, seen.e2e_ms),
        slo_attainment=None if share is None else min(share, 1.0),
    )


def _quantiles(found: Quantiles, expected: Quantiles, seen: Quantiles) -> Quantiles:
    names = [field.name for field in fields(Quantiles)]
    values = {name: _times(getattr(found, name), getattr(expected, name), getattr(seen, name)) for name in names}
    return Quantiles(**values)


def _device(found: DevicePerformance, expected: DevicePerformance, seen: DevicePerformance) -> DevicePerformance:
    return replace(found, power_w=_times(found.power_w, expected.power_w, seen.power_w))


def _times(found: float | None, expected: float | None, seen: float | None) -> float | None:
    return found if found is None or not expected or seen is None else found * seen / expected
