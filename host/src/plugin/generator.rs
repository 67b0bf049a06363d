//! A user-data generator that is loaded.

use std::fmt;

use super::bindings::{UserDataGenerator, UserDataGeneratorPre};
use super::convert::{self, Moment};
use super::guest::Guest;
use super::loaded::Loaded;
use super::schema;
use super::{CallError, Called, GuestTrace, Limit, PluginError, Reference};
use crate::model::{Manifest, UserDataRequest};

/// A user-data generator that is loaded. Cheap to call: nothing is compiled or linked again.
pub struct Generator {
    loaded: Loaded,
    manifest: Manifest,
    pre: UserDataGeneratorPre<Guest>,
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
    pub(super) async fn introduce(loaded: Loaded, pre: UserDataGeneratorPre<Guest>) -> Result<Self, PluginError> {
        let (call, mut store) = loaded.begin("describe", &Moment::NONE).await?;
        let answer = call
            .within_deadline(async {
                let generator: UserDataGenerator = pre.instantiate_async(&mut store).await?;
                generator.doproxy_plugin_user_data().call_describe(&mut store).await
            })
            .await;
        let manifest = call.end(store, answer, |manifest| Ok(convert::manifest(manifest)))?.value;
        Ok(Self { loaded, manifest, pre })
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
        let answer = call
            .within_deadline(async {
                let generator = self.pre.instantiate_async(&mut store).await?;
                generator.doproxy_plugin_user_data().call_validate(&mut store, config).await
            })
            .await;
        let verdict = call.end(store, answer, Ok)?.value;
        verdict.map_err(|found| self.loaded.config_error(convert::problems(&found)))
    }

    /// Writes the user data of one droplet. `config` is JSON text that has passed [`Self::validate`]. Whether
    /// cloud-init knows what came out is for [`crate::model::UserData`] to say.
    pub async fn generate(&self, config: &str, request: &UserDataRequest) -> Result<Called<String>, PluginError> {
        let (call, mut store) = self.loaded.begin("generate", &Moment::of_droplet(request)).await?;
        let request = convert::request(request);
        let answer = call
            .within_deadline(async {
                let generator = self.pre.instantiate_async(&mut store).await?;
                generator.doproxy_plugin_user_data().call_generate(&mut store, config, &request).await
            })
            .await;
        let most = self.loaded.host.limits().user_data_bytes;
        call.end(store, answer, |answer| {
            let text = answer.map_err(|error| convert::error(&error))?;
            if text.len() > most {
                return Err(CallError::Over { limit: Limit::UserData(most), backtrace: GuestTrace::default() });
            }
            Ok(text)
        })
    }
}
