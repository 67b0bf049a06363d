//! The user's HAProxy settings and their validation.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use doproxy_core::domain::{FleetName, InvalidName};
use doproxy_support::file::with_suffix;
use serde::Serialize;

use crate::escape;

/// The HAProxy settings. [`HaProxy::new`](crate::haproxy::HaProxy::new) validates the values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The configuration file, written by doproxy and read by HAProxy.
    pub config_file: PathBuf,
    /// The user's own template; `None` for the built-in one.
    pub template: Option<PathBuf>,
    /// The HAProxy binary, as a path or as a name to look up in `PATH`.
    pub binary: PathBuf,
    /// The fleet's name, for people reading the configuration file.
    pub fleet: Option<FleetName>,
    /// The addresses of the frontend: `*:80`, `127.0.0.1:8080`, `[::1]:8080`.
    pub bind: Vec<String>,
    /// The port of every droplet.
    pub server_port: u16,
    /// The path of the health check; 200 to 399 is healthy.
    pub health_path: String,
    /// The time between two health checks of a droplet.
    pub check_interval: Duration,
    /// Maximum number of concurrent requests per droplet; further requests queue in HAProxy.
    pub maxconn: u32,
    /// The time that a returning droplet takes to reach its full share of traffic.
    pub slow_start: Duration,
    /// The socket from which statistics are read.
    pub stats_socket: PathBuf,
    /// The file that passes the health of the servers to the next worker.
    pub state_file: PathBuf,
    /// The address where Prometheus scrapes HAProxy, in the form of `bind`.
    pub prometheus_bind: Option<String>,
    /// The syslog socket; `None` disables logging.
    pub log: Option<PathBuf>,
    /// The user that HAProxy switches to after starting as root.
    pub run_as: Option<RunAs>,
    /// The method of reloading a running HAProxy.
    pub reload: ReloadMethod,
    /// The method of updating the set of servers.
    pub update_mode: UpdateMode,
    /// Minimum time between two reloads. An update that needs a reload waits for it; the first one does not.
    pub min_reload_interval: Duration,
    /// HAProxy's own timeouts.
    pub timeouts: Timeouts,
    /// Time limits on waiting for HAProxy.
    pub deadlines: Deadlines,
}

impl Options {
    /// Returns the settings of Debian's package, with the configuration in `config_file`.
    pub fn new(config_file: impl Into<PathBuf>) -> Self {
        let config_file = config_file.into();
        Self {
            state_file: sibling(&config_file, "state"),
            config_file,
            template: None,
            // Not looked up in `PATH`, which for users other than root does not include it.
            binary: "/usr/sbin/haproxy".into(),
            fleet: None,
            bind: vec!["*:80".into()],
            server_port: 80,
            health_path: "/".into(),
            check_interval: Duration::from_secs(2),
            maxconn: 200,
            // The server's slots grow along with its share of traffic. A client waits at most this long for a slot in
            // the queue.
            slow_start: Duration::from_secs(10),
            stats_socket: "/run/haproxy/admin.sock".into(),
            prometheus_bind: None,
            log: Some("/dev/log".into()),
            run_as: Some(RunAs {
                user: "haproxy".into(),
                group: "haproxy".into(),
                chroot: Some("/var/lib/haproxy".into()),
            }),
            reload: ReloadMethod::MasterSocket("/run/haproxy-master.sock".into()),
            update_mode: UpdateMode::Dynamic,
            min_reload_interval: Duration::from_secs(5),
            timeouts: Timeouts::default(),
            deadlines: Deadlines::default(),
        }
    }
}

/// Returns the path of `file` with `.suffix` appended.
pub(super) fn sibling(file: &Path, suffix: &str) -> PathBuf {
    with_suffix(file, &format!(".{suffix}"))
}

/// The user that HAProxy switches to after starting as root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunAs {
    /// The user.
    pub user: String,
    /// The group; its members can use the stats socket.
    pub group: String,
    /// The directory that the workers are confined to.
    pub chroot: Option<PathBuf>,
}

/// The method of reloading a running HAProxy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReloadMethod {
    /// The master socket (`haproxy -W -S PATH`), which reports success and lists old workers.
    MasterSocket(PathBuf),
    /// A program and its arguments, such as `systemctl reload haproxy`, run without a shell.
    Command(Vec<String>),
}

/// The method of updating the set of servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum UpdateMode {
    /// Commands to the running HAProxy if possible, a reload otherwise.
    #[default]
    Dynamic,
    /// A reload for every update.
    ReloadOnly,
}

/// HAProxy's own timeouts; see its configuration manual, section 4.2.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timeouts {
    /// For connecting to a droplet.
    pub connect: Duration,
    /// For inactivity of a client.
    pub client: Duration,
    /// For inactivity of a droplet.
    pub server: Duration,
    /// For a client to send the request header.
    pub http_request: Duration,
    /// For the next request on a client connection. Short because old workers wait for it.
    pub http_keep_alive: Duration,
    /// For waiting in the queue for a droplet.
    pub queue: Duration,
    /// For inactivity of a WebSocket.
    pub tunnel: Duration,
    /// For a client that has closed its side.
    pub client_fin: Duration,
    /// For a health check.
    pub check: Duration,
    /// Maximum lifetime of a worker after a reload.
    pub hard_stop_after: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            client: Duration::from_mins(1),
            server: Duration::from_mins(1),
            http_request: Duration::from_secs(10),
            http_keep_alive: Duration::from_secs(10),
            queue: Duration::from_secs(10),
            tunnel: Duration::from_hours(1),
            client_fin: Duration::from_secs(30),
            check: Duration::from_secs(3),
            hard_stop_after: Duration::from_mins(10),
        }
    }
}

/// Time limits on waiting for HAProxy. Validating and reloading 10,000 servers takes seconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deadlines {
    /// For `haproxy -c`.
    pub check: Duration,
    /// For a reload, from the request until a new worker responds.
    pub reload: Duration,
    /// For a response on a socket.
    pub response: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self { check: Duration::from_secs(30), reload: Duration::from_secs(30), response: Duration::from_secs(5) }
    }
}

/// The time between two health checks of a server that is down or changing state. Two successful checks in a row bring
/// it up, so a server that starts responding receives traffic half a second later.
const FAST_CHECK_INTERVAL: Duration = Duration::from_millis(250);

/// The options as exposed to the template, all of them validated as safe in a configuration file.
#[derive(Debug, Clone, Serialize)]
pub(super) struct TemplateContext {
    fleet: String,
    backend: &'static str,
    bind: Vec<String>,
    server_port: u16,
    health_path: String,
    check_interval: String,
    fast_check_interval: String,
    slow_start: String,
    maxconn: u32,
    timeouts: TimeoutsContext,
    stats_socket: String,
    state_file: String,
    prometheus_bind: String,
    log: String,
    run_as: Option<RunAsContext>,
}

#[derive(Debug, Clone, Serialize)]
struct RunAsContext {
    user: String,
    group: String,
    chroot: String,
}

#[derive(Debug, Clone, Serialize)]
struct TimeoutsContext {
    connect: String,
    client: String,
    server: String,
    http_request: String,
    http_keep_alive: String,
    queue: String,
    tunnel: String,
    client_fin: String,
    check: String,
    hard_stop_after: String,
}

impl TemplateContext {
    /// Validates the options and uses `state_file` in place of the configured state file.
    pub(super) fn new(options: &Options, state_file: &Path) -> Result<Self, InvalidName> {
        if options.bind.is_empty() {
            return Err(invalid("the bind address list", "", "at least one address such as *:80"));
        }
        if options.server_port == 0 {
            return Err(invalid("the server port", "0", "from 1 to 65535"));
        }
        if options.maxconn == 0 {
            return Err(invalid("the session limit of a server", "0", "at least 1"));
        }
        if let ReloadMethod::Command(words) = &options.reload
            && words.is_empty()
        {
            return Err(invalid("the reload command", "", "a program and its arguments"));
        }
        let timeouts = &options.timeouts;
        Ok(Self {
            fleet: options.fleet.as_ref().map(ToString::to_string).unwrap_or_default(),
            backend: crate::haproxy::BACKEND,
            bind: options.bind.iter().map(|text| bind(text)).collect::<Result<_, _>>()?,
            server_port: options.server_port,
            health_path: health_path(&options.health_path)?,
            check_interval: format_time("the check interval", options.check_interval)?,
            fast_check_interval: format_time("the check interval", options.check_interval.min(FAST_CHECK_INTERVAL))?,
            slow_start: format_time("the slow start", options.slow_start)?,
            maxconn: options.maxconn,
            timeouts: TimeoutsContext {
                connect: format_time("the timeout `connect`", timeouts.connect)?,
                client: format_time("the timeout `client`", timeouts.client)?,
                server: format_time("the timeout `server`", timeouts.server)?,
                http_request: format_time("the timeout `http_request`", timeouts.http_request)?,
                http_keep_alive: format_time("the timeout `http_keep_alive`", timeouts.http_keep_alive)?,
                queue: format_time("the timeout `queue`", timeouts.queue)?,
                tunnel: format_time("the timeout `tunnel`", timeouts.tunnel)?,
                client_fin: format_time("the timeout `client_fin`", timeouts.client_fin)?,
                check: format_time("the timeout `check`", timeouts.check)?,
                hard_stop_after: format_time("the timeout `hard_stop_after`", timeouts.hard_stop_after)?,
            },
            stats_socket: path("the stats socket", &options.stats_socket)?,
            state_file: path("the state file", state_file)?,
            prometheus_bind: options.prometheus_bind.as_deref().map(bind).transpose()?.unwrap_or_default(),
            log: options.log.as_deref().map(|log| path("the syslog socket", log)).transpose()?.unwrap_or_default(),
            run_as: options.run_as.as_ref().map(run_as).transpose()?,
        })
    }
}

fn run_as(run_as: &RunAs) -> Result<RunAsContext, InvalidName> {
    Ok(RunAsContext {
        user: account("the user of HAProxy", &run_as.user)?,
        group: account("the group of HAProxy", &run_as.group)?,
        chroot: run_as.chroot.as_deref().map(|dir| path("the chroot", dir)).transpose()?.unwrap_or_default(),
    })
}

fn invalid(what: &'static str, value: &str, rule: &'static str) -> InvalidName {
    InvalidName { what, value: value.to_owned(), rule }
}

/// Formats an address and a port in canonical form.
fn bind(text: &str) -> Result<String, InvalidName> {
    let wrong = || invalid("the bind address", text, "an IP address or *, a colon and a port: *:80, 127.0.0.1:8080");
    let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
    let port: u16 = port.parse().ok().filter(|port| *port > 0).ok_or_else(wrong)?;
    if host.is_empty() || host == "*" {
        return Ok(format!("*:{port}"));
    }
    let host: IpAddr = host.trim_start_matches('[').trim_end_matches(']').parse().map_err(|_| wrong())?;
    Ok(SocketAddr::new(host, port).to_string())
}

fn health_path(text: &str) -> Result<String, InvalidName> {
    if text.starts_with('/') && text.len() <= 1024 && escape::is_harmless(text) {
        return Ok(text.to_owned());
    }
    Err(invalid("the health path", text, "starts with / and consists of letters, digits and ._:-/%?=&~+,@"))
}

fn account(what: &'static str, text: &str) -> Result<String, InvalidName> {
    if escape::is_name(text) {
        return Ok(text.to_owned());
    }
    Err(invalid(what, text, "letters, digits and ._:-"))
}

fn path(what: &'static str, path: &Path) -> Result<String, InvalidName> {
    match path.to_str().filter(|text| escape::is_path(text)) {
        Some(text) => Ok(text.to_owned()),
        None => Err(invalid(
            what,
            &path.to_string_lossy(),
            "an absolute path of letters, digits and ._-/, because it becomes part of HAProxy's configuration",
        )),
    }
}

/// Formats a time for HAProxy, in the largest exact unit. HAProxy counts milliseconds in 31 bits.
fn format_time(what: &'static str, duration: Duration) -> Result<String, InvalidName> {
    let ms = u32::try_from(duration.as_millis()).ok().filter(|ms| (1..1 << 31).contains(ms));
    let Some(ms) = ms else {
        return Err(invalid(what, &format!("{duration:?}"), "between one millisecond and 24 days"));
    };
    Ok(match ms {
        ms if ms % 3_600_000 == 0 => format!("{}h", ms / 3_600_000),
        ms if ms % 60_000 == 0 => format!("{}m", ms / 60_000),
        ms if ms % 1000 == 0 => format!("{}s", ms / 1000),
        ms => format!("{ms}ms"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn setup(options: &Options) -> Result<TemplateContext, InvalidName> {
        TemplateContext::new(options, &options.state_file)
    }

    #[test]
    fn harmful_option_values_are_rejected() {
        let harmful: [fn(&mut Options); 9] = [
            |o| o.bind = vec!["*:80 ssl\nbind :81".into()],
            |o| o.bind = vec!["${SECRET}:80".into()],
            |o| o.bind = vec!["127.0.0.1:0".into()],
            |o| o.bind = vec![],
            |o| o.health_path = "/ HTTP/1.0\r\nX: y".into(),
            |o| o.health_path = "/#".into(),
            |o| o.stats_socket = "/run/a b".into(),
            |o| o.stats_socket = "abns@x".into(),
            |o| o.run_as = Some(RunAs { user: "root #".into(), group: "g".into(), chroot: None }),
        ];

        for (index, change) in harmful.iter().enumerate() {
            let mut options = Options::new("/etc/haproxy/haproxy.cfg");
            change(&mut options);

            assert!(setup(&options).is_err(), "case {index}");
        }
        assert!(setup(&Options::new("/etc/haproxy/haproxy.cfg")).is_ok());
    }

    #[test]
    fn bind_address_is_canonicalized() {
        let written: Vec<String> =
            ["*:80", ":80", "127.0.0.1:8080", "[::1]:81", "::1:81"].map(bind).map(Result::unwrap).into();

        assert_eq!(written, ["*:80", "*:80", "127.0.0.1:8080", "[::1]:81", "[::1]:81"]);
    }

    #[test]
    fn time_uses_the_largest_exact_unit() {
        let written = |ms| format_time("it", Duration::from_millis(ms)).unwrap();

        assert_eq!(
            [written(7_200_000), written(90_000), written(60_000), written(1500)],
            ["2h", "90s", "1m", "1500ms"]
        );
        assert!(format_time("it", Duration::ZERO).is_err());
    }
}
