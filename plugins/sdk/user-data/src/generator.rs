//! The interface of a generator.

use doproxy_plugin_sdk::{Manifest, Problem};

/// Maximum size of user data accepted by DigitalOcean, in bytes.
pub const MAX_BYTES: usize = 64 * 1024;

/// The droplet that is about to be created.
///
/// # Examples
///
/// ```
/// use doproxy_user_data_sdk::Request;
///
/// let request = Request { hostname: "www-7".to_owned(), index: 7, ..Request::default() };
///
/// assert_eq!(format!("{} is droplet {}", request.hostname, request.index), "www-7 is droplet 7");
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Request {
    /// The fleet.
    pub fleet_name: String,
    /// Its hostname.
    pub hostname: String,
    /// Its index in the fleet, from 0.
    pub index: u32,
    /// Its size slug.
    pub size: String,
    /// Its region slug.
    pub region: String,
    /// Its image slug or ID.
    pub image: String,
    /// All its tags.
    pub tags: Vec<String>,
    /// Parameters from the policy: JSON text, or empty.
    pub params: String,
}

/// A user-data generator; [`export_generator!`](crate::export_generator!) implements it.
///
/// # Examples
///
/// A generator without a configuration, implemented by hand:
///
/// ```
/// use doproxy_user_data_sdk::{Generator, Manifest, Problem, Request, manifest};
///
/// struct Hello;
///
/// impl Generator for Hello {
///     type Config = ();
///
///     const MANIFEST: Manifest = manifest!(r#"{"type": "object", "additionalProperties": false}"#);
///
///     fn parse(_: &str) -> Result<(), Vec<Problem>> {
///         Ok(())
///     }
///
///     fn generate((): &(), request: &Request) -> Result<String, String> {
///         Ok(format!("#!/bin/sh\necho {}\n", request.hostname))
///     }
/// }
///
/// let request = Request { hostname: "www-1".to_owned(), ..Request::default() };
/// assert_eq!(Hello::generate(&(), &request).unwrap(), "#!/bin/sh\necho www-1\n");
/// ```
pub trait Generator {
    /// The validated configuration.
    type Config;

    /// The plugin's description of itself.
    const MANIFEST: Manifest;

    /// Parses JSON text that has passed the schema, or returns all problems in it.
    fn parse(json: &str) -> Result<Self::Config, Vec<Problem>>;

    /// Generates the user data of a droplet, or fails with a reason in one sentence. The same request must produce the
    /// same text.
    fn generate(config: &Self::Config, request: &Request) -> Result<String, String>;
}
