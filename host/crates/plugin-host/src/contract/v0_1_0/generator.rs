//! User-data generators of this version.

use doproxy_core::domain::{Manifest, Problem, UserDataRequest};
use wasmtime::component::InstancePre;
use wasmtime::{Result, Store};

use super::bindings::UserDataGeneratorPre;
use super::convert;
use crate::contract::Exports;
use crate::error::CallError;
use crate::store_data::StoreData;

/// A generator, ready for instantiation.
pub struct Generator(UserDataGeneratorPre<StoreData>);

impl Exports for Generator {
    fn new(pre: InstancePre<StoreData>) -> Result<Self> {
        UserDataGeneratorPre::new(pre).map(Self)
    }

    async fn describe(&self, store: &mut Store<StoreData>) -> Result<Manifest> {
        let generator = self.0.instantiate_async(&mut *store).await?;
        Ok(convert::manifest(generator.doproxy_plugin_user_data().call_describe(store).await?))
    }

    async fn validate(
        &self,
        store: &mut Store<StoreData>,
        config: &str,
    ) -> Result<std::result::Result<(), Vec<Problem>>> {
        let generator = self.0.instantiate_async(&mut *store).await?;
        let verdict = generator.doproxy_plugin_user_data().call_validate(store, config).await?;
        Ok(verdict.map_err(|found| convert::problems(&found)))
    }
}

impl Generator {
    pub(crate) async fn generate(
        &self,
        store: &mut Store<StoreData>,
        config: &str,
        request: &UserDataRequest,
    ) -> Result<std::result::Result<String, CallError>> {
        let request = convert::request(request);
        let generator = self.0.instantiate_async(&mut *store).await?;
        let result = generator.doproxy_plugin_user_data().call_generate(store, config, &request).await?;
        Ok(result.map_err(|error| convert::error(&error)))
    }
}
