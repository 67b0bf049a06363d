// {{name}}: a cloud-config that installs packages, and tells the droplet who it is.
//
// It writes `/etc/droplet.json` with the droplet's name, its number and what the policy gave along.

const SCHEMA = {
  type: "object",
  additionalProperties: false,
  properties: {
    packages: {
      description: "Packages to install.",
      type: "array",
      items: { type: "string", pattern: "^[a-z0-9][a-z0-9+.-]*$" },
      maxItems: 100,
      default: [],
    },
  },
};

// The export has the name of the interface. What is thrown is the error of the contract.
export const userData = {
  describe() {
    return {
      name: "{{name}}",
      version: "0.1.0",
      description: "A cloud-config that installs packages and tells the droplet who it is.",
      configSchema: JSON.stringify(SCHEMA),
      metrics: [],
    };
  },

  // What the schema cannot say: a package is installed once.
  validate(config) {
    const { packages = [] } = JSON.parse(config);
    const place = packages.findIndex((name, index) => packages.indexOf(name) < index);
    if (place >= 0) throw [{ path: `/packages/${place}`, message: `${packages[place]} is named twice` }];
  },

  generate(config, request) {
    const { packages = [] } = JSON.parse(config);
    const lines = ["#cloud-config", `hostname: ${quoted(request.hostname)}`];
    if (packages.length > 0) lines.push("packages:", ...packages.map((name) => `  - ${quoted(name)}`));
    const about = `{"hostname":${quoted(request.hostname)},"index":${request.index},"params":${request.params || "null"}}`;
    lines.push("write_files:", "  - path: /etc/droplet.json", `    content: ${quoted(about)}`);
    return lines.join("\n") + "\n";
  },
};

// JSON's quotes are YAML's too.
const quoted = (text) => JSON.stringify(text);
