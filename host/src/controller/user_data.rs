//! Where user data comes from: nowhere, a file, or a plugin.

use sha2::{Digest, Sha256};

use super::{ControllerError, Settings};
use crate::model::{DropletName, Template, UserData, UserDataRequest};
use crate::plugin::Generator;

/// Where user data comes from.
#[derive(Debug)]
pub enum UserDataSource {
    /// The same text for every droplet.
    Fixed(UserData),
    /// A user-data generator with its configuration, as JSON text.
    Plugin {
        /// The loaded component.
        generator: Box<Generator>,
        /// Its configuration.
        config: String,
    },
}

impl Settings {
    /// The user data of a droplet that is never made, to see whether it can be written.
    pub async fn sample_user_data(&self) -> Result<UserData, ControllerError> {
        let name = DropletName::parse(format!("{}-0", self.hostname_prefix))
            .map_err(|error| ControllerError::InvalidRequest(error.to_string()))?;
        self.user_data(&name, 0, &self.template, None).await
    }

    /// The user data of one droplet. The same droplet gets the same text.
    pub(super) async fn user_data(
        &self,
        name: &DropletName,
        index: u32,
        template: &Template,
        params: Option<&str>,
    ) -> Result<UserData, ControllerError> {
        match &self.user_data {
            UserDataSource::Fixed(data) => Ok(data.clone()),
            UserDataSource::Plugin { generator, config } => {
                let request = UserDataRequest {
                    fleet_name: self.fleet.to_string(),
                    hostname: name.to_string(),
                    index,
                    size: template.size.clone(),
                    region: template.region.clone(),
                    image: template.image.clone(),
                    tags: self.tags(template).iter().map(ToString::to_string).collect(),
                    params: params.unwrap_or_default().to_owned(),
                };
                let generated = generator
                    .generate(config, &request)
                    .await
                    .map_err(|error| ControllerError::Plugin(Box::new(error)))?;
                UserData::parse(generated.value).map_err(|error| ControllerError::UserData {
                    droplet: name.to_string(),
                    why: format!("{error} (written by {})", generator.reference()),
                })
            }
        }
    }
}

/// What stands for user data in the journal and in logs, since the text may hold secrets.
pub(super) fn digest(data: &UserData) -> String {
    Sha256::digest(data.as_str().as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}
