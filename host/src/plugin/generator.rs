//! A user-data generator that is loaded.

use std::fmt;

use super::contract::GeneratorPre;
use super::loaded::Loaded;
use super::moment::Moment;
use super::schema;
use super::{CallError, Called, GuestTrace, Limit, PluginError, Reference};
use crate::model::{Manifest, UserDataRequest};

/// A user-data generator that is loaded. Cheap to call: nothing is compiled or linked again.
pub struct Generator {
    loaded: Loaded,
    manifest: Manifest,
    pre: GeneratorPre,
}

impl fmt::Debug for Generator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Generator")
            .field("loaded", &self.loaded)
            .field("manifest", &self.manifest)
            .finish_non_exhaustive()
    }
}

impl Generator {
    /// Instantiates it for the first time, and asks what it is.
    pub(super) async fn introduce(loaded: Loaded, pre: GeneratorPre) -> Result<Self, PluginError> {
        let manifest = describe(&loaded, &pre).await?.value;
        Ok(Self { loaded, manifest, pre })
    }

    /// Asks again what it is: the least that a call can be, for measuring what an instance costs.
    pub async fn describe(&self) -> Result<Called<Manifest>, PluginError> {
        describe(&self.loaded, &self.pre).await
    }

    /// What it says of itself.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The SHA-256 of the component, in hexadecimal.
    pub fn digest(&self) -> &str {
        &self.loaded.digest
    }

    /// Where it came from.
    pub fn reference(&self) -> &Reference {
        &self.loaded.reference
    }

    /// Checks a configuration (JSON text): against the schema, then by the generator itself.
    pub async fn validate(&self, config: &str) -> Result<(), PluginError> {
        schema::check(&self.manifest.config_schema, config).map_err(|error| self.loaded.refused(error))?;
        let (call, mut store) = self.loaded.begin("validate", &Moment::NONE).await?;
        let answer = call.within_deadline(self.pre.validate(&mut store, config)).await;
        let verdict = call.end(store, answer, Ok)?.value;
        verdict.map_err(|problems| self.loaded.config_error(problems))
    }

    /// Writes the user data of one droplet. `config` is JSON text that has passed [`Self::validate`]. Whether
    /// cloud-init knows what came out is for [`crate::model::UserData`] to say.
    pub async fn generate(&self, config: &str, request: &UserDataRequest) -> Result<Called<String>, PluginError> {
        let (call, mut store) = self.loaded.begin("generate", &Moment::of_droplet(request)).await?;
        let answer = call.within_deadline(self.pre.generate(&mut store, config, request)).await;
        let most = self.loaded.host.limits().user_data_bytes;
        call.end(store, answer, |answer| {
            let text = answer?;
            if text.len() > most {
                return Err(CallError::Over { limit: Limit::UserData(most), backtrace: GuestTrace::default() });
            }
            Ok(text)
        })
    }
}

async fn describe(loaded: &Loaded, pre: &GeneratorPre) -> Result<Called<Manifest>, PluginError> {
    let (call, mut store) = loaded.begin("describe", &Moment::NONE).await?;
    let answer = call.within_deadline(pre.describe(&mut store)).await;
    call.end(store, answer, Ok)
}
