//! Going through a fixture, tick by tick.

use std::time::{Duration, Instant};

use super::expectation::{Actual, CallErrorKind};
use super::fixture::{Fixture, FixtureFile, RequestFixture};
use super::observation_builder::{DEFAULT_INTERVAL, ObservationFixture};
use super::properties::PropertyOutcome;
use super::values::FixtureTime;
use crate::model::{Manifest, Observation, UserData, UserDataRequest};
use crate::plugin::{CallOutput, Generator, LogLine, PluginError, Policy};

/// What is tested.
#[derive(Debug)]
pub enum Subject {
    /// A policy.
    Policy(Policy),
    /// A generator.
    Generator(Generator),
}

/// How one tick went.
#[derive(Debug, Clone, PartialEq)]
pub struct TickRun {
    /// What came out.
    pub actual: Actual,
    /// What is not as expected.
    pub mismatches: Vec<String>,
    /// Whether it is said what is expected.
    pub is_expected: bool,
    /// Fuel.
    pub fuel: u64,
    /// Bytes of memory.
    pub memory_bytes: usize,
    /// What the plugin logged.
    pub log: Vec<LogLine>,
}

/// How a fixture went.
#[derive(Debug, Clone, PartialEq)]
pub struct FixtureRun {
    /// Its name.
    pub name: String,
    /// Tick by tick; one for a fixture without `ticks`.
    pub ticks: Vec<TickRun>,
    /// What is wrong with the fixture itself, or which rule does not hold.
    pub failure: Option<String>,
    /// What should be looked at, and fails nothing.
    pub warning: Option<String>,
    /// How long it took.
    pub duration: Duration,
}

impl FixtureRun {
    /// Whether all is as expected.
    pub fn passed(&self) -> bool {
        self.failure.is_none() && self.ticks.iter().all(|tick| tick.mismatches.is_empty())
    }

    /// What is wrong, in lines.
    pub fn problems(&self) -> Vec<String> {
        let several = self.ticks.len() > 1;
        let of_ticks = self.ticks.iter().enumerate().flat_map(|(index, tick)| {
            tick.mismatches
                .iter()
                .map(move |mismatch| if several { format!("tick {}: {mismatch}", index + 1) } else { mismatch.clone() })
        });
        self.failure.iter().cloned().chain(of_ticks).collect()
    }

    /// The most fuel of its calls.
    pub fn fuel(&self) -> u64 {
        self.ticks.iter().map(|tick| tick.fuel).max().unwrap_or_default()
    }

    /// The most memory of its calls.
    pub fn memory_bytes(&self) -> usize {
        self.ticks.iter().map(|tick| tick.memory_bytes).max().unwrap_or_default()
    }
}

/// Goes through one fixture. What the plugin does wrong is part of what is answered; an error is only what keeps any
/// fixture from being run.
pub async fn run(subject: &Subject, file: &FixtureFile) -> Result<FixtureRun, PluginError> {
    let started = Instant::now();
    let mut ran = FixtureRun {
        name: file.name.clone(),
        ticks: Vec::new(),
        failure: None,
        warning: None,
        duration: Duration::ZERO,
    };
    let fixture = &file.fixture;
    match (invalid_combination(subject, fixture), subject) {
        (Some(misuse), _) => ran.failure = Some(misuse),
        (None, Subject::Generator(generator)) => run_generator(generator, fixture, &mut ran).await?,
        (None, Subject::Policy(policy)) if fixture.property.is_some() => {
            check_property(policy, file, &mut ran).await?;
        }
        (None, Subject::Policy(policy)) => run_policy(policy, file, &mut ran).await?,
    }
    ran.duration = started.elapsed();
    Ok(ran)
}

/// What a fixture says that does not go together.
fn invalid_combination(subject: &Subject, fixture: &Fixture) -> Option<String> {
    let is_policy = matches!(subject, Subject::Policy(_));
    let of_policy = fixture.observation.is_some() || !fixture.ticks.is_empty() || fixture.property.is_some();
    let text = match () {
        () if is_policy && fixture.request.is_some() => {
            "`request` is for a user-data generator; give a policy an `observation`"
        }
        () if !is_policy && of_policy => {
            "`observation`, `ticks` and `property` are for a policy; give a generator a `request`"
        }
        () if !fixture.ticks.is_empty() && fixture.expect.is_some() => {
            "with `ticks`, what is expected stands in each of them"
        }
        () if fixture.property.is_some() && (fixture.expect.is_some() || !fixture.ticks.is_empty()) => {
            "`property` stands in place of `expect` and `ticks`"
        }
        () => return None,
    };
    Some(text.to_owned())
}

async fn check_property(policy: &Policy, file: &FixtureFile, ran: &mut FixtureRun) -> Result<(), PluginError> {
    let fixture = &file.fixture;
    let (Some(property), situation) = (fixture.property, fixture.observation.clone().unwrap_or_default()) else {
        return Ok(());
    };
    let state = fixture.state.clone().unwrap_or_default().0;
    match property.check(policy, &fixture.config_text(), &situation, &state).await? {
        PropertyOutcome::Holds => {}
        PropertyOutcome::Violated(why) if property.is_warning() => ran.warning = Some(format!("{property}: {why}")),
        PropertyOutcome::Violated(why) => ran.failure = Some(format!("{property}: {why}")),
    }
    Ok(())
}

async fn run_policy(policy: &Policy, file: &FixtureFile, ran: &mut FixtureRun) -> Result<(), PluginError> {
    let fixture = &file.fixture;
    let config = fixture.config_text();
    let refused = capture_failure(policy.validate(&config).await)?.err();
    let base = fixture.observation.clone().unwrap_or_default();
    let alone = [super::TickFixture { expect: fixture.expect.clone(), ..super::TickFixture::default() }];
    let ticks: &[super::TickFixture] = if fixture.ticks.is_empty() { &alone } else { &fixture.ticks };
    let mut state = fixture.state.clone().unwrap_or_default().0;
    let mut now = base.now.unwrap_or(FixtureTime::DEFAULT).0;
    for (index, tick) in ticks.iter().enumerate() {
        let mut situation = tick.observation.as_ref().map_or_else(|| base.clone(), |own| own.with_defaults(&base));
        if index > 0 {
            now = now.plus(tick.after.unwrap_or(DEFAULT_INTERVAL).0);
        }
        if let Some(own) = tick.observation.as_ref().and_then(|own| own.now) {
            now = own.0;
        }
        situation.now = Some(FixtureTime(now));
        let number = base.tick.unwrap_or(1).saturating_add(u64::try_from(index).unwrap_or(u64::MAX));
        situation.tick = tick.observation.as_ref().and_then(|own| own.tick).or(Some(number));
        let observation = match situation.observation(file.folder()) {
            Ok(observation) => observation,
            Err(error) => {
                ran.failure = Some(error);
                return Ok(());
            }
        };
        let mut ran_tick = match &refused {
            Some(came) => TickRun::of(came.clone()),
            None => decide(policy, &config, &observation, &state).await?,
        };
        if let Some(expect) = &tick.expect {
            ran_tick.is_expected = true;
            ran_tick.mismatches.extend(expect.mismatches(&ran_tick.actual));
        } else if let Actual::Failed { message, .. } = &ran_tick.actual {
            ran_tick.mismatches.push(message.clone());
        }
        if let Actual::Decision { decision, .. } = &ran_tick.actual {
            state.clone_from(&decision.state);
        }
        ran.ticks.push(ran_tick);
    }
    Ok(())
}

/// Decides twice: a policy that answers differently the second time is not what it has to be.
async fn decide(
    policy: &Policy,
    config: &str,
    observation: &Observation,
    state: &[u8],
) -> Result<TickRun, PluginError> {
    let size = observation.size();
    let first = tick_run(policy.decide(config, observation, state).await, size)?;
    let again = tick_run(policy.decide(config, observation, state).await, size)?;
    let mut ran = first;
    if (&ran.actual, ran.fuel) != (&again.actual, again.fuel) {
        ran.mismatches.push(format!(
            "the same tick gave another answer the second time: {} for {} fuel, then {} for {} fuel",
            ran.actual, ran.fuel, again.actual, again.fuel
        ));
    }
    Ok(ran)
}

fn tick_run(
    called: Result<CallOutput<crate::model::Decision>, PluginError>,
    size: u32,
) -> Result<TickRun, PluginError> {
    Ok(match capture_failure(called)? {
        Ok(called) => TickRun {
            fuel: called.usage.fuel,
            memory_bytes: called.usage.memory_bytes,
            log: called.log,
            ..TickRun::of(Actual::Decision { decision: called.value, size })
        },
        Err(came) => TickRun::of(came),
    })
}

async fn run_generator(generator: &Generator, fixture: &Fixture, ran: &mut FixtureRun) -> Result<(), PluginError> {
    let config = fixture.config_text();
    let mut tick = match capture_failure(generator.validate(&config).await)? {
        Err(came) => TickRun::of(came),
        Ok(()) => generate(generator, &config, fixture.request.clone().unwrap_or_default()).await?,
    };
    if let Some(expect) = &fixture.expect {
        tick.is_expected = true;
        tick.mismatches.extend(expect.mismatches(&tick.actual));
    } else if let Actual::Failed { message, .. } = &tick.actual {
        tick.mismatches.push(message.clone());
    }
    ran.ticks.push(tick);
    Ok(())
}

async fn generate(generator: &Generator, config: &str, request: RequestFixture) -> Result<TickRun, PluginError> {
    let request = UserDataRequest::from(&request);
    let first = capture_failure(generator.generate(config, &request).await)?;
    let again = capture_failure(generator.generate(config, &request).await)?;
    let mut tick = match &first {
        Ok(called) => TickRun {
            fuel: called.usage.fuel,
            memory_bytes: called.usage.memory_bytes,
            log: called.log.clone(),
            ..TickRun::of(Actual::UserData(called.value.clone()))
        },
        Err(came) => TickRun::of(came.clone()),
    };
    if first.map(|called| called.value) != again.map(|called| called.value) {
        tick.mismatches.push("the same request gave another text the second time".to_owned());
    }
    // What cloud-init would silently ignore is no user data, whatever is expected of it.
    if let Actual::UserData(text) = &tick.actual
        && let Err(error) = UserData::parse(text.as_str())
    {
        tick.mismatches.push(error.to_string());
    }
    Ok(tick)
}

impl TickRun {
    fn of(came: Actual) -> Self {
        Self { actual: came, mismatches: Vec::new(), is_expected: false, fuel: 0, memory_bytes: 0, log: Vec::new() }
    }
}

/// What a plugin did wrong is what came of the call; anything else ends the run.
pub(super) fn capture_failure<T>(result: Result<T, PluginError>) -> Result<Result<T, Actual>, PluginError> {
    match result {
        Ok(value) => Ok(Ok(value)),
        Err(error) => match CallErrorKind::of(&error) {
            Some(word) => Ok(Err(Actual::Failed { error: word, message: error.to_string() })),
            None => Err(error),
        },
    }
}

impl Subject {
    /// What it says of itself.
    pub fn manifest(&self) -> &Manifest {
        match self {
            Self::Policy(policy) => policy.manifest(),
            Self::Generator(generator) => generator.manifest(),
        }
    }

    /// Checks a configuration.
    pub async fn validate(&self, config: &str) -> Result<(), PluginError> {
        match self {
            Self::Policy(policy) => policy.validate(config).await,
            Self::Generator(generator) => generator.validate(config).await,
        }
    }
}

impl ObservationFixture {
    /// Of a situation that names no file: the observation.
    pub(super) fn inline_observation(&self) -> Result<Observation, String> {
        self.observation(std::path::Path::new("."))
    }
}
