//! Faults of API calls and of the cloud, and their expected outcomes.

use std::fmt;

use doproxy_emulator::{CallFault, CorruptBody, Effect, Faults, Frequency};

use super::fault_harness::{Outcome, Scenario};

/// The number of affected calls, starting with the one in the test case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repetition {
    Once,
    Twice,
    Always,
}

/// The effect of a fault on the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FaultKind {
    /// The response is usable.
    Harmless,
    /// No usable response arrives, so the caller cannot know whether the server executed the call; `applied` is the
    /// truth.
    OutcomeUnknown { applied: bool },
    /// The server certainly did not execute the call, and may do so on a retry.
    Transient,
    /// The hourly limit.
    HourlyLimit,
    /// The server rejects the call with this message.
    Rejected(&'static str),
    /// The cloud changes out of band.
    OutOfBand,
}

/// A fault that affects calls.
#[derive(Debug, Clone, Copy)]
pub struct Fault {
    name: &'static str,
    /// `None` if no connection is established, which only the client can simulate.
    effect: Option<fn() -> Effect>,
    kind: FaultKind,
}

fn status(code: u16, message: Option<&str>, retry_after_s: Option<u64>, applied: bool) -> Effect {
    Effect::Status { code, message: message.map(str::to_owned), retry_after_s, applied }
}

fn corrupted(kind: CorruptBody, applied: bool) -> Effect {
    Effect::Corrupt { kind, applied }
}

const fn fault(name: &'static str, nature: FaultKind, effect: fn() -> Effect) -> Fault {
    Fault { name, effect: Some(effect), kind: nature }
}

const REQUEST_LOST: FaultKind = FaultKind::OutcomeUnknown { applied: false };
const RESPONSE_LOST: FaultKind = FaultKind::OutcomeUnknown { applied: true };

pub const CALL_FAULTS: &[Fault] = &[
    Fault { name: "connection refused", effect: None, kind: FaultKind::Transient },
    fault("reset", REQUEST_LOST, || Effect::Reset),
    fault("closed after execution", RESPONSE_LOST, || Effect::DropResponse),
    fault("silence", REQUEST_LOST, || Effect::NoResponse { applied: false }),
    fault("silence after execution", RESPONSE_LOST, || Effect::NoResponse { applied: true }),
    fault("slow", FaultKind::Harmless, || Effect::LatencyMs(40)),
    fault("429 of a burst", FaultKind::Transient, || status(429, None, Some(0), false)),
    fault("429 of the hour", FaultKind::HourlyLimit, || Effect::HourlyLimit { reset_after_s: 3000 }),
    fault("500", REQUEST_LOST, || status(500, None, None, false)),
    fault("500 after execution", RESPONSE_LOST, || status(500, None, None, true)),
    fault("502 with a page", REQUEST_LOST, || Effect::Page { code: 502, applied: false }),
    fault("504 with a page after execution", RESPONSE_LOST, || Effect::Page { code: 504, applied: true }),
    fault("503", REQUEST_LOST, || status(503, None, None, false)),
    fault("malformed JSON after execution", RESPONSE_LOST, || corrupted(CorruptBody::Malformed, true)),
    fault("malformed JSON", REQUEST_LOST, || corrupted(CorruptBody::Malformed, false)),
    fault("truncated body after execution", RESPONSE_LOST, || corrupted(CorruptBody::Truncated, true)),
    fault("200 with a page", REQUEST_LOST, || corrupted(CorruptBody::Page, false)),
    fault("wrong content type", FaultKind::Harmless, || corrupted(CorruptBody::WrongContentType, true)),
    fault("unknown status and fields", FaultKind::Harmless, || corrupted(CorruptBody::Unfamiliar, true)),
    fault("token revoked", FaultKind::Rejected("status 401: Unable to authenticate you."), || {
        status(401, None, None, false)
    }),
    fault("scope missing", FaultKind::Rejected("status 403"), || status(403, None, None, false)),
    fault("404", FaultKind::Rejected("status 404"), || status(404, None, None, false)),
    fault("droplet limit", FaultKind::Rejected("will exceed your droplet limit"), || {
        status(422, Some("creating this/these droplet(s) will exceed your droplet limit"), None, false)
    }),
    fault("sold out", FaultKind::Rejected("Size is not available"), || {
        status(422, Some("Size is not available in this region."), None, false)
    }),
    fault("nonsense", FaultKind::Rejected("status 422: Nonsense."), || status(422, Some("Nonsense."), None, false)),
    fault("pending event", FaultKind::Transient, || {
        status(422, Some("Droplet already has a pending event."), None, false)
    }),
    fault("try again", FaultKind::Transient, || status(422, Some("Please try again."), None, false)),
    fault("the newest droplet disappears", FaultKind::OutOfBand, || Effect::Vanished),
    fault("all addresses change", FaultKind::OutOfBand, || Effect::MovedAddresses),
];

impl Fault {
    /// Reports whether the fault is distinct for this call: a read changes nothing, so "after execution" makes no
    /// difference.
    pub fn applies_to(&self, call: &str) -> bool {
        let is_about_acting = self.name.ends_with("after execution");
        !call.starts_with("GET ") || !is_about_acting || self.name.starts_with("truncated")
    }

    pub fn repetitions(&self, call: &str) -> &'static [Repetition] {
        match self.kind {
            FaultKind::OutOfBand => &[Repetition::Once],
            // The delays of a create that is rejected permanently would add up to half a minute.
            FaultKind::Transient if call == "POST /v2/droplets" => &[Repetition::Once, Repetition::Twice],
            _ => &[Repetition::Once, Repetition::Always],
        }
    }
}

/// A fault that is not tied to a call.
#[derive(Debug, Clone)]
pub struct CloudFault {
    name: &'static str,
    faults: Faults,
    expected: fn(Scenario) -> Expected,
}

/// Returns the faults of the cloud. Imports meet none of them: the droplets already exist.
pub fn cloud_faults() -> Vec<CloudFault> {
    let fault = |name, faults, expected| CloudFault { name, faults, expected };
    let none = Faults::default;
    vec![
        fault("lists lag", Faults { list_lag_ms: 60, ..none() }, |_| Expected::Done),
        fault("404 just after the create", Faults { not_found_after_create_ms: 60, ..none() }, |_| Expected::Done),
        fault("stuck in new", Faults { stuck_in_new: Frequency::Always, ..none() }, |story| {
            story.expect_for_creates(Expected::Abandoned("it is new without an address"))
        }),
        fault("active without an address", Faults { active_without_address: Frequency::Next(1), ..none() }, |story| {
            story.expect_for_creates(Expected::Abandoned("it is active without an address"))
        }),
        // A droplet whose ID was never returned is not missed: the look-up by name fails, and the create is retried.
        fault(
            "accepted but never created",
            Faults { lost_creates: Frequency::Next(1), ..none() },
            |story| match story {
                Scenario::Create => Expected::Abandoned("no longer exists at DigitalOcean"),
                _ => Expected::Done,
            },
        ),
        fault(
            "delete accepted but not executed, twice",
            Faults { ignored_deletes: Frequency::Next(2), ..none() },
            |_| Expected::Done,
        ),
        fault("delete accepted but never executed", Faults { ignored_deletes: Frequency::Always, ..none() }, |story| {
            if story == Scenario::Delete { Expected::Failed("is still deleting") } else { Expected::Done }
        }),
        fault("droplet limit", Faults { droplet_limit: Some(1), ..none() }, |story| {
            story.expect_for_creates(Expected::Abandoned("will exceed your droplet limit"))
        }),
        fault("sold out", Faults { sold_out_sizes: vec!["s-1vcpu-1gb".to_owned()], ..none() }, |story| {
            story.expect_for_creates(Expected::Abandoned("Size is not available in this region."))
        }),
    ]
}

/// The expected outcome of a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// The command succeeds.
    Done,
    /// Droplets are abandoned with this message.
    Abandoned(&'static str),
    /// The command fails with this message.
    Failed(&'static str),
    /// Any of these, depending on the progress at the time of the fault.
    Any,
}

impl Expected {
    pub fn is_met_by(self, outcome: &Outcome) -> bool {
        match (self, outcome) {
            (_, Outcome::TimedOut) => false,
            (Self::Any, _) | (Self::Done, Outcome::Done) => true,
            (Self::Abandoned(words), Outcome::Abandoned(output)) | (Self::Failed(words), Outcome::Failed(output)) => {
                output.contains(words)
            }
            _ => false,
        }
    }
}

/// A scenario with an injected fault.
#[derive(Debug, Clone)]
pub struct Case {
    pub scenario: Scenario,
    injected: InjectedFault,
}

#[derive(Debug, Clone)]
enum InjectedFault {
    NoFault,
    Call { call: String, nth: u32, fault: Fault, strikes: Repetition },
    Cloud(CloudFault),
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.injected {
            InjectedFault::NoFault => write!(f, "{:?}", self.scenario),
            InjectedFault::Call { call, nth, fault, strikes } => {
                write!(f, "{:?}: {}, {strikes:?} from {call} no. {nth} on", self.scenario, fault.name)
            }
            InjectedFault::Cloud(fault) => write!(f, "{:?}: {}", self.scenario, fault.name),
        }
    }
}

impl Case {
    pub fn without_fault(story: Scenario) -> Self {
        Self { scenario: story, injected: InjectedFault::NoFault }
    }

    pub fn with_call_fault(story: Scenario, call: &str, nth: u32, fault: Fault, strikes: Repetition) -> Self {
        Self { scenario: story, injected: InjectedFault::Call { call: call.to_owned(), nth, fault, strikes } }
    }

    pub fn with_cloud_fault(story: Scenario, fault: CloudFault) -> Self {
        Self { scenario: story, injected: InjectedFault::Cloud(fault) }
    }

    /// Returns the faults for the emulator, including those of the scenario itself.
    pub fn faults(&self) -> Faults {
        let mut faults = match &self.injected {
            InjectedFault::Cloud(fault) => fault.faults.clone(),
            _ => Faults::default(),
        };
        if let InjectedFault::Call { call, fault, .. } = &self.injected {
            faults.calls.extend(fault.effect.map(|effect| call_fault(call, self.frequency(), effect())));
        }
        if self.scenario == Scenario::CreateWithLostResponse {
            faults.calls.push(call_fault("POST /v2/droplets", Frequency::Next(1), Effect::DropResponse));
        }
        faults
    }

    /// Reports whether the client needs a short read timeout.
    pub fn expects_read_timeout(&self) -> bool {
        matches!(&self.injected, InjectedFault::Call { fault, .. } if fault.name.starts_with("silence"))
    }

    /// Returns the call for which connections are refused, and how often.
    pub fn refused_call(&self) -> Option<(String, Frequency)> {
        match &self.injected {
            InjectedFault::Call { call, fault, .. } if fault.effect.is_none() => Some((call.clone(), self.frequency())),
            _ => None,
        }
    }

    fn frequency(&self) -> Frequency {
        let InjectedFault::Call { nth, strikes, .. } = &self.injected else { return Frequency::Never };
        let next = match strikes {
            Repetition::Once => Some(1),
            Repetition::Twice => Some(2),
            Repetition::Always => None,
        };
        Frequency::Later { after: nth - 1, next }
    }

    /// Returns the expected outcome of the case.
    pub fn expected(&self) -> Expected {
        match &self.injected {
            InjectedFault::NoFault => Expected::Done,
            InjectedFault::Cloud(fault) => (fault.expected)(self.scenario),
            InjectedFault::Call { call, nth, fault, strikes } => expected(self.scenario, call, *nth, fault, *strikes),
        }
    }
}

fn call_fault(call: &str, when: Frequency, effect: Effect) -> CallFault {
    let (method, path) = call.split_once(' ').unwrap();
    CallFault { method: Some(method.to_owned()), path: Some(path.to_owned()), when, effect }
}

/// Returns the expected outcome by the purpose of the call.
fn expected(story: Scenario, call: &str, nth: u32, fault: &Fault, strikes: Repetition) -> Expected {
    let for_good = strikes == Repetition::Always;
    if fault.kind == FaultKind::OutOfBand {
        return Expected::Any;
    }
    if fault.kind == FaultKind::Harmless {
        // An unknown status is not `active`, no matter how long the command waits.
        let never_active = fault.name.starts_with("unknown") && call == "GET /v2/droplets" && for_good;
        let waiting = Expected::Abandoned("it is levitating");
        return if never_active { story.expect_for_creates(waiting) } else { Expected::Done };
    }
    match (story, call) {
        (_, "POST /v2/droplets") => expected_for_create(fault.kind, strikes),
        (Scenario::Delete, "GET /v2/droplets/{id}" | "DELETE /v2/droplets/{id}") => {
            expected_for_delete(call, nth, fault, for_good)
        }
        (Scenario::Import, "GET /v2/droplets/{id}") if fault.kind == FaultKind::Rejected("status 404") => {
            Expected::Abandoned("missing")
        }
        (Scenario::Import, "POST /v2/tags") if fault.kind.is_unprocessable() => {
            // The tag may already exist, and does for the second droplet.
            if nth == 1 { Expected::Failed("status 404") } else { Expected::Done }
        }
        _ => expected_for_read(fault, for_good),
    }
}

impl FaultKind {
    /// Reports whether this is a 422 unrelated to droplets.
    fn is_unprocessable(self) -> bool {
        self == Self::Rejected("status 422: Nonsense.")
    }
}

/// Returns the expected outcome of a call that the client itself retries.
fn expected_for_read(fault: &Fault, for_good: bool) -> Expected {
    match fault.kind {
        // Without a connection, the client has used up its attempts.
        FaultKind::Transient if fault.name == "connection refused" => {
            Expected::Failed("no connection: Connection refused")
        }
        FaultKind::OutcomeUnknown { .. } | FaultKind::Transient if for_good => Expected::Failed("(after 3 attempts)"),
        FaultKind::OutcomeUnknown { .. } | FaultKind::Transient | FaultKind::Harmless | FaultKind::OutOfBand => {
            Expected::Done
        }
        FaultKind::HourlyLimit => Expected::Failed("status 429"),
        FaultKind::Rejected(words) => Expected::Failed(words),
    }
}

/// Returns the expected outcome of a call that is sent once, and followed by a look-up if its outcome is unknown.
fn expected_for_create(nature: FaultKind, strikes: Repetition) -> Expected {
    match nature {
        FaultKind::OutcomeUnknown { applied: false } if strikes == Repetition::Always => {
            Expected::Abandoned("did not appear")
        }
        FaultKind::OutcomeUnknown { .. } | FaultKind::Harmless | FaultKind::OutOfBand | FaultKind::Transient => {
            Expected::Done
        }
        FaultKind::HourlyLimit => Expected::Abandoned("status 429"),
        FaultKind::Rejected(words) => Expected::Abandoned(words),
    }
}

/// Returns the expected outcome of a call that every reconcile pass repeats until the droplet is deleted or the
/// deadline passes.
fn expected_for_delete(call: &str, nth: u32, fault: &Fault, for_good: bool) -> Expected {
    // Only successful responses are corrupted, and once the droplet is deleted the response is 404.
    let is_garbled = matches!(fault.effect.map(|effect| effect()), Some(Effect::Corrupt { applied: true, .. }));
    let acts = call.starts_with("DELETE") || nth > 1;
    match fault.kind {
        _ if is_garbled && acts => Expected::Done,
        FaultKind::Rejected(words) if words.contains("40") && !words.contains("404") => Expected::Failed(words),
        // The droplet does not exist: this is the goal, and GET must confirm it.
        FaultKind::Rejected("status 404") if call.starts_with("GET") => Expected::Done,
        // Once the hourly quota is used up, not even the list is requested.
        FaultKind::HourlyLimit => Expected::Failed("hourly API quota used up"),
        _ if for_good => Expected::Failed("is still deleting"),
        _ => Expected::Done,
    }
}
