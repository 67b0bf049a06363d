//! The definition of a generator.

/// Defines a [`Generator`](crate::Generator) and exports it as the component of the crate.
///
/// - `config` is a type with a function `parse(&str) -> Result<Self, Vec<Problem>>`, which returns all problems of a
///   text that has passed the schema.
/// - `schema` is the JSON Schema of the configuration, usually `include_str!("schema.json")`.
/// - `generate` is a function or closure from the configuration and a [`Request`](crate::Request) to the text, or a
///   reason for failure in one sentence.
///
/// Name, version and description are those of the package. The component exists only if the crate is compiled to
/// WebAssembly; everywhere else the generator is an ordinary type that tests can call.
///
/// # Examples
///
/// ```
/// use doproxy_user_data_sdk::{Generator, Problem, Request, export_generator};
///
/// pub struct Config;
///
/// impl Config {
///     pub fn parse(_: &str) -> Result<Self, Vec<Problem>> {
///         Ok(Self)
///     }
/// }
///
/// export_generator! {
///     /// Writes the name of the fleet to a file.
///     pub struct FleetName;
///     config: Config,
///     schema: r#"{"type": "object", "additionalProperties": false}"#,
///     generate: |_, request| Ok(format!("#!/bin/sh\necho {} >/etc/fleet\n", request.fleet_name)),
/// }
///
/// let request = Request { fleet_name: "www".to_owned(), ..Request::default() };
/// assert_eq!(FleetName::generate(&Config, &request).unwrap(), "#!/bin/sh\necho www >/etc/fleet\n");
/// ```
#[macro_export]
macro_rules! export_generator {
    (
        $(#[$attribute:meta])*
        pub struct $name:ident;
        config: $config:ty,
        schema: $schema:expr,
        generate: $generate:expr $(,)?
    ) => {
        $(#[$attribute])*
        #[derive(Debug)]
        pub struct $name;

        impl $crate::Generator for $name {
            type Config = $config;

            const MANIFEST: $crate::Manifest = $crate::manifest!($schema);

            fn parse(json: &str) -> Result<Self::Config, Vec<$crate::Problem>> {
                <$config>::parse(json)
            }

            fn generate(config: &Self::Config, request: &$crate::Request) -> Result<String, String> {
                let generate: fn(&Self::Config, &$crate::Request) -> Result<String, String> = $generate;
                generate(config, request)
            }
        }

        #[cfg(target_family = "wasm")]
        #[expect(unsafe_code, reason = "generated")]
        mod component {
            $crate::export_generator_component!(super::$name);
        }
    };
}
