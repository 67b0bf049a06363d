//! What can go wrong with a call or with the world, and what should come of it.

use std::fmt;

use doproxy::simulation::cloud::{CallFault, CorruptBody, Effect, Faults, Frequency};

use super::lab::{Outcome, Scenario};

/// How often a call is struck, from the one that the case names on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repetition {
    Once,
    Twice,
    Always,
}

/// What a fault means for who made the call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FaultKind {
    /// The answer can be used.
    Harmless,
    /// There is no answer that can be used, and so no way to know whether the server acted, which it did or not.
    OutcomeUnknown { acted: bool },
    /// The server certainly did not act, and may the next time.
    Transient,
    /// The hourly limit.
    HourlyLimit,
    /// The server refuses, with these words.
    Rejected(&'static str),
    /// The world changes behind everybody's back.
    OutOfBand,
}

/// A fault that strikes calls.
#[derive(Debug, Clone, Copy)]
pub struct Fault {
    name: &'static str,
    /// `None` where no connection is made at all, which only a client can show.
    effect: Option<fn() -> Effect>,
    kind: FaultKind,
}

fn status(code: u16, message: Option<&str>, retry_after_s: Option<u64>, acted: bool) -> Effect {
    Effect::Status { code, message: message.map(str::to_owned), retry_after_s, acted }
}

fn corrupted(how: CorruptBody, acted: bool) -> Effect {
    Effect::Garbled { how, acted }
}

const fn fault(name: &'static str, nature: FaultKind, effect: fn() -> Effect) -> Fault {
    Fault { name, effect: Some(effect), kind: nature }
}

const REQUEST_LOST: FaultKind = FaultKind::OutcomeUnknown { acted: false };
const RESPONSE_LOST: FaultKind = FaultKind::OutcomeUnknown { acted: true };

pub const CALL_FAULTS: &[Fault] = &[
    Fault { name: "connection refused", effect: None, kind: FaultKind::Transient },
    fault("reset", REQUEST_LOST, || Effect::Reset),
    fault("closed after it acted", RESPONSE_LOST, || Effect::DropResponse),
    fault("silence", REQUEST_LOST, || Effect::Silence { acted: false }),
    fault("silence after it acted", RESPONSE_LOST, || Effect::Silence { acted: true }),
    fault("slow", FaultKind::Harmless, || Effect::LatencyMs(40)),
    fault("429 of a burst", FaultKind::Transient, || status(429, None, Some(0), false)),
    fault("429 of the hour", FaultKind::HourlyLimit, || Effect::HourlyLimit { reset_after_s: 3000 }),
    fault("500", REQUEST_LOST, || status(500, None, None, false)),
    fault("500 after it acted", RESPONSE_LOST, || status(500, None, None, true)),
    fault("502 with a page", REQUEST_LOST, || Effect::Page { code: 502, acted: false }),
    fault("504 with a page after it acted", RESPONSE_LOST, || Effect::Page { code: 504, acted: true }),
    fault("503", REQUEST_LOST, || status(503, None, None, false)),
    fault("malformed JSON after it acted", RESPONSE_LOST, || corrupted(CorruptBody::Malformed, true)),
    fault("malformed JSON", REQUEST_LOST, || corrupted(CorruptBody::Malformed, false)),
    fault("truncated body after it acted", RESPONSE_LOST, || corrupted(CorruptBody::Truncated, true)),
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
    fault("the youngest droplet vanishes", FaultKind::OutOfBand, || Effect::Vanished),
    fault("all addresses change", FaultKind::OutOfBand, || Effect::MovedAddresses),
];

impl Fault {
    /// Whether it differs from the others for that call: reading changes nothing, so "after it acted" means nothing.
    pub fn applies_to(&self, call: &str) -> bool {
        let is_about_acting = self.name.ends_with("after it acted");
        !call.starts_with("GET ") || !is_about_acting || self.name.starts_with("truncated")
    }

    pub fn repetitions(&self, call: &str) -> &'static [Repetition] {
        match self.kind {
            FaultKind::OutOfBand => &[Repetition::Once],
            // The pauses of a create that is refused for good come to half a minute.
            FaultKind::Transient if call == "POST /v2/droplets" => &[Repetition::Once, Repetition::Twice],
            _ => &[Repetition::Once, Repetition::Always],
        }
    }
}

/// A fault that is not one of a call.
#[derive(Debug, Clone)]
pub struct CloudFault {
    name: &'static str,
    faults: Faults,
    expected: fn(Scenario) -> Expected,
}

/// Faults of the world. Importing meets none of them: the droplets are there already.
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
        // One whose id was never told is not missed: it is looked for in vain, and asked for again.
        fault("taken and never made", Faults { lost_creates: Frequency::Next(1), ..none() }, |story| match story {
            Scenario::Create => Expected::Abandoned("is not at DigitalOcean any more"),
            _ => Expected::Done,
        }),
        fault("delete accepted and not done, twice", Faults { ignored_deletes: Frequency::Next(2), ..none() }, |_| {
            Expected::Done
        }),
        fault("delete accepted and never done", Faults { ignored_deletes: Frequency::Always, ..none() }, |story| {
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

/// What should come of a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// What was asked for is done.
    Done,
    /// Droplets were given up, with these words.
    Abandoned(&'static str),
    /// The command fails with these words.
    Failed(&'static str),
    /// Any of these, since it depends on how far things were.
    Any,
}

impl Expected {
    pub fn is_met_by(self, outcome: &Outcome) -> bool {
        match (self, outcome) {
            (_, Outcome::TimedOut) => false,
            (Self::Any, _) | (Self::Done, Outcome::Done) => true,
            (Self::Abandoned(words), Outcome::Abandoned(said)) | (Self::Failed(words), Outcome::Failed(said)) => {
                said.contains(words)
            }
            _ => false,
        }
    }
}

/// A story, and what strikes it.
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

    /// The faults of the emulator, those of the story itself among them.
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

    /// Whether a client should not listen for long.
    pub fn expects_read_timeout(&self) -> bool {
        matches!(&self.injected, InjectedFault::Call { fault, .. } if fault.name.starts_with("silence"))
    }

    /// The call for which no connection is made, and how often.
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

    /// What should come of it.
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

/// The rules, by what the call is for.
fn expected(story: Scenario, call: &str, nth: u32, fault: &Fault, strikes: Repetition) -> Expected {
    let for_good = strikes == Repetition::Always;
    if fault.kind == FaultKind::OutOfBand {
        return Expected::Any;
    }
    if fault.kind == FaultKind::Harmless {
        // A status that nobody knows is not `active`, for however long it is waited for.
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
            // The tag may be there already, and is when the second droplet gets it.
            if nth == 1 { Expected::Failed("status 404") } else { Expected::Done }
        }
        _ => expected_for_read(fault, for_good),
    }
}

impl FaultKind {
    /// A 422 that says nothing of droplets.
    fn is_unprocessable(self) -> bool {
        self == Self::Rejected("status 422: Nonsense.")
    }
}

/// What is asked again a few times by the client itself.
fn expected_for_read(fault: &Fault, for_good: bool) -> Expected {
    match fault.kind {
        // Without a connection the client has tried all its times already.
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

/// What is sent once, and looked for when it is not known what became of it.
fn expected_for_create(nature: FaultKind, strikes: Repetition) -> Expected {
    match nature {
        FaultKind::OutcomeUnknown { acted: false } if strikes == Repetition::Always => {
            Expected::Abandoned("did not show up")
        }
        FaultKind::OutcomeUnknown { .. } | FaultKind::Harmless | FaultKind::OutOfBand | FaultKind::Transient => {
            Expected::Done
        }
        FaultKind::HourlyLimit => Expected::Abandoned("status 429"),
        FaultKind::Rejected(words) => Expected::Abandoned(words),
    }
}

/// What is asked for in each pass until it is done or overdue.
fn expected_for_delete(call: &str, nth: u32, fault: &Fault, for_good: bool) -> Expected {
    // Only a success is garbled, and once the droplet is gone the answer is 404.
    let is_garbled = matches!(fault.effect.map(|effect| effect()), Some(Effect::Garbled { acted: true, .. }));
    let acts = call.starts_with("DELETE") || nth > 1;
    match fault.kind {
        _ if is_garbled && acts => Expected::Done,
        FaultKind::Rejected(words) if words.contains("40") && !words.contains("404") => Expected::Failed(words),
        // It is not there: that is what was wanted, and what GET has to confirm.
        FaultKind::Rejected("status 404") if call.starts_with("GET") => Expected::Done,
        // After the hour is used up not even the list is asked for.
        FaultKind::HourlyLimit => Expected::Failed("doproxy's own budget is used up"),
        _ if for_good => Expected::Failed("is still deleting"),
        _ => Expected::Done,
    }
}
