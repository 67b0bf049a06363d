//! Formats a status snapshot for the terminal. A pure function of plain data.

use std::time::Duration;

use doproxy_core::domain::{AnswerSource, OperationKind, Phase, Timestamp};
use doproxy_support::sanitize_line;
use doproxy_telemetry::{LockWaitStatus, PolicyStatus, Status};

use crate::cli::output::count;
use crate::cli::status::collect::{DropletStatus, StatusSnapshot};

/// Formats the whole snapshot.
pub(super) fn table(snapshot: &StatusSnapshot) -> String {
    let mut lines = vec![headline(snapshot)];
    lines.extend(droplets(snapshot));
    for operation in &snapshot.operations {
        let word = match operation.kind {
            OperationKind::Create => "create",
            OperationKind::Delete => "delete",
        };
        lines.push(entry(
            "operation",
            &format!("{word} {}, for {}", operation.droplet, ago(snapshot.at, operation.since)),
        ));
    }
    for (direction, pause) in &snapshot.paused {
        let until = pause.until.map_or_else(|| "`doproxy resume`".to_owned(), |until| until.to_string());
        let reason = if pause.reason.is_empty() { String::new() } else { format!(": {}", pause.reason) };
        lines.push(entry("paused", &format!("scaling {direction}, until {until}{reason}")));
    }
    if let Some(maintenance) = &snapshot.maintenance {
        lines.push(entry(
            "suspended",
            &format!("by maintenance mode since {}: {}", maintenance.since, maintenance.reason),
        ));
    }
    match (&snapshot.service, &snapshot.no_service) {
        (Some(status), _) => lines.extend(service(snapshot.at, status)),
        (None, why) => lines.push(entry("service", why.as_deref().unwrap_or("none"))),
    }
    lines.push(entry("HAProxy", &haproxy(snapshot)));
    lines.join("\n")
}

fn entry(what: &str, text: &str) -> String {
    format!("{what:<10} {}", sanitize_line(text, usize::MAX))
}

fn headline(snapshot: &StatusSnapshot) -> String {
    let of = |phase| snapshot.droplets.iter().filter(|droplet| droplet.phase == phase).count();
    let phases: Vec<String> = Phase::ALL
        .into_iter()
        .map(|phase| (of(phase), phase))
        .filter(|(count, _)| *count > 0)
        .map(|(count, phase)| format!("{count} {phase}"))
        .collect();
    let phases = if phases.is_empty() { "empty".to_owned() } else { phases.join(", ") };
    let StatusSnapshot { fleet, min, max, hourly_cost, .. } = snapshot;
    format!("fleet {fleet}: {phases}; limits {min} to {max}, ${hourly_cost:.4} per hour")
}

fn droplets(snapshot: &StatusSnapshot) -> Vec<String> {
    let width = snapshot.droplets.iter().map(|droplet| droplet.name.as_str().len()).max().unwrap_or(0);
    let row = |(line, droplet): (usize, &DropletStatus)| {
        let DropletStatus { name, phase, phase_since, .. } = droplet;
        let mut row = format!(
            "{line:>4}) {name:<width$}  {phase:<9} {:>8}",
            ago(snapshot.at, *phase_since),
            name = name.as_str()
        );
        if let Some(sessions) = droplet.sessions {
            row += &format!("  {:>13}", count(sessions as usize, "session"));
        }
        if let Some(check) = &droplet.check {
            row += &format!("  {check}");
        }
        if droplet.protected {
            row += "  (protected)";
        }
        row
    };
    snapshot.droplets.iter().enumerate().map(row).collect()
}

fn service(now: Timestamp, status: &Status) -> Vec<String> {
    let next = status.next_tick.map(|next| format!(", next in {}", span(next.since(now)))).unwrap_or_default();
    let mut lines = vec![entry(
        "service",
        &format!("process {}, for {}, {}{next}", status.pid, ago(now, status.started_at), ticks(status.ticks)),
    )];
    if let Some(last) = &status.last_tick {
        let change =
            if last.from == last.to { format!("{} kept", last.to) } else { format!("{} → {}", last.from, last.to) };
        let restrictions = if last.restrictions.is_empty() {
            String::new()
        } else {
            format!(" (guard: {})", last.restrictions.join(", "))
        };
        lines.push(entry("decision", &format!("{} ago: {change}, {}{restrictions}", ago(now, last.at), last.reason)));
        lines.extend(last.error.iter().map(|error| entry("failed", error)));
    }
    lines.extend(status.tick_error.iter().map(|failure| entry("failed", failure)));
    if let Some(LockWaitStatus { holder, since }) = &status.waiting_for {
        lines.push(entry("waits", &format!("for {holder}, which has held the fleet lock for {}", ago(now, *since))));
    }
    lines.extend(status.policies.iter().map(|policy| entry("policy", &describe_policy(now, policy))));
    if !status.stale.is_empty() {
        lines.push(entry("stale", &status.stale.join(", ")));
    }
    let remaining =
        status.api_rate_limit_remaining.map(|left| format!("{left} requests available")).unwrap_or_default();
    match &status.api_error {
        Some(failure) => lines.push(entry("API", failure)),
        None if remaining.is_empty() => {}
        None => lines.push(entry("API", &remaining)),
    }
    if let Some(refused) = status.reload.as_ref().and_then(|reload| reload.refused.as_ref()) {
        lines.push(entry("reload", &format!("rejected, previous configuration kept: {refused}")));
    }
    for quiet in status.loops.iter().filter(|of| !of.healthy) {
        lines.push(entry(
            "stuck",
            &format!(
                "the {} has made no progress for {}",
                quiet.name,
                span(Duration::from_millis(quiet.since_heartbeat_ms))
            ),
        ));
    }
    lines
}

fn describe_policy(now: Timestamp, policy: &PolicyStatus) -> String {
    let PolicyStatus { name, answered_by, failing_since, failures, last_error: failure, .. } = policy;
    let Some(since) = failing_since else { return format!("{name}: OK") };
    let what = match answered_by {
        AnswerSource::LastGood => "using its last good component",
        AnswerSource::Primary | AnswerSource::Hold => "the fleet is held",
    };
    let why = failure.as_deref().map(|why| format!(": {why}")).unwrap_or_default();
    format!("{name}: failing for {} ({failures} times), {what}{why}", ago(now, *since))
}

fn haproxy(snapshot: &StatusSnapshot) -> String {
    let haproxy = &snapshot.haproxy;
    if let Some(failure) = &haproxy.failure {
        return failure.clone();
    }
    let mut words = vec![haproxy.version.clone()];
    words.extend(haproxy.pid.map(|pid| format!("worker {pid}")));
    words.extend(haproxy.generation.map(|generation| format!("generation {generation}")));
    if haproxy.old_workers > 0 {
        words.push(count(haproxy.old_workers, "old worker"));
    }
    if haproxy.queued > 0 {
        words.push(format!("{} waiting", count(haproxy.queued as usize, "request")));
    }
    words.retain(|word| !word.is_empty());
    words.join(", ")
}

fn ticks(number: u64) -> String {
    format!("{number} tick{}", if number == 1 { "" } else { "s" })
}

fn ago(now: Timestamp, then: Timestamp) -> String {
    span(now.since(then))
}

/// Formats a duration in its two largest units.
fn span(time: Duration) -> String {
    let seconds = time.as_secs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m {}s", seconds % 60),
        (0, ..) => format!("{hours}h {minutes}m"),
        _ => format!("{days}d {hours}h"),
    }
}

#[cfg(test)]
mod tests {
    use doproxy_core::domain::{Direction, DropletId, DropletName, Mode, Pause};
    use doproxy_telemetry::{LastTick, LoopStatus};

    use super::*;
    use crate::cli::status::collect::{HaProxyStatus, MaintenanceStatus, OperationStatus};

    const NOW: Timestamp = Timestamp(1_795_469_145_000);

    fn before(seconds: u64) -> Timestamp {
        NOW.minus(Duration::from_secs(seconds))
    }

    fn droplet(number: u64, phase: Phase, seconds: u64) -> DropletStatus {
        let is_server = phase.is_behind_balancer();
        DropletStatus {
            name: DropletName::parse(format!("www-{number}-k3f9tq")).unwrap(),
            id: Some(DropletId(number)),
            phase,
            phase_since: before(seconds),
            protected: number == 0,
            sessions: is_server.then_some(12),
            healthy: is_server.then_some(true),
            check: is_server.then(|| "UP, L7OK 200".to_owned()),
        }
    }

    fn gathered() -> StatusSnapshot {
        StatusSnapshot {
            at: NOW,
            fleet: "www".into(),
            min: 1,
            max: 10,
            hourly_cost: 0.0223,
            droplets: vec![
                droplet(0, Phase::Serving, 200_000),
                droplet(1, Phase::Serving, 7_300),
                droplet(2, Phase::Booting, 14),
            ],
            operations: vec![OperationStatus {
                kind: OperationKind::Create,
                droplet: DropletName::parse("www-2-k3f9tq").unwrap(),
                since: before(15),
            }],
            paused: vec![],
            maintenance: None,
            haproxy: HaProxyStatus {
                version: "2.6.12".into(),
                pid: Some(4711),
                generation: Some(3),
                old_workers: 1,
                ..HaProxyStatus::default()
            },
            service: Some(Status {
                pid: 42,
                started_at: before(90_000),
                ticks: 6000,
                next_tick: Some(NOW.plus(Duration::from_secs(4))),
                last_tick: Some(LastTick {
                    tick: 6000,
                    at: before(11),
                    from: 2,
                    to: 3,
                    reason: "haproxy.sessions is 24 over 2 droplets".into(),
                    restrictions: vec!["max_create_per_tick".into()],
                    error: None,
                }),
                policies: vec![PolicyStatus {
                    name: "builtin:target-tracking".into(),
                    reference: "builtin:target-tracking".into(),
                    digest: String::new(),
                    mode: Mode::Active,
                    answered_by: AnswerSource::Primary,
                    failing_since: None,
                    failures: 0,
                    last_error: None,
                }],
                api_rate_limit_remaining: Some(243),
                ..Status::default()
            }),
            no_service: None,
        }
    }

    #[test]
    fn table_shows_fleet_and_service() {
        insta::assert_snapshot!(table(&gathered()), @r"
        fleet www: 1 booting, 2 serving; limits 1 to 10, $0.0223 per hour
           0) www-0-k3f9tq  serving      2d 7h    12 sessions  UP, L7OK 200  (protected)
           1) www-1-k3f9tq  serving      2h 1m    12 sessions  UP, L7OK 200
           2) www-2-k3f9tq  booting        14s
        operation  create www-2-k3f9tq, for 15s
        service    process 42, for 1d 1h, 6000 ticks, next in 4s
        decision   11s ago: 2 → 3, haproxy.sessions is 24 over 2 droplets (guard: max_create_per_tick)
        policy     builtin:target-tracking: OK
        API        243 requests available
        HAProxy    2.6.12, worker 4711, generation 3, 1 old worker
        ");
    }

    #[test]
    fn table_shows_problems() {
        let mut snapshot = gathered();
        let pause = Pause { since: before(60), until: None, reason: "launch".into() };
        snapshot.paused = vec![(Direction::In, pause)];
        snapshot.maintenance = Some(MaintenanceStatus { since: before(30), reason: "maintenance".into() });
        snapshot.haproxy =
            HaProxyStatus { failure: Some("HAProxy did not respond".into()), ..HaProxyStatus::default() };
        let status = snapshot.service.as_mut().unwrap();
        status.last_tick = None;
        status.tick_error = Some("the tick failed".into());
        status.waiting_for = Some(LockWaitStatus { holder: "doproxy create (process 4242)".into(), since: before(12) });
        status.stale = vec!["prometheus.cpu".into()];
        status.api_error = Some("GET /v2/droplets failed: timed out".into());
        status.policies[0].failing_since = Some(before(120));
        status.policies[0].failures = 8;
        status.policies[0].answered_by = AnswerSource::LastGood;
        status.policies[0].last_error = Some("out of fuel".into());
        status.loops = vec![LoopStatus { name: "reconciler".into(), since_heartbeat_ms: 95_000, healthy: false }];

        insta::assert_snapshot!(table(&snapshot), @r"
        fleet www: 1 booting, 2 serving; limits 1 to 10, $0.0223 per hour
           0) www-0-k3f9tq  serving      2d 7h    12 sessions  UP, L7OK 200  (protected)
           1) www-1-k3f9tq  serving      2h 1m    12 sessions  UP, L7OK 200
           2) www-2-k3f9tq  booting        14s
        operation  create www-2-k3f9tq, for 15s
        paused     scaling in, until `doproxy resume`: launch
        suspended  by maintenance mode since 2026-11-23T21:25:15Z: maintenance
        service    process 42, for 1d 1h, 6000 ticks, next in 4s
        failed     the tick failed
        waits      for doproxy create (process 4242), which has held the fleet lock for 12s
        policy     builtin:target-tracking: failing for 2m 0s (8 times), using its last good component: out of fuel
        stale      prometheus.cpu
        API        GET /v2/droplets failed: timed out
        stuck      the reconciler has made no progress for 1m 35s
        HAProxy    HAProxy did not respond
        ");
    }

    #[test]
    fn table_shows_inventory_without_a_service() {
        let snapshot = StatusSnapshot {
            droplets: vec![],
            operations: vec![],
            service: None,
            no_service: Some("not running at 127.0.0.1:9464; start it with `doproxy run`".into()),
            ..gathered()
        };

        insta::assert_snapshot!(table(&snapshot), @r"
        fleet www: empty; limits 1 to 10, $0.0223 per hour
        service    not running at 127.0.0.1:9464; start it with `doproxy run`
        HAProxy    2.6.12, worker 4711, generation 3, 1 old worker
        ");
    }
}
