//! The component: the contract on one side, [`Generator`] on the other. Only conversions are in here.

use std::marker::PhantomData;

use crate::{Generator, Problem as Wrong};
use bindings::exports::doproxy::plugin::user_data::{Error, Guest, Manifest, Problem, Request};

#[expect(unsafe_code, missing_docs, clippy::all, clippy::pedantic, reason = "generated")]
pub mod bindings {
    //! The contract as wit-bindgen reads it.
    wit_bindgen::generate!({
        path: "../../../wit/doproxy-plugin@0.1.0",
        world: "user-data-generator",
        pub_export_macro: true,
        export_macro_name: "export_user_data_generator",
    });
}

/// Makes the component of a crate out of a [`Generator`].
#[macro_export]
macro_rules! export_generator {
    ($generator:ty) => {
        type Component = $crate::guest::Component<$generator>;
        $crate::guest::bindings::export_user_data_generator!(Component with_types_in $crate::guest::bindings);
    };
}

/// A generator as a component.
#[derive(Debug)]
pub struct Component<G>(PhantomData<G>);

impl<G: Generator + 'static> Guest for Component<G> {
    fn describe() -> Manifest {
        let manifest = G::MANIFEST;
        Manifest {
            name: manifest.name.to_owned(),
            version: manifest.version.to_owned(),
            description: manifest.description.to_owned(),
            config_schema: manifest.config_schema.to_owned(),
            metrics: Vec::new(),
        }
    }

    fn validate(config: String) -> Result<(), Vec<Problem>> {
        G::parse(&config).map(drop).map_err(problems)
    }

    fn generate(config: String, request: Request) -> Result<String, Error> {
        let config = G::parse(&config).map_err(|wrong| Error::InvalidConfig(problems(wrong)))?;
        let request = crate::Request {
            fleet_name: request.fleet_name,
            hostname: request.hostname,
            index: request.index,
            size: request.size,
            region: request.region,
            image: request.image,
            tags: request.tags,
            params: request.params,
        };
        G::generate(&config, &request).map_err(Error::Failed)
    }
}

fn problems(wrong: Vec<Wrong>) -> Vec<Problem> {
    wrong.into_iter().map(|Wrong { path, message }| Problem { path, message }).collect()
}
