//! Parses HAProxy's statistics for the controller. Pure functions on text.

use std::collections::HashMap;

use doproxy_core::domain::{DropletId, Load};
use doproxy_core::seams::{ProcessStats, ServerStats, Stats};

use crate::desired_server::droplet_of;
use crate::runtime_api::info_field;
use crate::table::{Row, Table};

/// The name of a backend's summary row.
const BACKEND_ROW: &str = "BACKEND";

/// Parses `show info` and `show stat` of the worker, and `show stat` of old workers; `None` if the text does not have
/// the expected format.
pub(super) fn parse(info: &str, stat: &str, old_workers: &[String]) -> Option<Stats> {
    let uptime_s = info_field(info, "Uptime_sec")?.parse().ok()?;
    let old = old_sessions(old_workers);
    let table = Table::csv(stat)?;
    let process = ProcessStats {
        version: strip_control(info_field(info, "Version").unwrap_or_default()),
        pid: info_field(info, "Pid").and_then(|pid| pid.parse().ok()).unwrap_or(0),
        ..ProcessStats::default()
    };
    let mut stats = Stats { uptime_s, process, ..Stats::default() };
    for row in table.rows() {
        match row.text("svname") {
            Some(BACKEND_ROW) => {
                stats.queued = row.number("qcur").unwrap_or(0);
                stats.requests_total = row.number("req_tot").or_else(|| row.number("stot")).unwrap_or(0);
            }
            Some(name) => {
                let Some(id) = droplet_of(name) else { continue };
                stats.servers.push(server(id, &row, old.get(&id).copied().unwrap_or(0)));
            }
            None => {}
        }
    }
    Some(stats)
}

/// Returns the sessions that old workers still have, per droplet.
fn old_sessions(old_workers: &[String]) -> HashMap<DropletId, u32> {
    let mut sessions: HashMap<DropletId, u32> = HashMap::new();
    // A worker whose configuration does not have this backend returns a message.
    for table in old_workers.iter().filter_map(|text| Table::csv(text)) {
        for row in table.rows() {
            if let (Some(id), Some(more)) = (row.text("svname").and_then(droplet_of), row.number::<u32>("scur")) {
                let sum = sessions.entry(id).or_default();
                *sum = sum.saturating_add(more);
            }
        }
    }
    sessions
}

fn server(id: DropletId, row: &Row<'_>, old_sessions: u32) -> ServerStats {
    let status = row.text("status").unwrap_or_default();
    // While a check is running, HAProxy prefixes the previous result with `* `.
    let check = row.text("check_status").map(|check| check.trim_start_matches("* ")).unwrap_or_default();
    let up = status.starts_with("UP") || status.starts_with("DRAIN");
    let sessions = row.number::<u32>("scur").unwrap_or(0).saturating_add(old_sessions);
    let requests_total = row.number("stot").unwrap_or(0);
    let sum =
        |columns: [&str; 3]| columns.iter().filter_map(|name| row.number::<u64>(name)).fold(0, u64::saturating_add);
    ServerStats {
        id,
        healthy: up && matches!(check, "L7OK" | "L7OKC" | "L6OK" | "L4OK"),
        check_passed: up && matches!(check, "L7OK" | "L7OKC"),
        status: if check.is_empty() {
            strip_control(status)
        } else {
            strip_control(&format!("{status}, {}", describe_check(check, row)))
        },
        sessions,
        load: Load {
            sessions,
            max_sessions: row.number("slim"),
            queued: row.number("qcur").unwrap_or(0),
            requests_per_second: 0.0,
            // HAProxy's mean over the last 1024 requests, which does not exist without any.
            response_time_ms: row.number("rtime").filter(|_| requests_total > 0),
            errors_per_second: 0.0,
        },
        requests_total,
        errors_total: sum(["hrsp_5xx", "econ", "eresp"]),
    }
}

/// Formats the result of a check with its explanation: `L7STS 503`, `L4CON Connection refused`.
fn describe_check(check: &str, row: &Row<'_>) -> String {
    let mut words = check.to_owned();
    for column in ["check_code", "last_chk"] {
        if let Some(text) = row.text(column).filter(|text| *text != "-1") {
            words.push(' ');
            words.extend(text.chars().take(100));
        }
    }
    words
}

/// Returns text without terminal control characters.
fn strip_control(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "# pxname,svname,qcur,scur,slim,stot,econ,eresp,status,weight,check_status,check_code,hrsp_5xx,req_tot,rtime,last_chk,\n";

    fn parse_rows(rows: &str, old: &[&str]) -> Stats {
        let old: Vec<String> = old.iter().map(|rows| format!("{HEADER}{rows}")).collect();
        parse("Name: HAProxy\nVersion: 2.6.12\nUptime_sec: 42\nPid: 7", &format!("{HEADER}{rows}"), &old).unwrap()
    }

    #[test]
    fn fleet_load_is_parsed_without_other_servers() {
        let stats = parse_rows(
            "droplets,web-7,1,3,200,500,2,3,UP,100,L7OK,200,4,,12,,\ndroplets,blog,9,9,,9,,,UP,1,,,,,,,\n\
             droplets,BACKEND,5,12,1000,600,0,0,UP,100,,,0,700,9,,\n",
            &[],
        );

        let load =
            Load { sessions: 3, max_sessions: Some(200), queued: 1, response_time_ms: Some(12.0), ..Load::default() };
        let server = ServerStats {
            id: DropletId(7),
            healthy: true,
            check_passed: true,
            status: "UP, L7OK 200".into(),
            sessions: 3,
            load,
            requests_total: 500,
            errors_total: 9,
        };
        let process = ProcessStats { version: "2.6.12".into(), pid: 7, ..ProcessStats::default() };
        assert_eq!(stats, Stats { servers: vec![server], queued: 5, requests_total: 700, uptime_s: 42, process });
    }

    #[test]
    fn sessions_of_old_workers_are_counted() {
        let old = [
            "droplets,web-7,0,2,,9,,,UP,1,,,,,,,\ndroplets,web-8,0,1,,9,,,UP,1,,,,,,,\n",
            "droplets,web-7,0,3,,9,,,UP,1,,,,,,,\n",
        ];

        let stats = parse_rows("droplets,web-7,0,1,200,5,,,UP,100,L7OK,,,,,,\n", &old);

        assert_eq!((stats.servers[0].sessions, stats.servers[0].load.sessions), (6, 6));
    }

    #[test]
    fn check_passes_when_server_is_up_at_layer_7() {
        let cases = [
            ("UP", "L7OK", (true, true)),
            ("UP", "* L7OK", (true, true)),
            ("UP 2/3", "L7OK", (true, true)),
            ("DRAIN", "L7OK", (true, true)),
            ("UP", "L4OK", (true, false)),
            ("UP 1/3", "INI", (false, false)),
            ("UP 1/3", "L7TOUT", (false, false)),
            ("DOWN 1/2", "L7OK", (false, false)),
            ("DOWN", "L7STS", (false, false)),
            ("MAINT", "L7OK", (false, false)),
            ("MAINT (via x)", "", (false, false)),
            ("no check", "", (false, false)),
            ("NOLB", "L7OK", (false, false)),
        ];
        for (status, check, expected) in cases {
            let stats = parse_rows(&format!("droplets,web-7,0,1,200,5,,,{status},100,{check},,,,,,\n"), &[]);

            assert_eq!((stats.servers[0].healthy, stats.servers[0].check_passed), expected, "{status} {check}");
        }
    }

    #[test]
    fn unhealthy_server_status_includes_the_reason() {
        let stats = parse_rows("droplets,web-7,0,1,200,5,,,DOWN,100,L4CON,,,,,Connection refused,\n", &[]);

        assert_eq!(stats.servers[0].status, "DOWN, L4CON Connection refused");
    }

    #[test]
    fn status_contains_no_terminal_controls() {
        let stats = parse_rows("droplets,web-7,0,1,200,5,,,DO\x0cWN,100,L4\x1b[2JCON,\x0c7,,,,re\x1bfused,\n", &[]);

        assert_eq!(stats.servers[0].status, "DOWN, L4[2JCON 7 refused");
    }

    #[test]
    fn invalid_statistics_are_rejected() {
        assert_eq!(parse("Uptime_sec: 1", "[3]: No such proxy.", &[]), None);
        assert_eq!(parse("Uptime_sec: soon", HEADER, &[]), None);
    }
}
