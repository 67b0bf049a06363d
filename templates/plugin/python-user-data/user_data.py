"""{{name}}: a cloud-config that installs packages and writes a file with the droplet's identity.

The file is `/etc/droplet.json`; it contains the droplet's name, its index and the parameters from the policy.
"""

import json

from componentize_py_types import Err
from wit_world import exports
from wit_world.imports.types import Error_InvalidConfig, Manifest, Problem

SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "packages": {
            "description": "Packages to install.",
            "type": "array",
            "items": {"type": "string", "pattern": "^[a-z0-9][a-z0-9+.-]*$"},
            "maxItems": 100,
            "default": [],
        },
    },
}


class UserData(exports.UserData):
    def describe(self) -> Manifest:
        return Manifest(
            name="{{name}}",
            version="0.1.0",
            description="A cloud-config that installs packages and writes the droplet's identity.",
            config_schema=json.dumps(SCHEMA),
            metrics=[],
        )

    def validate(self, config: str) -> None:
        """Checks what the schema cannot express: each package is listed once."""
        packages = json.loads(config).get("packages", [])
        for place, package in enumerate(packages):
            if package in packages[:place]:
                raise Err([Problem(f"/packages/{place}", f"{package} is listed twice")])

    def generate(self, config: str, request) -> str:
        try:
            packages = json.loads(config).get("packages", [])
        except ValueError as error:
            raise Err(Error_InvalidConfig([Problem("", str(error))]))
        lines = ["#cloud-config", f"hostname: {quoted(request.hostname)}"]
        if packages:
            lines.append("packages:")
            lines.extend(f"  - {quoted(package)}" for package in packages)
        about = f'{{"hostname":{quoted(request.hostname)},"index":{request.index},"params":{request.params or "null"}}}'
        lines += ["write_files:", "  - path: /etc/droplet.json", f"    content: {quoted(about)}"]
        return "\n".join(lines) + "\n"


def quoted(text: str) -> str:
    """Quotes a text: a JSON string is a YAML string."""
    return json.dumps(text, ensure_ascii=False)
