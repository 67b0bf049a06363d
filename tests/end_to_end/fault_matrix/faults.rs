//! What can go wrong with a call or with the world, and what should come of it.

use std::fmt;

use doproxy::simulation::cloud::{CallFault, Effect, Faults, Frequency, Garble};

use super::lab::{Outcome, Story};

/// How often a call is struck, from the one that the case names on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strikes {
    Once,
    Twice,
    Always,
}

/// What a fault means for who made the call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Nature {
    /// The answer can be used.
    Harmless,
    /// There is no answer that can be used, and so no way to know whether the server acted, which it did or not.
    Unclear { acted: bool },
    /// The server certainly did not act, and may the next time.
    Passing,
    /// The hourly limit.
    Hour,
    /// The server refuses, with these words.
    Refusing(&'static str),
    /// The world changes behind everybody's back.
    Aside,
}

/// A fault that strikes calls.
#[derive(Debug, Clone, Copy)]
pub struct Fault {
    name: &'static str,
    /// `None` where no connection is made at all, which only a client can show.
    effect: Option<fn() -> Effect>,
    nature: Nature,
}

fn status(code: u16, message: Option<&str>, retry_after_s: Option<u64>, acted: bool) -> Effect {
    Effect::Status { code, message: message.map(str::to_owned), retry_after_s, acted }
}

fn garbled(how: Garble, acted: bool) -> Effect {
    Effect::Garbled { how, acted }
}

const fn fault(name: &'static str, nature: Nature, effect: fn() -> Effect) -> Fault {
    Fault { name, effect: Some(effect), nature }
}

const LOST: Nature = Nature::Unclear { acted: false };
const DONE_AND_LOST: Nature = Nature::Unclear { acted: true };

pub const CALL_FAULTS: &[Fault] = &[
    Fault { name: "connection refused", effect: None, nature: Nature::Passing },
    fault("reset", LOST, || Effect::Reset),
    fault("closed after it acted", DONE_AND_LOST, || Effect::DropResponse),
    fault("silence", LOST, || Effect::Silence { acted: false }),
    fault("silence after it acted", DONE_AND_LOST, || Effect::Silence { acted: true }),
    fault("slow", Nature::Harmless, || Effect::LatencyMs(40)),
    fault("429 of a burst", Nature::Passing, || status(429, None, Some(0), false)),
    fault("429 of the hour", Nature::Hour, || Effect::HourlyLimit { reset_after_s: 3000 }),
    fault("500", LOST, || status(500, None, None, false)),
    fault("500 after it acted", DONE_AND_LOST, || status(500, None, None, true)),
    fault("502 with a page", LOST, || Effect::Page { code: 502, acted: false }),
    fault("504 with a page after it acted", DONE_AND_LOST, || Effect::Page { code: 504, acted: true }),
    fault("503", LOST, || status(503, None, None, false)),
    fault("malformed JSON after it acted", DONE_AND_LOST, || garbled(Garble::Malformed, true)),
    fault("malformed JSON", LOST, || garbled(Garble::Malformed, false)),
    fault("truncated body after it acted", DONE_AND_LOST, || garbled(Garble::Truncated, true)),
    fault("200 with a page", LOST, || garbled(Garble::Page, false)),
    fault("wrong content type", Nature::Harmless, || garbled(Garble::WrongContentType, true)),
    fault("unknown status and fields", Nature::Harmless, || garbled(Garble::Unfamiliar, true)),
    fault("token revoked", Nature::Refusing("status 401: Unable to authenticate you."), || {
        status(401, None, None, false)
    }),
    fault("scope missing", Nature::Refusing("status 403"), || status(403, None, None, false)),
    fault("404", Nature::Refusing("status 404"), || status(404, None, None, false)),
    fault("droplet limit", Nature::Refusing("will exceed your droplet limit"), || {
        status(422, Some("creating this/these droplet(s) will exceed your droplet limit"), None, false)
    }),
    fault("sold out", Nature::Refusing("Size is not available"), || {
        status(422, Some("Size is not available in this region."), None, false)
    }),
    fault("nonsense", Nature::Refusing("status 422: Nonsense."), || status(422, Some("Nonsense."), None, false)),
    fault("pending event", Nature::Passing, || status(422, Some("Droplet already has a pending event."), None, false)),
    fault("try again", Nature::Passing, || status(422, Some("Please try again."), None, false)),
    fault("the youngest droplet vanishes", Nature::Aside, || Effect::Vanished),
    fault("all addresses change", Nature::Aside, || Effect::MovedAddresses),
];

impl Fault {
    /// Whether it differs from the others for that call: reading changes nothing, so "after it acted" means nothing.
    pub fn concerns(&self, call: &str) -> bool {
        let is_about_acting = self.name.ends_with("after it acted");
        !call.starts_with("GET ") || !is_about_acting || self.name.starts_with("truncated")
    }

    pub fn strikes(&self, call: &str) -> &'static [Strikes] {
        match self.nature {
            Nature::Aside => &[Strikes::Once],
            // The pauses of a create that is refused for good come to half a minute.
            Nature::Passing if call == "POST /v2/droplets" => &[Strikes::Once, Strikes::Twice],
            _ => &[Strikes::Once, Strikes::Always],
        }
    }
}

/// A fault that is not one of a call.
#[derive(Debug, Clone)]
pub struct WorldFault {
    name: &'static str,
    faults: Faults,
    expected: fn(Story) -> Expected,
}

/// Faults of the world. Importing meets none of them: the droplets are there already.
pub fn world_faults() -> Vec<WorldFault> {
    let fault = |name, faults, expected| WorldFault { name, faults, expected };
    let none = Faults::default;
    vec![
        fault("lists lag", Faults { list_lag_ms: 60, ..none() }, |_| Expected::Done),
        fault("404 just after the create", Faults { not_found_after_create_ms: 60, ..none() }, |_| Expected::Done),
        fault("stuck in new", Faults { stuck_in_new: Frequency::Always, ..none() }, |story| {
            story.if_creating(Expected::GaveUp("it is new without an address"))
        }),
        fault("active without an address", Faults { active_without_address: Frequency::Next(1), ..none() }, |story| {
            story.if_creating(Expected::GaveUp("it is active without an address"))
        }),
        // One whose id was never told is not missed: it is looked for in vain, and asked for again.
        fault("taken and never made", Faults { lost_creates: Frequency::Next(1), ..none() }, |story| match story {
            Story::Create => Expected::GaveUp("is not at DigitalOcean any more"),
            _ => Expected::Done,
        }),
        fault("delete accepted and not done, twice", Faults { ignored_deletes: Frequency::Next(2), ..none() }, |_| {
            Expected::Done
        }),
        fault("delete accepted and never done", Faults { ignored_deletes: Frequency::Always, ..none() }, |story| {
            if story == Story::Delete { Expected::Failed("is still deleting") } else { Expected::Done }
        }),
        fault("droplet limit", Faults { droplet_limit: Some(1), ..none() }, |story| {
            story.if_creating(Expected::GaveUp("will exceed your droplet limit"))
        }),
        fault("sold out", Faults { sold_out_sizes: vec!["s-1vcpu-1gb".to_owned()], ..none() }, |story| {
            story.if_creating(Expected::GaveUp("Size is not available in this region."))
        }),
    ]
}

/// What should come of a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// What was asked for is done.
    Done,
    /// Droplets were given up, with these words.
    GaveUp(&'static str),
    /// The command fails with these words.
    Failed(&'static str),
    /// Any of these, since it depends on how far things were.
    Ended,
}

impl Expected {
    pub fn is_met_by(self, outcome: &Outcome) -> bool {
        match (self, outcome) {
            (_, Outcome::NeverEnded) => false,
            (Self::Ended, _) | (Self::Done, Outcome::Done) => true,
            (Self::GaveUp(words), Outcome::GaveUp(said)) | (Self::Failed(words), Outcome::Failed(said)) => {
                said.contains(words)
            }
            _ => false,
        }
    }
}

/// A story, and what strikes it.
#[derive(Debug, Clone)]
pub struct Case {
    pub story: Story,
    struck: Struck,
}

#[derive(Debug, Clone)]
enum Struck {
    Not,
    Call { call: String, nth: u32, fault: Fault, strikes: Strikes },
    World(WorldFault),
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.struck {
            Struck::Not => write!(f, "{:?}", self.story),
            Struck::Call { call, nth, fault, strikes } => {
                write!(f, "{:?}: {}, {strikes:?} from {call} no. {nth} on", self.story, fault.name)
            }
            Struck::World(fault) => write!(f, "{:?}: {}", self.story, fault.name),
        }
    }
}

impl Case {
    pub fn calm(story: Story) -> Self {
        Self { story, struck: Struck::Not }
    }

    pub fn of_call(story: Story, call: &str, nth: u32, fault: Fault, strikes: Strikes) -> Self {
        Self { story, struck: Struck::Call { call: call.to_owned(), nth, fault, strikes } }
    }

    pub fn of_world(story: Story, fault: WorldFault) -> Self {
        Self { story, struck: Struck::World(fault) }
    }

    /// The faults of the emulator, those of the story itself among them.
    pub fn faults(&self) -> Faults {
        let mut faults = match &self.struck {
            Struck::World(fault) => fault.faults.clone(),
            _ => Faults::default(),
        };
        if let Struck::Call { call, fault, .. } = &self.struck {
            faults.calls.extend(fault.effect.map(|effect| on_call(call, self.frequency(), effect())));
        }
        if self.story == Story::CreateWithALostAnswer {
            faults.calls.push(on_call("POST /v2/droplets", Frequency::Next(1), Effect::DropResponse));
        }
        faults
    }

    /// Whether a client should not listen for long.
    pub fn is_silent(&self) -> bool {
        matches!(&self.struck, Struck::Call { fault, .. } if fault.name.starts_with("silence"))
    }

    /// The call for which no connection is made, and how often.
    pub fn unplugged(&self) -> Option<(String, Frequency)> {
        match &self.struck {
            Struck::Call { call, fault, .. } if fault.effect.is_none() => Some((call.clone(), self.frequency())),
            _ => None,
        }
    }

    fn frequency(&self) -> Frequency {
        let Struck::Call { nth, strikes, .. } = &self.struck else { return Frequency::Never };
        let next = match strikes {
            Strikes::Once => Some(1),
            Strikes::Twice => Some(2),
            Strikes::Always => None,
        };
        Frequency::Later { after: nth - 1, next }
    }

    /// What should come of it.
    pub fn expected(&self) -> Expected {
        match &self.struck {
            Struck::Not => Expected::Done,
            Struck::World(fault) => (fault.expected)(self.story),
            Struck::Call { call, nth, fault, strikes } => expected(self.story, call, *nth, fault, *strikes),
        }
    }
}

fn on_call(call: &str, when: Frequency, effect: Effect) -> CallFault {
    let (method, path) = call.split_once(' ').unwrap();
    CallFault { method: Some(method.to_owned()), path: Some(path.to_owned()), when, effect }
}

/// The rules, by what the call is for.
fn expected(story: Story, call: &str, nth: u32, fault: &Fault, strikes: Strikes) -> Expected {
    let for_good = strikes == Strikes::Always;
    if fault.nature == Nature::Aside {
        return Expected::Ended;
    }
    if fault.nature == Nature::Harmless {
        // A status that nobody knows is not `active`, for however long it is waited for.
        let never_active = fault.name.starts_with("unknown") && call == "GET /v2/droplets" && for_good;
        let waiting = Expected::GaveUp("it is levitating");
        return if never_active { story.if_creating(waiting) } else { Expected::Done };
    }
    match (story, call) {
        (_, "POST /v2/droplets") => creating(fault.nature, strikes),
        (Story::Delete, "GET /v2/droplets/{id}" | "DELETE /v2/droplets/{id}") => deleting(call, nth, fault, for_good),
        (Story::Import, "GET /v2/droplets/{id}") if fault.nature == Nature::Refusing("status 404") => {
            Expected::GaveUp("missing")
        }
        (Story::Import, "POST /v2/tags") if fault.nature.is_unprocessable() => {
            // The tag may be there already, and is when the second droplet gets it.
            if nth == 1 { Expected::Failed("status 404") } else { Expected::Done }
        }
        _ => reading(fault, for_good),
    }
}

impl Nature {
    /// A 422 that says nothing of droplets.
    fn is_unprocessable(self) -> bool {
        self == Self::Refusing("status 422: Nonsense.")
    }
}

/// What is asked again a few times by the client itself.
fn reading(fault: &Fault, for_good: bool) -> Expected {
    match fault.nature {
        // Without a connection the client has tried all its times already.
        Nature::Passing if fault.name == "connection refused" => Expected::Failed("no connection: Connection refused"),
        Nature::Unclear { .. } | Nature::Passing if for_good => Expected::Failed("(after 3 attempts)"),
        Nature::Unclear { .. } | Nature::Passing | Nature::Harmless | Nature::Aside => Expected::Done,
        Nature::Hour => Expected::Failed("status 429"),
        Nature::Refusing(words) => Expected::Failed(words),
    }
}

/// What is sent once, and looked for when it is not known what became of it.
fn creating(nature: Nature, strikes: Strikes) -> Expected {
    match nature {
        Nature::Unclear { acted: false } if strikes == Strikes::Always => Expected::GaveUp("did not show up"),
        Nature::Unclear { .. } | Nature::Harmless | Nature::Aside | Nature::Passing => Expected::Done,
        Nature::Hour => Expected::GaveUp("status 429"),
        Nature::Refusing(words) => Expected::GaveUp(words),
    }
}

/// What is asked for in each pass until it is done or overdue.
fn deleting(call: &str, nth: u32, fault: &Fault, for_good: bool) -> Expected {
    // Only a success is garbled, and once the droplet is gone the answer is 404.
    let is_garbled = matches!(fault.effect.map(|effect| effect()), Some(Effect::Garbled { acted: true, .. }));
    let acts = call.starts_with("DELETE") || nth > 1;
    match fault.nature {
        _ if is_garbled && acts => Expected::Done,
        Nature::Refusing(words) if words.contains("40") && !words.contains("404") => Expected::Failed(words),
        // It is not there: that is what was wanted, and what GET has to confirm.
        Nature::Refusing("status 404") if call.starts_with("GET") => Expected::Done,
        // After the hour is used up not even the list is asked for.
        Nature::Hour => Expected::Failed("doproxy's own budget is used up"),
        _ if for_good => Expected::Failed("is still deleting"),
        _ => Expected::Done,
    }
}
