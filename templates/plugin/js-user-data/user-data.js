// {{name}}: a cloud-config that installs packages and writes a file with the droplet's identity.
//
// The file is `/etc/droplet.json`; it contains the droplet's name, its index and the parameters from the policy.

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

// The export has the name of the interface. A thrown value is the error of the contract.
export const userData = {
  describe() {
    return {
      name: "{{name}}",
      version: "0.1.0",
      description: "A cloud-config that installs packages and writes the droplet's identity.",
      configSchema: JSON.stringify(SCHEMA),
      metrics: [],
    };
  },

  // Checks what the schema cannot express: each package is listed once.
  validate(config) {
    const { packages = [] } = JSON.parse(config);
    const place = packages.findIndex((name, index) => packages.indexOf(name) < index);
    if (place >= 0) throw [{ path: `/packages/${place}`, message: `${packages[place]} is listed twice` }];
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

// Quotes a text: a JSON string is a YAML string.
const quoted = (text) => JSON.stringify(text);
