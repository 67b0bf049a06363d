"""{{name}}: keeps the share of each droplet in one metric at a target.

The fleet grows at once, and shrinks by one droplet after fewer would have sufficed for `patience` consecutive ticks.
"""

import json
import math

from componentize_py_types import Err
from wit_world import exports
from wit_world.exports.policy import Decision, Outcome_Hold, Outcome_ScaleTo, ScaleTo, Signal
from wit_world.imports.types import Error_InvalidConfig, Manifest, Phase, Problem

SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "required": ["target_per_droplet"],
    "properties": {
        "metric": {
            "description": "The series to follow, a total over the fleet. Series with the same name are added up.",
            "type": "string",
            "minLength": 1,
            "default": "haproxy.sessions",
        },
        "target_per_droplet": {
            "description": "The share of one droplet, in the unit of the series.",
            "type": "number",
            "exclusiveMinimum": 0,
        },
        "patience": {
            "description": "Consecutive ticks for which fewer droplets must suffice before the fleet shrinks.",
            "type": "integer",
            "minimum": 1,
            "maximum": 1000,
            "default": 3,
        },
    },
}

ACTIVE = {Phase.REQUESTED, Phase.BOOTING, Phase.WARMING, Phase.SERVING}


class Policy(exports.Policy):
    def describe(self) -> Manifest:
        return Manifest(
            name="{{name}}",
            version="0.1.0",
            description="Keeps one metric at its share per droplet; grows at once and shrinks patiently.",
            config_schema=json.dumps(SCHEMA),
            metrics=[],
        )

    def validate(self, config: str) -> None:
        """Checks what the schema cannot express: these metrics are averages, which cannot be added up."""
        metric = json.loads(config).get("metric", "")
        if metric in ("haproxy.utilization", "haproxy.response_time_ms"):
            raise Err([Problem("/metric", f"{metric} is an average over the droplets; name a total")])

    def decide(self, config: str, observation, state: bytes) -> Decision:
        try:
            settings = json.loads(config)
            target = float(settings["target_per_droplet"])
        except (ValueError, KeyError) as error:
            raise Err(Error_InvalidConfig([Problem("", str(error))]))
        metric = settings.get("metric", "haproxy.sessions")
        patience = settings.get("patience", 3)

        series = [one for one in observation.metrics if one.name == metric]
        if any(one.stale for one in series):
            return hold(f"{metric} is stale, so the fleet is held", state)
        newest = [one.samples[-1].value for one in series if one.samples]
        total = 0.0
        for value in newest:
            total += value
        if not newest or math.isnan(total):
            return hold(f"{metric} is missing, so the fleet is held", state)

        least, most = observation.limits.min, max(observation.limits.min, observation.limits.max)
        size = sum(1 for droplet in observation.fleet if droplet.phase in ACTIVE)
        needed = round_up(total / target, least, most)
        signal = [Signal(metric, total, target * size, needed)] if math.isfinite(total) else []
        reason = f"{metric} is {rounded(total)} over a fleet of {size}: a fleet of {needed} suffices"
        if needed > size:
            return Decision(Outcome_ScaleTo(ScaleTo(needed, None, [])), reason, signal, b"1:0", None)
        if needed == size:
            return Decision(Outcome_Hold(), reason, signal, b"1:0", None)
        calm = calm_ticks(state) + 1
        if calm < patience:
            reason += f", for {calm} of {patience} ticks"
            return Decision(Outcome_Hold(), reason, signal, f"1:{calm}".encode(), None)
        return Decision(Outcome_ScaleTo(ScaleTo(min(size - 1, most), None, [])), reason, signal, b"1:0", None)


def hold(reason: str, state: bytes) -> Decision:
    return Decision(Outcome_Hold(), reason, [], state, None)


def round_up(share: float, least: int, most: int) -> int:
    """Rounds up, within the limits; the small difference compensates for division errors."""
    return math.ceil(min(max(share - 1e-9, least), most))


def rounded(value: float) -> int:
    """Rounds for display; extreme values are clamped."""
    return math.floor(min(max(value, -1e15), 1e15) + 0.5)


def calm_ticks(state: bytes) -> int:
    """Reads the state: `1:` and the number of ticks for which fewer droplets sufficed; any other state counts as 0."""
    digits = state[2:]
    if state[:2] != b"1:" or not 0 < len(digits) <= 4 or any(not 48 <= digit <= 57 for digit in digits):
        return 0
    return int(digits)
