//! Looking for a situation in which a rule is broken, and making it small.

use super::chance::Chance;
use super::fixture::{Fixture, RequestText};
use super::properties::{Property, Verdict};
use super::run::{Subject, judged};
use super::situation::Situation;
use super::values::Bytes;
use super::{generate, shrink};
use crate::model::{Manifest, UserData, UserDataRequest};
use crate::plugin::{Generator, PluginError, Policy};

/// Most attempts to make a situation smaller.
const ATTEMPTS: usize = 400;

/// Load stands still for many ticks: the rule is tried in fewer situations.
const STEADY_EVERY: u32 = 8;

/// What is to be looked through.
#[derive(Debug, Clone)]
pub struct Search {
    /// How many situations.
    pub cases: u32,
    /// The same seed gives the same situations.
    pub seed: u64,
    /// The configurations, in turn.
    pub configs: Vec<serde_json::Value>,
}

/// A situation in which a rule is broken.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// The number of the case.
    pub case: u32,
    /// How it shows.
    pub why: String,
    /// The situation, made small; it is broken as long as this fixture fails.
    pub fixture: Fixture,
}

/// What became of one rule.
#[derive(Debug, Clone, PartialEq)]
pub struct PropertyReport {
    /// Its name.
    pub name: String,
    /// Whether breaking it is only a warning.
    pub is_warning: bool,
    /// In how many situations it was tried.
    pub cases: u32,
    /// The first situation in which it is broken.
    pub found: Option<Found>,
}

/// Situations of any kind, for a plugin of this manifest and configuration. The same seed gives the same ones.
pub fn situations(manifest: &Manifest, config: &serde_json::Value, seed: u64, count: u32) -> Vec<Situation> {
    let names = generate::names(manifest, config);
    (0..count).map(|case| generate::situation(&mut Chance::of_case(seed, case), &names)).collect()
}

/// Goes through generated situations, one rule after the other.
pub async fn search(subject: &Subject, search: &Search) -> Result<Vec<PropertyReport>, PluginError> {
    let mut usable = Vec::new();
    for config in &search.configs {
        if judged(subject.validate(&config.to_string()).await)?.is_ok() {
            usable.push(config.clone());
        }
    }
    let search = Search { configs: usable, ..search.clone() };
    match subject {
        Subject::Generator(generator) => Ok(vec![of_generator(generator, &search).await?]),
        Subject::Policy(policy) => {
            let mut reports = Vec::new();
            for property in Property::ALL {
                reports.push(of_policy(policy, property, &search).await?);
            }
            Ok(reports)
        }
    }
}

impl Search {
    /// The configuration of a case; `None` where there is none that the plugin takes.
    fn config(&self, case: u32) -> Option<&serde_json::Value> {
        let count = u32::try_from(self.configs.len()).ok().filter(|count| *count > 0)?;
        self.configs.get(usize::try_from(case % count).ok()?)
    }
}

async fn of_policy(policy: &Policy, property: Property, search: &Search) -> Result<PropertyReport, PluginError> {
    let mut report =
        PropertyReport { name: property.to_string(), is_warning: property.is_warning(), cases: 0, found: None };
    let step = if property == Property::Steady { STEADY_EVERY } else { 1 };
    let mut last_state = Vec::new();
    for case in (0..search.cases).step_by(usize::try_from(step).unwrap_or(1)) {
        let Some(config) = search.config(case) else { break };
        let names = generate::names(policy.manifest(), config);
        let mut chance = Chance::of_case(search.seed, case);
        let situation = match property {
            Property::Steady => generate::constant(&mut chance, &names),
            _ => generate::situation(&mut chance, &names),
        };
        let state = state(&mut chance, &last_state);
        let text = config.to_string();
        report.cases += 1;
        let verdict = property.check(policy, &text, &situation, &state).await?;
        if let Verdict::Broken(why) = verdict {
            let broken = Broken { policy, property, config: &text };
            let (situation, state, why) = broken.shrunk(situation, state, why).await?;
            report.found = Some(Found {
                case,
                fixture: Fixture {
                    description: Some(format!("found by --properties --seed {}, case {case}", search.seed)),
                    config: Some(config.clone()),
                    state: (!state.is_empty()).then_some(Bytes(state)),
                    observation: Some(situation),
                    property: Some(property),
                    ..Fixture::default()
                },
                why,
            });
            break;
        }
        if property == Property::Answers
            && let Ok(observation) = situation.observed()
            && let Ok(Ok(called)) = judged(policy.decide(&text, &observation, b"").await)
        {
            last_state = called.value.state;
        }
    }
    Ok(report)
}

/// A state: none, one of another situation, one that is cut off, or bytes of anything.
fn state(chance: &mut Chance, last: &[u8]) -> Vec<u8> {
    match chance.between(0, 9) {
        0 | 1 => last.to_vec(),
        2 => last[..last.len() / 2].to_vec(),
        3 => (0..chance.between(1, 40)).map(|_| chance.next().to_le_bytes()[0]).collect(),
        _ => Vec::new(),
    }
}

struct Broken<'a> {
    policy: &'a Policy,
    property: Property,
    config: &'a str,
}

impl Broken<'_> {
    async fn why(&self, situation: &Situation, state: &[u8]) -> Result<Option<String>, PluginError> {
        Ok(match self.property.check(self.policy, self.config, situation, state).await? {
            Verdict::Holds => None,
            Verdict::Broken(why) => Some(why),
        })
    }

    /// The smallest situation that can be found in which the rule is broken.
    async fn shrunk(
        &self,
        mut situation: Situation,
        mut state: Vec<u8>,
        mut why: String,
    ) -> Result<(Situation, Vec<u8>, String), PluginError> {
        if !state.is_empty()
            && let Some(shorter) = self.why(&situation, b"").await?
        {
            (state, why) = (Vec::new(), shorter);
        }
        let mut attempts = ATTEMPTS;
        'smaller: loop {
            for next in shrink::simpler(&situation) {
                if attempts == 0 {
                    break 'smaller;
                }
                attempts -= 1;
                if let Some(still) = self.why(&next, &state).await? {
                    (situation, why) = (next, still);
                    continue 'smaller;
                }
            }
            break;
        }
        Ok((situation, state, why))
    }
}

async fn of_generator(generator: &Generator, search: &Search) -> Result<PropertyReport, PluginError> {
    let mut report = PropertyReport { name: "answers".to_owned(), is_warning: false, cases: 0, found: None };
    for case in 0..search.cases {
        let Some(config) = search.config(case) else { break };
        let request = generate::request(&mut Chance::of_case(search.seed, case));
        report.cases += 1;
        if let Some(why) = broken_text(generator, &config.to_string(), &request).await? {
            report.found = Some(Found {
                case,
                why,
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

/// What is wrong with the user data for a droplet.
async fn broken_text(
    generator: &Generator,
    config: &str,
    request: &RequestText,
) -> Result<Option<String>, PluginError> {
    let request = UserDataRequest::from(request);
    let first = judged(generator.generate(config, &request).await)?;
    let again = judged(generator.generate(config, &request).await)?;
    Ok(match (first, again) {
        (Ok(first), Ok(again)) if first.value != again.value => Some("the same request gave another text".to_owned()),
        (Ok(first), _) => UserData::parse(first.value).err().map(|error| error.to_string()),
        (Err(came), _) => Some(came.reason().to_owned()),
    })
}
