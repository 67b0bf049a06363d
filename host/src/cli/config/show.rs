//! `doproxy config show`: prints the effective configuration with the origin of each value.

use doproxy_config::{EffectiveConfig, Origin, Setting};
use serde::Serialize;
use serde_json::Value;

use crate::cli::output::out;
use crate::cli::{Global, output};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Tokens, passwords in URLs and secrets in the configuration of plugins are redacted; arguments of commands are not.\n\nExamples:\n  doproxy config show\n  doproxy config show --json | jq '.settings[] | select(.origin.kind != \"default\")'"
)]
pub(super) struct Args {
    /// Print JSON: a list of keys with their values and origins.
    #[arg(long)]
    json: bool,
}

/// The column of the origins, unless the value is longer.
const ORIGIN_COLUMN: usize = 56;

pub(super) fn run(global: &Global, args: &Args) -> anyhow::Result<()> {
    let effective = EffectiveConfig::load(&global.config, &global.environment, global.inventory.as_deref())?;
    if args.json {
        let mut settings = Vec::new();
        flatten(&effective.root, String::new(), &mut settings);
        let document = Document { file: effective.path.display().to_string(), settings };
        out!("{}", serde_json::to_string_pretty(&document)?);
    } else {
        output::write(format_args!("{}", text(&effective.root)?));
    }
    Ok(())
}

/// The JSON form.
#[derive(Debug, Serialize)]
struct Document<'a> {
    file: String,
    settings: Vec<Row<'a>>,
}

#[derive(Debug, Serialize)]
struct Row<'a> {
    key: String,
    value: &'a Value,
    origin: &'a Origin,
}

fn flatten<'a>(setting: &'a Setting, key: String, rows: &mut Vec<Row<'a>>) {
    match setting {
        Setting::Value { value, origin } => rows.push(Row { key, value, origin }),
        Setting::Section(section) => {
            for (name, setting) in section {
                let key = if key.is_empty() { name.clone() } else { format!("{key}.{name}") };
                flatten(setting, key, rows);
            }
        }
        Setting::List(list) => {
            for (index, setting) in list.iter().enumerate() {
                flatten(setting, format!("{key}[{index}]"), rows);
            }
        }
    }
}

/// Returns the settings as YAML with the origin of each value as a comment.
fn text(root: &Setting) -> anyhow::Result<String> {
    let mut lines = Vec::new();
    write(root, 0, &mut lines)?;
    let line = |(text, origin): (String, Option<&Origin>)| match origin {
        None => format!("{text}\n"),
        Some(origin) => format!("{text:ORIGIN_COLUMN$}  # {origin}\n"),
    };
    Ok(lines.into_iter().map(line).collect())
}

fn write<'a>(setting: &'a Setting, indent: usize, lines: &mut Vec<(String, Option<&'a Origin>)>) -> anyhow::Result<()> {
    match setting {
        Setting::Value { value, origin } => lines.push((format!("{:indent$}{}", "", scalar(value)?), Some(origin))),
        Setting::Section(section) => {
            for (name, setting) in section {
                let name = scalar(&Value::String(name.clone()))?;
                if let Setting::Value { value, origin } = setting {
                    lines.push((format!("{:indent$}{name}: {}", "", scalar(value)?), Some(origin)));
                } else {
                    lines.push((format!("{:indent$}{name}:", ""), None));
                    write(setting, indent + 2, lines)?;
                }
            }
        }
        Setting::List(list) => {
            for item in list {
                let first = lines.len();
                write(item, indent + 2, lines)?;
                if let Some((line, _)) = lines.get_mut(first) {
                    line.replace_range(indent..=indent, "-");
                }
            }
        }
    }
    Ok(())
}

/// Returns a value as YAML on one line: lists and mappings in flow style.
fn scalar(value: &Value) -> anyhow::Result<String> {
    match value {
        Value::String(text) if !text.contains('\n') => Ok(serde_yaml::to_string(text)?.trim_end().to_owned()),
        // JSON is YAML in flow style.
        other => Ok(serde_json::to_string(other)?),
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use serde_json::json;

    use super::*;

    fn in_file(value: Value, line: usize) -> Setting {
        Setting::Value { value, origin: Origin::File { path: PathBuf::from("doproxy.yml"), line: Some(line) } }
    }

    fn example() -> Setting {
        let default = |value| Setting::Value { value, origin: Origin::Default };
        let section = |entries: Vec<(&str, Setting)>| {
            Setting::Section(entries.into_iter().map(|(name, setting)| (name.to_owned(), setting)).collect())
        };
        section(vec![
            (
                "token",
                Setting::Value {
                    value: json!("(redacted)"),
                    origin: Origin::Environment { variable: "DIGITALOCEAN_TOKEN" },
                },
            ),
            ("ssh_key_ids", Setting::List(vec![in_file(json!(163_420), 2), in_file(json!("aa:bb"), 3)])),
            (
                "scaling",
                section(vec![
                    ("min", in_file(json!(2), 5)),
                    ("interval", default(json!("15s"))),
                    (
                        "policies",
                        Setting::List(vec![section(vec![
                            ("plugin", in_file(json!("builtin:fixed"), 7)),
                            (
                                "config",
                                section(vec![("count", in_file(json!(4), 8)), ("note", in_file(json!("a\nb: #"), 9))]),
                            ),
                        ])]),
                    ),
                ]),
            ),
            ("haproxy", section(vec![("bind", default(json!(["*:80"]))), ("log", in_file(json!("none"), 11))])),
            ("inventory", Setting::Value { value: json!("on"), origin: Origin::Flag { name: "--inventory" } }),
        ])
    }

    #[test]
    fn text_is_yaml_with_origins() {
        let text = text(&example()).unwrap();

        insta::assert_snapshot!(text, @r#"
        token: (redacted)                                         # environment DIGITALOCEAN_TOKEN
        ssh_key_ids:
          - 163420                                                # doproxy.yml:2
          - aa:bb                                                 # doproxy.yml:3
        scaling:
          min: 2                                                  # doproxy.yml:5
          interval: 15s                                           # default
          policies:
            - plugin: builtin:fixed                               # doproxy.yml:7
              config:
                count: 4                                          # doproxy.yml:8
                note: "a\nb: #"                                   # doproxy.yml:9
        haproxy:
          bind: ["*:80"]                                          # default
          log: none                                               # doproxy.yml:11
        inventory: on                                             # flag --inventory
        "#);
        let parsed: Value = serde_yaml::from_str(&text).unwrap();
        assert_eq!(parsed["scaling"]["policies"][0]["config"]["note"], "a\nb: #");
        assert_eq!(parsed["ssh_key_ids"], json!([163_420, "aa:bb"]));
        assert_eq!(parsed["inventory"], "on");
    }

    #[test]
    fn json_lists_keys_with_origins() {
        let example = example();
        let mut settings = Vec::new();
        flatten(&example, String::new(), &mut settings);

        let rows: Vec<String> = settings.iter().map(|row| serde_json::to_string(row).unwrap()).collect();
        insta::assert_snapshot!(rows.join("\n"), @r#"
        {"key":"token","value":"(redacted)","origin":{"kind":"environment","variable":"DIGITALOCEAN_TOKEN"}}
        {"key":"ssh_key_ids[0]","value":163420,"origin":{"kind":"file","path":"doproxy.yml","line":2}}
        {"key":"ssh_key_ids[1]","value":"aa:bb","origin":{"kind":"file","path":"doproxy.yml","line":3}}
        {"key":"scaling.min","value":2,"origin":{"kind":"file","path":"doproxy.yml","line":5}}
        {"key":"scaling.interval","value":"15s","origin":{"kind":"default"}}
        {"key":"scaling.policies[0].plugin","value":"builtin:fixed","origin":{"kind":"file","path":"doproxy.yml","line":7}}
        {"key":"scaling.policies[0].config.count","value":4,"origin":{"kind":"file","path":"doproxy.yml","line":8}}
        {"key":"scaling.policies[0].config.note","value":"a\nb: #","origin":{"kind":"file","path":"doproxy.yml","line":9}}
        {"key":"haproxy.bind","value":["*:80"],"origin":{"kind":"default"}}
        {"key":"haproxy.log","value":"none","origin":{"kind":"file","path":"doproxy.yml","line":11}}
        {"key":"inventory","value":"on","origin":{"kind":"flag","name":"--inventory"}}
        "#);
    }
}
