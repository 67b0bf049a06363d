//! The two parts of a configuration: the lines of the fleet's servers, which can be applied while HAProxy runs, and
//! everything else, which HAProxy reads only at startup.
//!
//! Servers added at run time are created from the exact line in the file, regardless of the template that wrote it.

use std::collections::HashMap;

use crate::escape;
use crate::haproxy::BACKEND;
use crate::lint::is_section;

/// HAProxy's default weight of a server.
const DEFAULT_WEIGHT: u32 = 1;

/// A configuration split into its two parts, without comments and empty lines.
#[derive(Debug, Default)]
pub(super) struct ParsedConfig<'a> {
    static_lines: Vec<&'a str>,
    servers: HashMap<&'a str, ServerLine<'a>>,
    /// A keyword in the static lines that affects servers in the file but not servers added at run time.
    file_only_option: Option<&'static str>,
    /// `true` if cookies are derived from a key; servers added at run time have them from HAProxy 3.0 on.
    has_cookie_key: bool,
}

/// The configuration line of a server.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ServerLine<'a> {
    /// The address and the words after it, without a comment.
    words: Vec<&'a str>,
}

impl<'a> ParsedConfig<'a> {
    /// Splits a configuration, which does not have to be valid.
    pub(super) fn parse(text: &'a str) -> Self {
        let mut config = Self::default();
        let mut section = "";
        let mut in_fleet = false;
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let mut words = line.split_ascii_whitespace();
            let keyword = words.next().unwrap_or_default();
            if is_section(keyword) {
                section = keyword;
                in_fleet = keyword == "backend" && words.clone().next() == Some(BACKEND);
            }
            if in_fleet && keyword == "server" {
                let name = words.next().unwrap_or_default();
                let words = words.take_while(|word| !word.starts_with('#')).collect();
                config.servers.insert(name, ServerLine { words });
                continue;
            }
            match keyword {
                "default-server" if in_fleet || section == "defaults" => {
                    config.file_only_option = Some("default-server");
                }
                "dynamic-cookie-key" => config.has_cookie_key = true,
                _ => {}
            }
            config.static_lines.push(line);
        }
        config
    }

    /// Returns the line of the server `name`.
    pub(super) fn server(&self, name: &str) -> Option<&ServerLine<'a>> {
        self.servers.get(name)
    }

    /// Describes the first difference from another configuration apart from servers, without values because they may be
    /// secrets; `None` if there is no difference.
    pub(super) fn diff_static(&self, new: &ParsedConfig<'_>) -> Option<String> {
        let same = self.static_lines.iter().zip(&new.static_lines).take_while(|(old, new)| old == new).count();
        if same == self.static_lines.len() && same == new.static_lines.len() {
            return None;
        }
        let frame = if same < new.static_lines.len() { &new.static_lines } else { &self.static_lines };
        let section = frame[..=same].iter().rev().find(|line| is_section(first_word(line)));
        Some(match section {
            Some(section) if !std::ptr::eq(*section, frame[same]) => {
                format!("`{}` in `{}` changed", first_word(frame[same]), redact_values(section))
            }
            _ => format!("`{}` changed", redact_values(frame[same])),
        })
    }

    /// Returns the reason that prevents adding servers of this configuration at run time; `None` if it is possible.
    pub(super) fn cannot_add_reason(&self, cookies_of_added: bool) -> Option<String> {
        if let Some(keyword) = self.file_only_option {
            return Some(format!("`{keyword}` does not apply to servers added at run time"));
        }
        (self.has_cookie_key && !cookies_of_added)
            .then(|| "servers added at run time have no cookie before HAProxy 3.0".to_owned())
    }
}

impl ServerLine<'_> {
    /// Returns the weight given in the line.
    pub(super) fn weight(&self) -> u32 {
        self.value_of("weight").and_then(|weight| weight.parse().ok()).unwrap_or(DEFAULT_WEIGHT)
    }

    /// Reports whether the lines define the same server apart from its weight, which can be set at run time.
    pub(super) fn eq_ignoring_weight(&self, other: &Self) -> bool {
        let others = |words: &[&str]| -> Vec<String> {
            let weight = words.iter().position(|word| *word == "weight");
            let kept = words.iter().enumerate().filter(|(index, _)| weight.is_none_or(|at| *index != at + 1));
            kept.map(|(_, word)| (*word).to_owned()).collect()
        };
        others(&self.words) == others(&other.words)
    }

    /// Returns the arguments of `add server` for this line, or the reason that HAProxy cannot add it correctly.
    pub(super) fn add_server_args(&self) -> Result<String, String> {
        if let Some(word) = self.words.iter().find(|word| !escape::is_argument(word)) {
            return Err(format!("its line has {word:?}, which has a different meaning at run time"));
        }
        // With `enabled` HAProxy 2.6 never sends the server traffic (HAProxy issue 2497); the others need more than one
        // line.
        for keyword in ["enabled", "disabled", "agent-check", "track"] {
            if self.words.contains(&keyword) {
                return Err(format!("its line has `{keyword}`"));
            }
        }
        // Without an ID, an empty backend with `balance random` starves its second server (HAProxy issue 3413).
        if self.value_of("id").is_none() {
            return Err("its line has no `id`".to_owned());
        }
        Ok(self.words.join(" "))
    }

    fn value_of(&self, keyword: &str) -> Option<&str> {
        let at = self.words.iter().position(|word| *word == keyword)?;
        self.words.get(at + 1).copied()
    }
}

fn first_word(line: &str) -> &str {
    line.split_ascii_whitespace().next().unwrap_or_default()
}

/// Returns a section line with its name; of any other line only the keyword.
fn redact_values(line: &str) -> &str {
    if is_section(first_word(line)) { line } else { first_word(line) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "global\n  maxconn 100\n\nfrontend public\n  bind *:80\nbackend droplets\n  balance leastconn\n  \
                        # a note\n  server web-7 10.0.0.7:80 id 7 check weight 100 maxconn 5 # seven\nbackend other\n  \
                        server blog 10.1.0.1:80\n# doproxy: end\n";

    fn diff_static(text: &str) -> Option<String> {
        ParsedConfig::parse(TEXT).diff_static(&ParsedConfig::parse(text))
    }

    #[test]
    fn fleet_servers_and_comments_are_not_static_lines() {
        let line = "  server web-7 10.0.0.7:80 id 7 check weight 100 maxconn 5 # seven\n";

        assert_eq!(diff_static(&TEXT.replace(line, "")), None);
        assert_eq!(diff_static(&TEXT.replace("a note", "another")), None);
    }

    #[test]
    fn static_difference_is_described_without_values() {
        insta::assert_snapshot!(diff_static(&TEXT.replace("*:80", "*:81")).unwrap(), @"`bind` in `frontend public` changed");
        insta::assert_snapshot!(diff_static(&TEXT.replace("10.1.0.1", "10.1.0.2")).unwrap(), @"`server` in `backend other` changed");
        insta::assert_snapshot!(diff_static(&TEXT.replace("backend other", "backend third")).unwrap(), @"`backend third` changed");
        insta::assert_snapshot!(diff_static(&TEXT.replace("  server blog 10.1.0.1:80\n", "")).unwrap(), @"`server` in `backend other` changed");
        insta::assert_snapshot!(diff_static("").unwrap(), @"`global` changed");
    }

    #[test]
    fn lines_are_compared_without_weight() {
        let config = ParsedConfig::parse(TEXT);
        let line = config.server("web-7").unwrap();
        let same = |text: &str| line.eq_ignoring_weight(ParsedConfig::parse(text).server("web-7").unwrap());

        assert!(same(&TEXT.replace("weight 100", "weight 0")));
        assert!(!same(&TEXT.replace("maxconn 5", "maxconn 6")));
        assert!(!same(&TEXT.replace("weight 100 ", "")), "a line without a weight differs");
        assert_eq!((line.weight(), config.server("blog")), (100, None));
    }

    #[test]
    fn added_server_matches_its_line_in_the_file() {
        let added = |old: &str, new: &str| {
            let text = TEXT.replace(old, new);
            ParsedConfig::parse(&text).server("web-7").unwrap().add_server_args()
        };

        insta::assert_snapshot!(added("", "").unwrap(), @"10.0.0.7:80 id 7 check weight 100 maxconn 5");
        insta::assert_snapshot!(added("check", "check sni str(www)").unwrap(), @"10.0.0.7:80 id 7 check sni str(www) weight 100 maxconn 5");
        insta::assert_snapshot!(added("maxconn 5", "maxconn ${MOST}").unwrap_err(), @r#"its line has "${MOST}", which has a different meaning at run time"#);
        insta::assert_snapshot!(added("check", "check;shutdown").unwrap_err(), @r#"its line has "check;shutdown", which has a different meaning at run time"#);
        insta::assert_snapshot!(added("check", "enabled").unwrap_err(), @"its line has `enabled`");
        insta::assert_snapshot!(added("id 7 ", "").unwrap_err(), @"its line has no `id`");
    }

    #[test]
    fn file_only_options_prevent_adding_servers() {
        let keeps = |text: &str| ParsedConfig::parse(text).cannot_add_reason(false);
        let with = |line: &str| TEXT.replace("  balance", &format!("  {line}\n  balance"));

        assert_eq!(keeps(TEXT), None);
        assert!(keeps(&with("default-server maxconn 7")).unwrap().starts_with("`default-server`"));
        assert!(keeps(&format!("defaults\n  default-server maxconn 7\n{TEXT}")).is_some());
        assert_eq!(keeps(&TEXT.replace("  server blog", "  default-server maxconn 7\n  server blog")), None);
        assert!(keeps(&with("dynamic-cookie-key secret")).is_some());
        assert_eq!(ParsedConfig::parse(&with("dynamic-cookie-key secret")).cannot_add_reason(true), None);
    }
}
