//! The JSON Schema of `doproxy.yml`, derived from its structs, and the schemas of values with a format of their own.

use std::borrow::Cow;

use schemars::generate::SchemaSettings;
use schemars::transform::RecursiveTransform;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Value, json};

use crate::file::File;
use crate::values::{HostnamePrefix, Loopback, Span, Text};

/// The name of the schema file that `doproxy init` writes next to `doproxy.yml`.
pub const SCHEMA_FILE: &str = "doproxy.schema.json";

/// Returns the JSON Schema (draft 2020-12) of `doproxy.yml`.
pub fn schema() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        // Editors show the description of a key, not that of a shared definition.
        settings.inline_subschemas = true;
        settings.transforms.push(Box::new(RecursiveTransform(remove_noise)));
    });
    let mut described = json!({
        "$schema": settings.meta_schema,
        "title": "doproxy.yml",
        "description": "Configuration of a doproxy fleet.",
    });
    let mut schema = settings.into_generator().into_root_schema_for::<File>().to_value();
    if let (Some(described), Some(schema)) = (described.as_object_mut(), schema.as_object_mut()) {
        for key in described.keys() {
            schema.remove(key);
        }
        described.append(schema);
    }
    described
}

/// Removes `default: null`, which states only that a key is optional, and the formats of Rust's integers.
fn remove_noise(schema: &mut Schema) {
    if schema.get("default").is_some_and(Value::is_null) {
        schema.remove("default");
    }
    schema.remove("format");
    if let Some(Value::String(text)) = schema.get_mut("description") {
        *text = text.replace('\n', " ");
    }
}

/// Requires exactly one kind of metric source.
pub(crate) fn exactly_one_kind(schema: &mut Schema) {
    let kinds = ["prometheus", "http", "command", "digitalocean"].map(|kind| json_schema!({ "required": [kind] }));
    schema.insert("oneOf".to_owned(), kinds.into_iter().map(Schema::to_value).collect());
}

/// Returns the schema of a non-empty text.
pub(crate) fn text(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "minLength": 1 })
}

/// Returns the schema of a fleet name.
pub(crate) fn fleet_name(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": ["string", "null"], "pattern": "^[A-Za-z0-9_-]{1,64}$" })
}

/// Returns the schema of a list of tags.
pub(crate) fn tags(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "array", "items": { "type": "string", "pattern": "^[A-Za-z0-9_:-]{1,255}$" } })
}

/// Returns the schema of the API's base URL.
pub(crate) fn api_url(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "title": "URL", "type": "string", "pattern": "^\\s*[Hh][Tt][Tt][Pp][Ss]?:" })
}

/// Returns the schema of a plugin reference.
pub(crate) fn plugin_reference(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "title": "plugin reference", "type": "string", "pattern": "^(builtin:|file:|oci://)." })
}

/// Returns the schema of a policy's mode.
pub(crate) fn mode(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "enum": ["active", "shadow"] })
}

/// Returns the schema of the termination policy.
pub(crate) fn termination_policy(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "enum": ["billed_first", "least_sessions", "newest", "oldest"] })
}

/// Returns the schema of the account that HAProxy runs as.
pub(crate) fn run_as(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "title": "`inherit`, or `user`, `group` and `chroot`",
        "anyOf": [
            {
                "type": "object",
                "properties": {
                    "user": { "type": "string", "description": "User name." },
                    "group": { "type": "string", "description": "Group name." },
                    "chroot": { "type": ["string", "null"], "description": "Directory to chroot into." },
                },
                "required": ["user", "group"],
                "additionalProperties": false,
            },
            { "const": "inherit", "description": "The account that starts HAProxy." },
            { "type": "null" },
        ],
    })
}

/// Implements [`JsonSchema`] for a value that is written as text.
macro_rules! value_schema {
    ($type:ty, $name:literal, $schema:tt) => {
        impl JsonSchema for $type {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                $name.into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!($schema)
            }
        }
    };
}

value_schema!(Text, "Text", { "title": "text", "type": ["string", "integer"], "pattern": "\\S", "minimum": 0 });
value_schema!(HostnamePrefix, "HostnamePrefix", {
    "title": "text",
    "type": ["string", "integer"],
    "pattern": "^[A-Za-z0-9.-]{0,199}[A-Za-z0-9]$",
    "minimum": 0,
});
// The units are left to the program, which accepts `90s`, `90 seconds` and `PT90S`.
value_schema!(Span, "Duration", {
    "title": "duration",
    "type": ["string", "integer"],
    "pattern": "^[+]?[0-9.]+[0-9A-Za-zµμ.,:\\s]*$|^[+]?[Pp][0-9A-Za-z.,]+$",
    "minimum": 0,
});
value_schema!(Loopback, "LoopbackAddress", {
    "title": "loopback address, or `none`",
    "type": "string",
    "pattern": "^none$|^127\\.[0-9.]+:[0-9]+$|^\\[[0-9a-fA-F:.]+\\]:[0-9]+$",
});

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use jsonschema::Validator;

    use super::*;
    use crate::config::Config;

    const LEAST: &str =
        "droplet_options: {hostname_prefix: www, region: nyc3, size: s-1vcpu-1gb, image: debian-12-x64}\n";

    /// Every kind of source and every optional section.
    const FULL: &str = "\
token: 878a490235d53e34b44369b8e78
ssh_key_ids: [163420, 'aa:bb']
fleet: www_1
droplet_options: {hostname_prefix: auto.nginx, region: nyc3, size: 1gb, image: 123, tags: ['a:b'], vpc_uuid: x, monitoring: true}
api: {url: 'http://127.0.0.1:8080'}
user_data: {plugin: 'builtin:cloud-init', config: {template: x}}
scaling:
  max_hourly_cost: 0.5
  interval: 90
  cooldown: {out: 1m 30s, in: 250ms}
  termination_policy: oldest
  fallback: {size: 2, after: PT5M}
  policies: [{plugin: 'oci://registry.example.com/acme/queue:1.2', name: q, mode: shadow}]
haproxy: {log: none, run_as: {user: a, group: b}, reload: always, droplet_address: public}
metrics:
  sources:
    - {name: http.latency, prometheus: {url: 'http://127.0.0.1:9090/prom', query: 'sum(up)', bearer_token_file: token}}
    - {name: queue.depth, http: {url: 'https://queue.example/stats', json_pointer: /depth}}
    - {name: jobs, command: [bin/jobs, --count], timeout: 1s}
    - {digitalocean: {metrics: [cpu], droplets_per_poll: 10}}
telemetry: {listen: '[::1]:9464'}
plugins: {trust: [{repository: '*', allow_unsigned: true}], limits: {fuel: 1}}
";

    fn root() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..")
    }

    fn validator() -> Validator {
        jsonschema::draft202012::new(&schema()).unwrap()
    }

    fn yaml(text: &str) -> Value {
        serde_yaml::from_str(text).unwrap()
    }

    fn errors(text: &str) -> Vec<String> {
        validator().iter_errors(&yaml(text)).map(|error| format!("{}: {error}", error.instance_path())).collect()
    }

    fn parse(text: &str) -> Result<Config, crate::error::ConfigError> {
        Config::parse(text, Path::new("doproxy.yml"), Path::new("/srv/doproxy.yml"))
    }

    /// Returns the contents of `doproxy.yml` in a Markdown file: YAML blocks that begin with one of its keys, and
    /// here-documents.
    fn in_markdown(text: &str) -> Vec<String> {
        let keys = schema()["properties"].as_object().unwrap().clone();
        let mut found = Vec::new();
        let mut lines = text.lines();
        while let Some(line) = lines.next() {
            let indent = line.len() - line.trim_start().len();
            let end = match line.trim() {
                "```yaml" => "```",
                heredoc if heredoc.starts_with("$ cat > doproxy.yml <<") => "END",
                _ => continue,
            };
            // A here-document in a console block has the prompt of its continuation lines.
            let content = |line: &str| line.strip_prefix("> ").unwrap_or(line).to_owned();
            let block: Vec<String> = lines.by_ref().map(content).take_while(|line| line.trim() != end).collect();
            let block: Vec<&str> = block.iter().map(|line| line.get(indent..).unwrap_or_default()).collect();
            let block = block.join("\n");
            let first = block.split(':').next().unwrap_or_default();
            if end == "END" || keys.contains_key(first) {
                found.push(block);
            }
        }
        found
    }

    fn markdown_files(dir: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(dir).unwrap().map(Result::unwrap) {
            let path = entry.path();
            if entry.file_type().unwrap().is_dir() {
                markdown_files(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                found.push(path);
            }
        }
    }

    #[test]
    fn schema_accepts_every_shipped_file() {
        for path in
            ["templates/init/doproxy.yml", "examples/nginx/doproxy.yml", "tests/fuzz/corpus/config/doproxy_of_old.yml"]
        {
            let text = std::fs::read_to_string(root().join(path)).unwrap();
            assert!(parse(&text).is_ok(), "{path}");
            assert_eq!(errors(&text), [""; 0], "{path}");
        }
        for text in [LEAST, FULL] {
            parse(text).unwrap();
            assert_eq!(errors(text), [""; 0], "{text}");
        }
    }

    #[test]
    fn schema_accepts_examples_of_documentation() {
        let mut files = vec![root().join("README.md")];
        markdown_files(&root().join("docs"), &mut files);
        let mut count = 0;
        for file in files {
            for block in in_markdown(&std::fs::read_to_string(&file).unwrap()) {
                // Most examples show a single section.
                let text = if block.contains("droplet_options:") { block } else { format!("{LEAST}{block}") };
                assert_eq!(errors(&text), [""; 0], "{}: {text}", file.display());
                count += 1;
            }
        }
        assert!(count >= 5, "{count} examples found");
    }

    #[test]
    fn schema_and_program_reject_the_same_mistakes() {
        for mistake in [
            "droplet_optoins: 1",
            "haproxy: {bnd: ['*:80']}",
            "haproxy: {run_as: {user: a, group: b, home: c}}",
            "haproxy: {run_as: root}",
            "haproxy: {reload: sometimes}",
            "haproxy: {port: 70000}",
            "scaling: {interval: soon}",
            "scaling: {interval: 1.5}",
            "scaling: {min: -1}",
            "scaling: {max_hourly_cost: 0}",
            "scaling: {repair: {enable: true}}",
            "scaling: {fallback: {after: 5m}}",
            "scaling: {termination_policy: random}",
            "scaling: {policies: [{plugin: target-tracking}]}",
            "scaling: {policies: [{plugin: 'builtin:hold', mode: off}]}",
            "scaling: {policies: [{config: {}}]}",
            "user_data: {plugin: 'builtin:cloud-init', template: x}",
            "telemetry: {listen: '0.0.0.0:9464'}",
            "metrics: {sources: [{name: a}]}",
            "metrics: {sources: [{name: a, command: [x], digitalocean: {}}]}",
            "metrics: {sources: [{name: a, prometheus: {url: 'http://127.0.0.1', qery: up}}]}",
            "plugins: {trust: [{keys: [a]}]}",
            "plugins: {limits: {fuel: many}}",
            "fleet: 'a b'",
            "api: {url: 'ftp://example.com'}",
            "token: ''",
        ] {
            let text = format!("{LEAST}{mistake}\n");
            assert!(parse(&text).is_err(), "the program accepts {mistake}");
            assert_ne!(errors(&text), [""; 0], "the schema accepts {mistake}");
        }
        assert_ne!(errors("fleet: www\n"), [""; 0], "droplet_options is required");
    }

    #[test]
    fn defaults_of_schema_are_those_of_program() {
        let text = format!(
            "{LEAST}metrics: {{sources: [{{name: a, command: [x]}}]}}\nscaling: {{policies: [{{plugin: 'builtin:hold'}}], fallback: {{size: 1}}}}\nuser_data: {{plugin: 'builtin:file'}}\n"
        );
        let mut explicit = yaml(&text);
        write_defaults(&schema(), &mut explicit);

        let [implicit, explicit] = [text, explicit.to_string()].map(|text| format!("{:#?}", parse(&text).unwrap()));

        assert_eq!(implicit, explicit);
    }

    /// Adds each default of the schema to a configuration that does not set the key.
    fn write_defaults(schema: &Value, to: &mut Value) {
        if let (Some(properties), Some(map)) = (schema["properties"].as_object(), to.as_object_mut()) {
            for (key, schema) in properties {
                let optional = schema["type"].as_array().is_some_and(|types| types.contains(&json!("null")));
                if !map.contains_key(key) {
                    let section = (schema.get("properties").is_some() && !optional).then(|| json!({}));
                    let Some(value) = schema.get("default").cloned().or(section) else { continue };
                    map.insert(key.clone(), value);
                }
                write_defaults(schema, &mut map[key]);
            }
        }
        if let (Some(items), Some(list)) = (schema.get("items"), to.as_array_mut()) {
            for item in list {
                write_defaults(items, item);
            }
        }
    }

    #[test]
    fn every_key_has_a_description() {
        fn check(schema: &Value, path: &str) {
            for (key, schema) in schema["properties"].as_object().into_iter().flatten() {
                let path = format!("{path}.{key}");
                assert!(schema["description"].is_string(), "{path} has no description");
                check(schema, &path);
                check(&schema["items"], &format!("{path}[]"));
            }
        }
        check(&schema(), "");
    }
}
