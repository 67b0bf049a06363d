//! Searches for an observation that violates a property, and shrinks it.

use doproxy_core::domain::{Manifest, UserData, UserDataRequest};
use doproxy_plugin_host::{Generator, PluginError, Policy};
use strum::VariantArray as _;

use crate::test::fixture::{Fixture, RequestFixture};
use crate::test::observation_builder::ObservationFixture;
use crate::test::properties::{Property, PropertyOutcome};
use crate::test::rng::CaseRng;
use crate::test::runner::{Subject, capture_failure};
use crate::test::values::Base64Bytes;
use crate::test::{generator, shrink};

/// Maximum number of attempts to shrink an observation.
const MAX_SHRINK_ATTEMPTS: usize = 400;

/// This property simulates many ticks per case, so it is tested with fewer cases.
const STEADY_EVERY: u32 = 8;

/// The parameters of a search.
#[derive(Debug, Clone)]
pub struct Search {
    /// Number of cases.
    pub cases: u32,
    /// The seed; the same seed produces the same observations.
    pub seed: u64,
    /// The configurations to use in turn.
    pub configs: Vec<serde_json::Value>,
}

/// A counterexample to a property.
#[derive(Debug, Clone, PartialEq)]
pub struct Counterexample {
    /// The number of the case.
    pub case: u32,
    /// A description of the violation.
    pub violation: String,
    /// The shrunk observation as a fixture, which fails as long as the property is violated.
    pub fixture: Fixture,
}

/// The result for one property.
#[derive(Debug, Clone, PartialEq)]
pub struct PropertyReport {
    /// The name of the property.
    pub name: String,
    /// True if a violation is only a warning.
    pub is_warning: bool,
    /// Number of cases tested.
    pub cases: u32,
    /// The first counterexample.
    pub counterexample: Option<Counterexample>,
}

/// Generates arbitrary observations for a plugin with this manifest and configuration. The same seed produces the same
/// observations.
pub fn observations(manifest: &Manifest, config: &serde_json::Value, seed: u64, count: u32) -> Vec<ObservationFixture> {
    let names = generator::series_names(manifest, config);
    (0..count).map(|case| generator::observation(&mut CaseRng::for_case(seed, case), &names)).collect()
}

/// Tests each property with generated observations.
pub async fn search(subject: &Subject, search: &Search) -> Result<Vec<PropertyReport>, PluginError> {
    let mut usable = Vec::new();
    for config in &search.configs {
        if capture_failure(subject.validate(&config.to_string()).await)?.is_ok() {
            usable.push(config.clone());
        }
    }
    let search = Search { configs: usable, ..search.clone() };
    match subject {
        Subject::Generator(generator) => Ok(vec![search_generator(generator, &search).await?]),
        Subject::Policy(policy) => {
            let mut reports = Vec::new();
            for property in Property::VARIANTS {
                reports.push(search_policy(policy, *property, &search).await?);
            }
            Ok(reports)
        }
    }
}

impl Search {
    /// Returns the configuration of a case; `None` if the plugin accepts none of them.
    fn config(&self, case: u32) -> Option<&serde_json::Value> {
        let count = u32::try_from(self.configs.len()).ok().filter(|count| *count > 0)?;
        self.configs.get(usize::try_from(case % count).ok()?)
    }
}

async fn search_policy(policy: &Policy, property: Property, search: &Search) -> Result<PropertyReport, PluginError> {
    let mut report = PropertyReport {
        name: property.to_string(),
        is_warning: property.is_warning(),
        cases: 0,
        counterexample: None,
    };
    let step = if property == Property::Steady { STEADY_EVERY } else { 1 };
    let mut last_state = Vec::new();
    for case in (0..search.cases).step_by(usize::try_from(step).unwrap_or(1)) {
        let Some(config) = search.config(case) else { break };
        let names = generator::series_names(policy.manifest(), config);
        let mut rng = CaseRng::for_case(search.seed, case);
        let fixture = match property {
            Property::Steady => generator::steady_observation(&mut rng, &names),
            _ => generator::observation(&mut rng, &names),
        };
        let state = state(&mut rng, &last_state);
        let text = config.to_string();
        report.cases += 1;
        let verdict = property.check(policy, &text, &fixture, &state).await?;
        if let PropertyOutcome::Violated(why) = verdict {
            let broken = ViolationCheck { policy, property, config: &text };
            let (fixture, state, why) = broken.shrink_counterexample(fixture, state, why).await?;
            report.counterexample = Some(Counterexample {
                case,
                fixture: Fixture {
                    description: Some(format!("found by --properties --seed {}, case {case}", search.seed)),
                    config: Some(config.clone()),
                    state: (!state.is_empty()).then_some(Base64Bytes(state)),
                    observation: Some(fixture),
                    property: Some(property),
                    ..Fixture::default()
                },
                violation: why,
            });
            break;
        }
        if property == Property::Answers
            && let Ok(observation) = fixture.inline_observation()
            && let Ok(Ok(called)) = capture_failure(policy.decide(&text, &observation, b"").await)
        {
            last_state = called.value.state;
        }
    }
    Ok(report)
}

/// Generates a state: empty, taken from another observation, truncated, or random bytes.
fn state(rng: &mut CaseRng, last: &[u8]) -> Vec<u8> {
    match rng.between(0, 9) {
        0 | 1 => last.to_vec(),
        2 => last[..last.len() / 2].to_vec(),
        3 => (0..rng.between(1, 40)).map(|_| rng.next_byte()).collect(),
        _ => Vec::new(),
    }
}

struct ViolationCheck<'a> {
    policy: &'a Policy,
    property: Property,
    config: &'a str,
}

impl ViolationCheck<'_> {
    async fn violation(&self, fixture: &ObservationFixture, state: &[u8]) -> Result<Option<String>, PluginError> {
        Ok(match self.property.check(self.policy, self.config, fixture, state).await? {
            PropertyOutcome::Holds => None,
            PropertyOutcome::Violated(why) => Some(why),
        })
    }

    /// Returns the smallest observation found that violates the property.
    async fn shrink_counterexample(
        &self,
        mut fixture: ObservationFixture,
        mut state: Vec<u8>,
        mut why: String,
    ) -> Result<(ObservationFixture, Vec<u8>, String), PluginError> {
        if !state.is_empty()
            && let Some(shorter) = self.violation(&fixture, b"").await?
        {
            (state, why) = (Vec::new(), shorter);
        }
        let mut attempts = MAX_SHRINK_ATTEMPTS;
        'smaller: loop {
            for next in shrink::simplifications(&fixture) {
                if attempts == 0 {
                    break 'smaller;
                }
                attempts -= 1;
                if let Some(still) = self.violation(&next, &state).await? {
                    (fixture, why) = (next, still);
                    continue 'smaller;
                }
            }
            break;
        }
        Ok((fixture, state, why))
    }
}

async fn search_generator(generator: &Generator, search: &Search) -> Result<PropertyReport, PluginError> {
    let mut report = PropertyReport { name: "answers".to_owned(), is_warning: false, cases: 0, counterexample: None };
    for case in 0..search.cases {
        let Some(config) = search.config(case) else { break };
        let request = generator::request(&mut CaseRng::for_case(search.seed, case));
        report.cases += 1;
        if let Some(why) = user_data_violation(generator, &config.to_string(), &request).await? {
            report.counterexample = Some(Counterexample {
                case,
                violation: why,
                fixture: Fixture {
                    description: Some(format!("found by --properties --seed {}, case {case}", search.seed)),
                    config: Some(config.clone()),
                    request: Some(request),
                    ..Fixture::default()
                },
            });
            break;
        }
    }
    Ok(report)
}

/// Returns the problem with the user data for a droplet.
async fn user_data_violation(
    generator: &Generator,
    config: &str,
    request: &RequestFixture,
) -> Result<Option<String>, PluginError> {
    let request = UserDataRequest::from(request);
    let first = capture_failure(generator.generate(config, &request).await)?;
    let again = capture_failure(generator.generate(config, &request).await)?;
    Ok(match (first, again) {
        (Ok(first), Ok(again)) if first.value != again.value => {
            Some("the same request led to different text".to_owned())
        }
        (Ok(first), _) => UserData::parse(first.value).err().map(|error| error.to_string()),
        (Err(actual), _) => Some(actual.reason().to_owned()),
    })
}
