// per-droplet: so many droplets that each carries its share of one metric.
//
// It grows at once, and shrinks by one droplet when fewer would have done for `patience` ticks in a row.

const SCHEMA = {
  type: "object",
  additionalProperties: false,
  required: ["target_per_droplet"],
  properties: {
    metric: {
      description: "The series to follow, a total over the fleet. Several of one name are added up.",
      type: "string",
      minLength: 1,
      default: "haproxy.sessions",
    },
    target_per_droplet: {
      description: "What one droplet should carry, in the unit of the series.",
      type: "number",
      exclusiveMinimum: 0,
    },
    patience: {
      description: "The fleet shrinks when fewer droplets would have done for so many ticks in a row.",
      type: "integer",
      minimum: 1,
      maximum: 1000,
      default: 3,
    },
  },
};

const AVERAGES = ["haproxy.utilization", "haproxy.response_time_ms"];
const UP = ["requested", "booting", "warming", "serving"];

// The export has the name of the interface. What is thrown is the error of the contract.
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

  // What the schema cannot say: these are averages, which do not add up.
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
    if (newest.length === 0 || Number.isNaN(total)) return hold(`${metric} is not there, so the fleet is held`, state);

    const least = observation.limits.min;
    const most = Math.max(least, observation.limits.max);
    const size = observation.fleet.filter((droplet) => UP.includes(droplet.phase)).length;
    const needed = whole(total / target, least, most);
    const signals = Number.isFinite(total) ? [{ name: metric, value: total, target: target * size, wants: needed }] : [];
    const reason = `${metric} is ${rounded(total)} over a fleet of ${size}: a fleet of ${needed} would do`;
    if (needed > size) return { outcome: scaleTo(needed), reason, signals, state: text("1:0") };
    if (needed === size) return { outcome: { tag: "hold" }, reason, signals, state: text("1:0") };
    const calm = calmTicks(state) + 1;
    if (calm < patience) {
      const waits = `${reason}, and has for ${calm} of ${patience} ticks`;
      return { outcome: { tag: "hold" }, reason: waits, signals, state: text(`1:${calm}`) };
    }
    return { outcome: scaleTo(Math.min(size - 1, most)), reason, signals, state: text("1:0") };
  },
};

const hold = (reason, state) => ({ outcome: { tag: "hold" }, reason, signals: [], state });
const scaleTo = (count) => ({ tag: "scale-to", val: { count, deleteFirst: [] } });
const text = (string) => new TextEncoder().encode(string);

// The next whole number; the small difference is what a division may be off by.
const whole = (share, least, most) => Math.ceil(Math.min(Math.max(share - 1e-9, least), most));

// For people; what is beyond all measure is cut.
const rounded = (value) => Math.floor(Math.min(Math.max(value, -1e15), 1e15) + 0.5);

// The state is `1:` and how many ticks fewer droplets would have done; what is not written so is forgotten.
function calmTicks(state) {
  const found = /^1:(\d{1,4})$/.exec(String.fromCharCode(...state.slice(0, 8)));
  return found && state.length <= 6 ? Number(found[1]) : 0;
}
