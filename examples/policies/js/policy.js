// per-droplet: keeps the share of each droplet in one metric at a target.
//
// The fleet grows at once, and shrinks by one droplet after fewer would have sufficed for `patience` consecutive ticks.

const SCHEMA = {
  type: "object",
  additionalProperties: false,
  required: ["target_per_droplet"],
  properties: {
    metric: {
      description: "The series to follow, a total over the fleet. Series with the same name are added up.",
      type: "string",
      minLength: 1,
      default: "haproxy.sessions",
    },
    target_per_droplet: {
      description: "The share of one droplet, in the unit of the series.",
      type: "number",
      exclusiveMinimum: 0,
    },
    patience: {
      description: "Consecutive ticks for which fewer droplets must suffice before the fleet shrinks.",
      type: "integer",
      minimum: 1,
      maximum: 1000,
      default: 3,
    },
  },
};

const AVERAGES = ["haproxy.utilization", "haproxy.response_time_ms"];
const ACTIVE = ["requested", "booting", "warming", "serving"];

// The export has the name of the interface. A thrown value is the error of the contract.
export const policy = {
  describe() {
    return {
      name: "per-droplet",
      version: "0.1.0",
      description: "Keeps one metric at its share per droplet; grows at once and shrinks patiently.",
      configSchema: JSON.stringify(SCHEMA),
      metrics: [],
    };
  },

  // Checks what the schema cannot express: these metrics are averages, which cannot be added up.
  validate(config) {
    const { metric } = JSON.parse(config);
    if (AVERAGES.includes(metric)) {
      throw [{ path: "/metric", message: `${metric} is an average over the droplets; name a total` }];
    }
  },

  decide(config, observation, state) {
    const { metric = "haproxy.sessions", target_per_droplet: target, patience = 3 } = JSON.parse(config);
    const series = observation.metrics.filter((one) => one.name === metric);
    if (series.some((one) => one.stale)) return hold(`${metric} is stale, so the fleet is held`, state);
    const newest = series.filter((one) => one.samples.length > 0).map((one) => one.samples.at(-1).value);
    const total = newest.reduce((sum, value) => sum + value, 0);
    if (newest.length === 0 || Number.isNaN(total)) return hold(`${metric} is missing, so the fleet is held`, state);

    const least = observation.limits.min;
    const most = Math.max(least, observation.limits.max);
    const size = observation.fleet.filter((droplet) => ACTIVE.includes(droplet.phase)).length;
    const needed = roundUp(total / target, least, most);
    const signals = Number.isFinite(total) ? [{ name: metric, value: total, target: target * size, wants: needed }] : [];
    const reason = `${metric} is ${rounded(total)} over a fleet of ${size}: a fleet of ${needed} suffices`;
    if (needed > size) return { outcome: scaleTo(needed), reason, signals, state: text("1:0") };
    if (needed === size) return { outcome: { tag: "hold" }, reason, signals, state: text("1:0") };
    const calm = calmTicks(state) + 1;
    if (calm < patience) {
      const waiting = `${reason}, for ${calm} of ${patience} ticks`;
      return { outcome: { tag: "hold" }, reason: waiting, signals, state: text(`1:${calm}`) };
    }
    return { outcome: scaleTo(Math.min(size - 1, most)), reason, signals, state: text("1:0") };
  },
};

const hold = (reason, state) => ({ outcome: { tag: "hold" }, reason, signals: [], state });
const scaleTo = (count) => ({ tag: "scale-to", val: { count, deleteFirst: [] } });
const text = (string) => new TextEncoder().encode(string);

// Rounds up, within the limits; the small difference compensates for division errors.
const roundUp = (share, least, most) => Math.ceil(Math.min(Math.max(share - 1e-9, least), most));

// Rounds for display; extreme values are clamped.
const rounded = (value) => Math.floor(Math.min(Math.max(value, -1e15), 1e15) + 0.5);

// Reads the state: `1:` and the number of ticks for which fewer droplets sufficed; any other state counts as 0.
function calmTicks(state) {
  const found = /^1:(\d{1,4})$/.exec(String.fromCharCode(...state.slice(0, 8)));
  return found && state.length <= 6 ? Number(found[1]) : 0;
}
