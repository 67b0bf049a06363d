//! User-data generator for a demo droplet that serves a page with its own name through nginx.
//!
//! A shell script installs nginx from the packages of Debian or Ubuntu and serves one page with the droplet's name,
//! index and address, which shows how HAProxy distributes requests. The original tutorial's droplets do the same; the
//! script is newly written. `/health` responds once everything is installed. The script is idempotent.

use std::fmt::Write as _;

use doproxy_user_data_sdk::{Problem, Request, export_generator, parse_json, validated};
use serde::Deserialize;

export_generator! {
    /// The generator.
    pub struct NginxHello;
    config: Config,
    schema: include_str!("schema.json"),
    generate: |config, request| Ok(script(config, request)),
}

/// The configuration; `schema.json` describes the same to the host.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The port nginx listens on.
    #[serde(default = "http")]
    pub port: u16,
    /// A line on the page.
    #[serde(default)]
    pub message: String,
}

fn http() -> u16 {
    80
}

impl Config {
    /// Parses JSON text that has passed the schema.
    pub fn parse(json: &str) -> Result<Self, Vec<Problem>> {
        let config: Self = parse_json(json)?;
        let mut problems = Vec::new();
        if config.port == 0 {
            problems.push(Problem::at("/port", "a port must be 1 to 65535"));
        }
        if config.message.contains(char::is_control) {
            problems.push(Problem::at("/message", "a message must be a single line of text"));
        }
        validated(config, problems)
    }
}

/// Generates the script.
fn script(config: &Config, request: &Request) -> String {
    let name = escape_html(&request.hostname);
    let mut page = format!(
        "<!doctype html>\n<meta charset=\"utf-8\">\n<title>{name}</title>\n<h1>{name}</h1>\n\
         <p>Droplet {} of {}, at ADDRESS.\n",
        request.index,
        escape_html(&request.fleet_name)
    );
    if !config.message.is_empty() {
        // Writing to a string cannot fail.
        let _ = writeln!(page, "<p>{}", escape_html(&config.message));
    }
    let page = quote_shell(&page);
    let port = config.port;
    format!(
        r#"#!/bin/sh
# Runs once, as root, at the droplet's first boot.
set -eu
export DEBIAN_FRONTEND=noninteractive
apt-get update
apt-get install -y --no-install-recommends curl nginx-light

# The private address, as HAProxy sees the droplet; any other where there is none.
metadata=http://169.254.169.254/metadata/v1/interfaces/private/0/ipv4/address
address=$(curl -fsS --retry 5 --max-time 5 "$metadata" || hostname -I | cut -d ' ' -f 1)
case $address in *[!0-9a-fA-F.:]*) address=unknown ;; esac

cat > /etc/nginx/sites-available/hello <<'END'
server {{
    listen {port} default_server;
    listen [::]:{port} default_server;
    root /var/www/hello;
    location = /health {{ default_type text/plain; return 200 "ok\n"; }}
}}
END
mkdir -p /var/www/hello
printf '%s' {page} | sed "s/ADDRESS/$address/" > /var/www/hello/index.html
rm -f /etc/nginx/sites-enabled/default
ln -sf ../sites-available/hello /etc/nginx/sites-enabled/hello
nginx -t
systemctl enable --now nginx
systemctl reload nginx
"#
    )
}

/// Escapes text for HTML.
fn escape_html(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// Quotes text as one word for a POSIX shell.
fn quote_shell(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use doproxy_user_data_sdk::Generator as _;
    use proptest::prelude::*;

    use super::*;

    fn request(hostname: &str) -> Request {
        Request { hostname: hostname.to_owned(), index: 7, fleet_name: "www".to_owned(), ..Request::default() }
    }

    fn generated(config: &str, hostname: &str) -> String {
        NginxHello::generate(&NginxHello::parse(config).unwrap(), &request(hostname)).unwrap()
    }

    /// Returns the page that the script's output line writes for an address.
    fn page(script: &str) -> String {
        let from = script.find("printf '%s'").unwrap();
        let to = script.find(" > /var/www/hello/index.html").unwrap();
        let command = format!("address=10.128.0.7; {}", &script[from..to]);
        let output = Command::new("sh").args(["-c", &command]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    #[test]
    fn script_is_valid_and_page_names_the_droplet() {
        let script = generated(r#"{"message": "It's <up> & running"}"#, "web-7");

        let checked = Command::new("sh").args(["-n", "-c", &script]).status().unwrap();

        assert!(checked.success() && script.starts_with("#!/bin/sh\n"));
        assert_eq!(
            page(&script),
            "<!doctype html>\n<meta charset=\"utf-8\">\n<title>web-7</title>\n<h1>web-7</h1>\n\
             <p>Droplet 7 of www, at 10.128.0.7.\n<p>It's &lt;up&gt; &amp; running\n"
        );
    }

    #[test]
    fn port_is_configurable() {
        let script = generated(r#"{"port": 8080}"#, "web-7");

        assert!(script.contains("listen 8080 default_server;\n    listen [::]:8080 default_server;"), "{script}");
    }

    #[test]
    fn invalid_values_are_reported_with_their_path() {
        let problems = NginxHello::parse(r#"{"port": 0, "message": "two\nlines"}"#).unwrap_err();

        assert_eq!(problems.iter().map(|problem| problem.path.as_str()).collect::<Vec<_>>(), ["/port", "/message"]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn message_cannot_escape_from_the_page(message in "[ -~äöü]{0,40}") {
            let config = NginxHello::parse(&serde_json_text(&message)).unwrap();
            let script = script(&config, &request("web-7"));
            let shown = if message.is_empty() { String::new() } else { format!("<p>{}\n", escape_html(&message)) };
            prop_assert!(page(&script).replace("ADDRESS", "10.128.0.7").ends_with(&shown.replace("ADDRESS", "10.128.0.7")));
        }
    }

    fn serde_json_text(message: &str) -> String {
        format!(r#"{{"message": "{}"}}"#, message.replace('\\', r"\\").replace('"', "\\\""))
    }
}
