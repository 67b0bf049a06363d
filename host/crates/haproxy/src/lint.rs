//! Checks that `haproxy -c` does not make: HAProxy accepts a file that was truncated at the end of a line, and one with
//! the wrong servers.

use std::collections::HashMap;
use std::fmt;

use crate::desired_server::DesiredServer;
use crate::haproxy::BACKEND;

/// The last line, which distinguishes a complete file from a truncated one.
const END_MARKER: &str = "# doproxy: end";

/// Reports whether a keyword starts a section (HAProxy's configuration manual, from chapter 2).
pub(super) fn is_section(keyword: &str) -> bool {
    matches!(
        keyword,
        "global"
            | "defaults"
            | "frontend"
            | "backend"
            | "listen"
            | "peers"
            | "mailers"
            | "resolvers"
            | "userlist"
            | "program"
            | "cache"
            | "http-errors"
            | "ring"
            | "log-forward"
            | "fcgi-app"
            | "crt-list"
            | "crt-store"
            | "traces"
            | "log-profile"
    )
}

/// The reason why a text is not the configuration of the desired servers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The line number in the rendered text, from 1, and the text of the line.
    pub line: Option<(usize, String)>,
    /// The problem.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.line {
            Some((number, text)) => write!(f, " (line {number} of the rendered file: `{}`)", text.trim()),
            None => Ok(()),
        }
    }
}

/// Checks that `text` is complete and that the fleet's backend has exactly the servers in `desired`.
pub(super) fn check(text: &str, desired: &[DesiredServer]) -> Result<(), Problem> {
    check_whole(text)?;
    let mut missing: HashMap<&str, &DesiredServer> =
        desired.iter().map(|server| (server.name.as_str(), server)).collect();
    let mut backends = 0;
    let mut in_fleet = false;
    for (index, line) in text.lines().enumerate() {
        let at = |message: String| Problem { line: Some((index + 1, line.to_owned())), message };
        let mut words = line.split_ascii_whitespace();
        let Some(keyword) = words.next() else { continue };
        if is_section(keyword) {
            in_fleet = keyword == "backend" && words.next() == Some(BACKEND);
            backends += usize::from(in_fleet);
        } else if in_fleet && keyword == "server" {
            let name = words.next().unwrap_or_default();
            let Some(server) = missing.remove(name) else {
                return Err(at(format!("{name:?} is not a server of the fleet, or is listed twice")));
            };
            check_server(server, words).map_err(at)?;
        } else if in_fleet && keyword == "server-template" {
            return Err(at(format!("`server-template` is not allowed in `backend {BACKEND}`")));
        }
    }
    if backends != 1 {
        return Err(without_line(format!("expected exactly one `backend {BACKEND}`, found {backends}")));
    }
    // The first by name, so that the same mistake produces the same message.
    match missing.keys().min() {
        Some(name) => {
            Err(without_line(format!("{} of {} servers are missing, for example {name}", missing.len(), desired.len())))
        }
        None => Ok(()),
    }
}

fn check_whole(text: &str) -> Result<(), Problem> {
    if let Some((index, line)) =
        text.lines().enumerate().find(|(_, line)| line.bytes().any(|byte| byte.is_ascii_control() && byte != b'\t'))
    {
        let line = line.escape_default().to_string();
        return Err(Problem { line: Some((index + 1, line)), message: "unexpected control character".into() });
    }
    if !text.ends_with('\n') {
        return Err(without_line("the last line has no line break; the file may be truncated".into()));
    }
    if text.lines().rev().find(|line| !line.trim().is_empty()).map(str::trim) != Some(END_MARKER) {
        return Err(without_line(format!("the last line is not `{END_MARKER}`; the file may be truncated")));
    }
    Ok(())
}

fn check_server<'a>(server: &DesiredServer, mut words: impl Iterator<Item = &'a str>) -> Result<(), String> {
    let address = words.next().unwrap_or_default();
    let parsed = address.rsplit_once(':').and_then(|(host, port)| {
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        Some((host.parse().ok()?, port.parse::<u16>().ok()?))
    });
    if parsed != Some((server.ip, server.port)) {
        return Err(format!(
            "{} has the address {}:{} but the file has {address:?}",
            server.name, server.address, server.port
        ));
    }
    let weight: Option<u32> = words.skip_while(|word| *word != "weight").nth(1).and_then(|weight| weight.parse().ok());
    // HAProxy's default weight is 1.
    let gets_traffic = weight.unwrap_or(1) > 0;
    if gets_traffic != server.is_serving() {
        return Err(format!("{} is {} and must have `weight {}`", server.name, server.state, server.weight));
    }
    Ok(())
}

fn without_line(message: String) -> Problem {
    Problem { line: None, message }
}

#[cfg(test)]
mod tests {
    use doproxy_core::seams::ServerState;

    use super::*;
    use crate::test_support::{server, server_in_state};

    const GOOD: &str = "global\n\nbackend droplets\n  balance leastconn\n  server web-7 10.0.0.7:80 check weight 100\n  \
                        server web-8 10.0.0.8:80 check weight 0\n\nbackend other\n  server blog 10.1.0.1:80\n# doproxy: end\n";

    fn problem(text: &str) -> String {
        let desired = DesiredServer::from_servers(&[server(7), server_in_state(ServerState::Warming, 8)], 80).unwrap();
        check(text, &desired).map_or_else(|problem| problem.to_string(), |()| "none".into())
    }

    #[test]
    fn complete_configuration_of_desired_servers_passes() {
        assert_eq!(problem(GOOD), "none");
    }

    #[test]
    fn configuration_truncated_at_any_byte_is_rejected() {
        for end in 0..GOOD.len() {
            assert_ne!(problem(&GOOD[..end]), "none", "{end}");
        }
    }

    #[test]
    fn different_set_of_servers_is_rejected() {
        insta::assert_snapshot!(problem(&GOOD.replace("web-8", "web-9")), @r#""web-9" is not a server of the fleet, or is listed twice (line 6 of the rendered file: `server web-9 10.0.0.8:80 check weight 0`)"#);
        insta::assert_snapshot!(problem(&GOOD.replace("web-8 10.0.0.8", "web-7 10.0.0.7")), @r#""web-7" is not a server of the fleet, or is listed twice (line 6 of the rendered file: `server web-7 10.0.0.7:80 check weight 0`)"#);
        insta::assert_snapshot!(problem(&GOOD.replace("  server web-8", "  # server web-8")), @"1 of 2 servers are missing, for example web-8");
        insta::assert_snapshot!(problem(&GOOD.replace("10.0.0.8", "10.0.8")), @r#"web-8 has the address 10.0.0.8:80 but the file has "10.0.8:80" (line 6 of the rendered file: `server web-8 10.0.8:80 check weight 0`)"#);
        insta::assert_snapshot!(problem(&GOOD.replace("weight 0", "weight 100")), @"web-8 is warming and must have `weight 0` (line 6 of the rendered file: `server web-8 10.0.0.8:80 check weight 100`)");
        insta::assert_snapshot!(problem(&GOOD.replace("backend droplets", "backend web")), @"expected exactly one `backend droplets`, found 0");
        insta::assert_snapshot!(problem(&GOOD.replace("balance", "server-template x 1-3 10.0.0.1:80\n  balance")), @"`server-template` is not allowed in `backend droplets` (line 4 of the rendered file: `server-template x 1-3 10.0.0.1:80`)");
        insta::assert_snapshot!(problem(&GOOD.replace("blog", "bl\rog")), @r#"unexpected control character (line 9 of the rendered file: `server bl\rog 10.1.0.1:80`)"#);
    }
}
