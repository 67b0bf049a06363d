//! {{name}}: a cloud-config that installs packages and writes a file with the droplet's identity.
//!
//! The file is `/etc/droplet.json`; it contains the droplet's name, its index and the parameters from the policy.

use exports::doproxy::plugin::user_data::{Error, Guest, Manifest, Problem, Request};
use serde::Deserialize;

wit_bindgen::generate!({ path: "wit", world: "user-data-generator" });

#[derive(Deserialize)]
struct Config {
    #[serde(default)]
    packages: Vec<String>,
}

struct UserData;

export!(UserData);

impl Guest for UserData {
    fn describe() -> Manifest {
        Manifest {
            name: env!("CARGO_PKG_NAME").to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            description: concat!(env!("CARGO_PKG_DESCRIPTION"), ".").to_owned(),
            config_schema: include_str!("schema.json").to_owned(),
            metrics: Vec::new(),
        }
    }

    /// Checks what the schema cannot express: each package is listed once.
    fn validate(config: String) -> Result<(), Vec<Problem>> {
        let Config { packages } = parse(&config).map_err(|problem| vec![problem])?;
        for (place, package) in packages.iter().enumerate() {
            if packages[..place].contains(package) {
                let message = format!("{package} is listed twice");
                return Err(vec![Problem { path: format!("/packages/{place}"), message }]);
            }
        }
        Ok(())
    }

    fn generate(config: String, request: Request) -> Result<String, Error> {
        let Config { packages } = parse(&config).map_err(|problem| Error::InvalidConfig(vec![problem]))?;
        let hostname = quoted(&request.hostname);
        let mut lines = vec!["#cloud-config".to_owned(), format!("hostname: {hostname}")];
        if !packages.is_empty() {
            lines.push("packages:".to_owned());
            lines.extend(packages.iter().map(|package| format!("  - {}", quoted(package))));
        }
        let params = if request.params.is_empty() { "null" } else { &request.params };
        let about = format!(r#"{{"hostname":{hostname},"index":{},"params":{params}}}"#, request.index);
        lines.push("write_files:".to_owned());
        lines.push("  - path: /etc/droplet.json".to_owned());
        lines.push(format!("    content: {}", quoted(&about)));
        Ok(lines.join("\n") + "\n")
    }
}

fn parse(config: &str) -> Result<Config, Problem> {
    serde_json::from_str(config).map_err(|error| Problem { path: String::new(), message: error.to_string() })
}

/// Quotes a text: a JSON string is a YAML string.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
