//! Runs fixtures, tick by tick.

use std::time::{Duration, Instant};

use doproxy_core::domain::{Manifest, Observation, UserData, UserDataRequest};
use doproxy_plugin_host::{CallOutput, Generator, LogLine, PluginError, Policy};

use crate::test::expectation::{Actual, CallErrorKind};
use crate::test::fixture::{Fixture, FixtureFile, RequestFixture};
use crate::test::observation_builder::{DEFAULT_INTERVAL, ObservationFixture};
use crate::test::properties::PropertyOutcome;
use crate::test::values::FixtureTime;

/// The plugin under test.
#[derive(Debug)]
pub enum Subject {
    /// A policy.
    Policy(Policy),
    /// A generator.
    Generator(Generator),
}

/// The result of one tick.
#[derive(Debug, Clone, PartialEq)]
pub struct TickRun {
    /// The actual result.
    pub actual: Actual,
    /// The differences from the expected result.
    pub mismatches: Vec<String>,
    /// True if the fixture specifies an expectation.
    pub is_expected: bool,
    /// Fuel used.
    pub fuel: u64,
    /// Memory used, in bytes.
    pub memory_bytes: usize,
    /// The plugin's log.
    pub log: Vec<LogLine>,
}

/// The result of a fixture.
#[derive(Debug, Clone, PartialEq)]
pub struct FixtureRun {
    /// The name of the fixture.
    pub name: String,
    /// The ticks; a single one for a fixture without `ticks`.
    pub ticks: Vec<TickRun>,
    /// An error in the fixture itself, or a violated property.
    pub failure: Option<String>,
    /// A warning, which does not fail the fixture.
    pub warning: Option<String>,
    /// The duration.
    pub duration: Duration,
}

impl FixtureRun {
    /// Reports whether all results are as expected.
    pub fn passed(&self) -> bool {
        self.failure.is_none() && self.ticks.iter().all(|tick| tick.mismatches.is_empty())
    }

    /// Returns the problems, as lines of text.
    pub fn problems(&self) -> Vec<String> {
        let several = self.ticks.len() > 1;
        let of_ticks = self.ticks.iter().enumerate().flat_map(|(index, tick)| {
            tick.mismatches
                .iter()
                .map(move |mismatch| if several { format!("tick {}: {mismatch}", index + 1) } else { mismatch.clone() })
        });
        self.failure.iter().cloned().chain(of_ticks).collect()
    }

    /// Returns the maximum fuel used by a call.
    pub fn fuel(&self) -> u64 {
        self.ticks.iter().map(|tick| tick.fuel).max().unwrap_or_default()
    }

    /// Returns the maximum memory used by a call.
    pub fn memory_bytes(&self) -> usize {
        self.ticks.iter().map(|tick| tick.memory_bytes).max().unwrap_or_default()
    }
}

/// Runs one fixture. Plugin failures are part of the result; an error is only returned if no fixture could be run.
pub async fn run(subject: &Subject, file: &FixtureFile) -> Result<FixtureRun, PluginError> {
    let started = Instant::now();
    let mut run = FixtureRun {
        name: file.name.clone(),
        ticks: Vec::new(),
        failure: None,
        warning: None,
        duration: Duration::ZERO,
    };
    let fixture = &file.fixture;
    match (invalid_combination(subject, fixture), subject) {
        (Some(misuse), _) => run.failure = Some(misuse),
        (None, Subject::Generator(generator)) => run_generator(generator, fixture, &mut run).await?,
        (None, Subject::Policy(policy)) if fixture.property.is_some() => {
            check_property(policy, file, &mut run).await?;
        }
        (None, Subject::Policy(policy)) => run_policy(policy, file, &mut run).await?,
    }
    run.duration = started.elapsed();
    Ok(run)
}

/// Returns an error for fields of a fixture that cannot be combined.
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
        () if !fixture.ticks.is_empty() && fixture.expect.is_some() => "with `ticks`, specify `expect` in each tick",
        () if fixture.property.is_some() && (fixture.expect.is_some() || !fixture.ticks.is_empty()) => {
            "`property` cannot be combined with `expect` or `ticks`"
        }
        () => return None,
    };
    Some(text.to_owned())
}

async fn check_property(policy: &Policy, file: &FixtureFile, run: &mut FixtureRun) -> Result<(), PluginError> {
    let fixture = &file.fixture;
    let (Some(property), observation_fixture) = (fixture.property, fixture.observation.clone().unwrap_or_default())
    else {
        return Ok(());
    };
    let state = fixture.state.clone().unwrap_or_default().0;
    match property.check(policy, &fixture.config_text(), &observation_fixture, &state).await? {
        PropertyOutcome::Holds => {}
        PropertyOutcome::Violated(why) if property.is_warning() => run.warning = Some(format!("{property}: {why}")),
        PropertyOutcome::Violated(why) => run.failure = Some(format!("{property}: {why}")),
    }
    Ok(())
}

async fn run_policy(policy: &Policy, file: &FixtureFile, run: &mut FixtureRun) -> Result<(), PluginError> {
    let fixture = &file.fixture;
    let config = fixture.config_text();
    let refused = capture_failure(policy.validate(&config).await)?.err();
    let base = fixture.observation.clone().unwrap_or_default();
    let alone = [crate::test::TickFixture { expect: fixture.expect.clone(), ..crate::test::TickFixture::default() }];
    let ticks: &[crate::test::TickFixture] = if fixture.ticks.is_empty() { &alone } else { &fixture.ticks };
    let mut state = fixture.state.clone().unwrap_or_default().0;
    let mut now = base.now.unwrap_or(FixtureTime::DEFAULT).0;
    for (index, tick) in ticks.iter().enumerate() {
        let mut observation_fixture =
            tick.observation.as_ref().map_or_else(|| base.clone(), |own| own.with_defaults(&base));
        if index > 0 {
            now = now.plus(tick.after.unwrap_or(DEFAULT_INTERVAL).0);
        }
        if let Some(own) = tick.observation.as_ref().and_then(|own| own.now) {
            now = own.0;
        }
        observation_fixture.now = Some(FixtureTime(now));
        let number = base.tick.unwrap_or(1).saturating_add(u64::try_from(index).unwrap_or(u64::MAX));
        observation_fixture.tick = tick.observation.as_ref().and_then(|own| own.tick).or(Some(number));
        let observation = match observation_fixture.observation(file.folder()) {
            Ok(observation) => observation,
            Err(error) => {
                run.failure = Some(error);
                return Ok(());
            }
        };
        let mut ran_tick = match &refused {
            Some(actual) => TickRun::of(actual.clone()),
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
        run.ticks.push(ran_tick);
    }
    Ok(())
}

/// Makes the decision twice, because a policy must be deterministic.
async fn decide(
    policy: &Policy,
    config: &str,
    observation: &Observation,
    state: &[u8],
) -> Result<TickRun, PluginError> {
    let size = observation.size();
    let first = tick_run(policy.decide(config, observation, state).await, size)?;
    let again = tick_run(policy.decide(config, observation, state).await, size)?;
    let mut run = first;
    if (&run.actual, run.fuel) != (&again.actual, again.fuel) {
        run.mismatches.push(format!(
            "the same tick led to a different result the second time: {} for {} fuel, then {} for {} fuel",
            run.actual, run.fuel, again.actual, again.fuel
        ));
    }
    Ok(run)
}

fn tick_run(
    called: Result<CallOutput<doproxy_core::domain::Decision>, PluginError>,
    size: u32,
) -> Result<TickRun, PluginError> {
    Ok(match capture_failure(called)? {
        Ok(called) => TickRun {
            fuel: called.usage.fuel,
            memory_bytes: called.usage.memory_bytes,
            log: called.log,
            ..TickRun::of(Actual::Decision { decision: called.value, size })
        },
        Err(actual) => TickRun::of(actual),
    })
}

async fn run_generator(generator: &Generator, fixture: &Fixture, run: &mut FixtureRun) -> Result<(), PluginError> {
    let config = fixture.config_text();
    let mut tick = match capture_failure(generator.validate(&config).await)? {
        Err(actual) => TickRun::of(actual),
        Ok(()) => generate(generator, &config, fixture.request.clone().unwrap_or_default()).await?,
    };
    if let Some(expect) = &fixture.expect {
        tick.is_expected = true;
        tick.mismatches.extend(expect.mismatches(&tick.actual));
    } else if let Actual::Failed { message, .. } = &tick.actual {
        tick.mismatches.push(message.clone());
    }
    run.ticks.push(tick);
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
        Err(actual) => TickRun::of(actual.clone()),
    };
    if first.map(|called| called.value) != again.map(|called| called.value) {
        tick.mismatches.push("the same request led to different text the second time".to_owned());
    }
    // Text that cloud-init would silently ignore is invalid, independent of the expectation.
    if let Actual::UserData(text) = &tick.actual
        && let Err(error) = UserData::parse(text.as_str())
    {
        tick.mismatches.push(error.to_string());
    }
    Ok(tick)
}

impl TickRun {
    fn of(actual: Actual) -> Self {
        Self { actual, mismatches: Vec::new(), is_expected: false, fuel: 0, memory_bytes: 0, log: Vec::new() }
    }
}

/// Converts a plugin failure to an actual result; any other error aborts the run.
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
    /// Returns the manifest.
    pub fn manifest(&self) -> &Manifest {
        match self {
            Self::Policy(policy) => policy.manifest(),
            Self::Generator(generator) => generator.manifest(),
        }
    }

    /// Validates a configuration.
    pub async fn validate(&self, config: &str) -> Result<(), PluginError> {
        match self {
            Self::Policy(policy) => policy.validate(config).await,
            Self::Generator(generator) => generator.validate(config).await,
        }
    }
}

impl ObservationFixture {
    /// Returns the observation of a fixture that refers to no files.
    pub(super) fn inline_observation(&self) -> Result<Observation, String> {
        self.observation(std::path::Path::new("."))
    }
}
