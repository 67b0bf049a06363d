//! The configuration; `schema.json` describes the same to the host.

use doproxy_user_data_sdk::{Problem, parse_json};
use serde::Deserialize;

use crate::template::Template;

/// The kind of a part, by its name in the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PartKind {
    /// Run once at first boot.
    Script,
    /// Declarative configuration.
    CloudConfig,
    /// A list of parts, as YAML.
    CloudConfigArchive,
    /// A JSON patch to the configuration.
    CloudConfigJsonp,
    /// Run early at every boot.
    Boothook,
    /// A list of URLs.
    Include,
    /// Python code that handles custom part types.
    PartHandler,
    /// A Jinja template of any of these.
    Jinja,
}

impl PartKind {
    /// Returns the first line by which cloud-init detects this kind: `INCLUSION_TYPES_MAP` in its
    /// `handlers/__init__.py`.
    pub const fn first_line(self) -> &'static str {
        match self {
            Self::Script => "#!",
            Self::CloudConfig => "#cloud-config",
            Self::CloudConfigArchive => "#cloud-config-archive",
            Self::CloudConfigJsonp => "#cloud-config-jsonp",
            Self::Boothook => "#cloud-boothook",
            Self::Include => "#include",
            Self::PartHandler => "#part-handler",
            Self::Jinja => "## template: jinja",
        }
    }

    /// Returns the MIME type, from the same map.
    pub const fn mime_type(self) -> &'static str {
        match self {
            Self::Script => "text/x-shellscript",
            Self::CloudConfig => "text/cloud-config",
            Self::CloudConfigArchive => "text/cloud-config-archive",
            Self::CloudConfigJsonp => "text/cloud-config-jsonp",
            Self::Boothook => "text/cloud-boothook",
            Self::Include => "text/x-include-url",
            Self::PartHandler => "text/part-handler",
            Self::Jinja => "text/jinja2",
        }
    }

    /// Detects the kind of a text from its beginning; `None` if cloud-init would not recognize it.
    pub fn detect(beginning: &str) -> Option<Self> {
        const ALL: [PartKind; 8] = [
            PartKind::Script,
            PartKind::CloudConfig,
            PartKind::CloudConfigArchive,
            PartKind::CloudConfigJsonp,
            PartKind::Boothook,
            PartKind::Include,
            PartKind::PartHandler,
            PartKind::Jinja,
        ];
        ALL.into_iter().find(|kind| kind.matches(beginning))
    }

    /// Reports whether a text with this beginning is of this kind.
    fn matches(self, beginning: &str) -> bool {
        let line = beginning.lines().next().unwrap_or_default().to_ascii_lowercase();
        match self {
            // `#cloud-config` is a prefix of the longer names.
            Self::CloudConfig => line.trim_end() == self.first_line(),
            _ => line.starts_with(self.first_line()),
        }
    }
}

/// One of several parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Its kind.
    pub kind: PartKind,
    /// Its content.
    pub template: Template,
    /// Name under which cloud-init stores the part.
    pub filename: String,
}

/// A validated configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Config {
    /// A single text, sent unchanged.
    Single(Template),
    /// Several parts, packed into one message.
    Parts(Vec<Part>),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawConfig {
    template: Option<String>,
    parts: Option<Vec<RawPart>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPart {
    kind: PartKind,
    template: String,
    filename: Option<String>,
}

impl Config {
    /// Parses JSON text that has passed the schema, and the templates in it.
    pub fn parse(json: &str) -> Result<Self, Vec<Problem>> {
        let written: RawConfig = parse_json(json)?;
        match (written.template, written.parts) {
            (Some(template), None) => match Template::parse(&template) {
                Ok(template) => Ok(Self::Single(template)),
                Err(mistake) => Err(vec![Problem::at("/template", mistake.to_string())]),
            },
            (None, Some(parts)) => parse_parts(parts),
            _ => Err(vec![Problem::at("", "one of template and parts is required")]),
        }
    }
}

fn parse_parts(written: Vec<RawPart>) -> Result<Config, Vec<Problem>> {
    let mut parts = Vec::new();
    let mut problems = Vec::new();
    for (index, part) in written.into_iter().enumerate() {
        match parse_part(index, part) {
            Ok(part) => parts.push(part),
            Err(message) => problems.push(Problem::at(format!("/parts/{index}/template"), message)),
        }
    }
    match parts.pop() {
        _ if !problems.is_empty() => Err(problems),
        Some(only) if parts.is_empty() => Ok(Config::Single(only.template)),
        last => {
            parts.extend(last);
            Ok(Config::Parts(parts))
        }
    }
}

fn parse_part(index: usize, written: RawPart) -> Result<Part, String> {
    let RawPart { kind, template, filename } = written;
    let template = Template::parse(&template).map_err(|mistake| mistake.to_string())?;
    if !template.leading_text().is_some_and(|beginning| kind.matches(beginning)) {
        return Err(format!("a part of this kind must begin with {}", kind.first_line()));
    }
    Ok(Part { kind, template, filename: filename.unwrap_or_else(|| format!("part-{:03}", index + 1)) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_problem_is_reported_with_its_path() {
        let config = r##"{"parts": [
            {"kind": "script", "template": "echo no interpreter"},
            {"kind": "cloud-config", "template": "#cloud-config\nhostname: {{ name }}"},
            {"kind": "cloud-config", "template": "#cloud-config-archive\n[]"},
            {"kind": "script", "template": "#!/bin/sh\n"}
        ]}"##;

        let problems = Config::parse(config).unwrap_err();

        let places: Vec<&str> = problems.iter().map(|problem| problem.path.as_str()).collect();
        assert_eq!(places, ["/parts/0/template", "/parts/1/template", "/parts/2/template"]);
        assert_eq!(problems[0].message, "a part of this kind must begin with #!");
        assert!(problems[1].message.starts_with("line 2: unknown field \"name\""), "{}", problems[1].message);
    }

    #[test]
    fn single_part_is_sent_unchanged() {
        let config = Config::parse(r##"{"parts": [{"kind": "script", "template": "#!/bin/sh\n"}]}"##);

        assert_eq!(config, Ok(Config::Single(Template::parse("#!/bin/sh\n").unwrap())));
    }
}
