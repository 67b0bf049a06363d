//! The component: the contract on one side, [`crate::generate`] on the other.

use crate::config::{Config, Problem};
use crate::generate::generate;
use crate::template::Fields;
use bindings::exports::doproxy::plugin::user_data::{self as contract, Error, Guest, Manifest, Request};

#[expect(unsafe_code, missing_docs, clippy::all, clippy::pedantic, reason = "generated")]
mod bindings {
    wit_bindgen::generate!({ path: "../../wit/doproxy-plugin@0.1.0", world: "user-data-generator" });
    use super::CloudInit;
    export!(CloudInit);
}

struct CloudInit;

impl Guest for CloudInit {
    fn describe() -> Manifest {
        Manifest {
            name: env!("CARGO_PKG_NAME").to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            description: concat!(env!("CARGO_PKG_DESCRIPTION"), ".").to_owned(),
            config_schema: include_str!("schema.json").to_owned(),
            metrics: Vec::new(),
        }
    }

    fn validate(config: String) -> Result<(), Vec<contract::Problem>> {
        Config::parse(&config).map(drop).map_err(problems)
    }

    fn generate(config: String, request: Request) -> Result<String, Error> {
        let config = Config::parse(&config).map_err(|found| Error::InvalidConfig(problems(found)))?;
        let fields = Fields {
            fleet: request.fleet_name,
            hostname: request.hostname,
            index: request.index,
            size: request.size,
            region: request.region,
            image: request.image,
            tags: request.tags,
            params: request.params,
        };
        generate(&config, &fields).map_err(|error| Error::Failed(error.to_string()))
    }
}

fn problems(found: Vec<Problem>) -> Vec<contract::Problem> {
    found.into_iter().map(|Problem { path, message }| contract::Problem { path, message }).collect()
}
