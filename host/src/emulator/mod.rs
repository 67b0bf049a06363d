//! The simulated cloud, served as the `DigitalOcean` HTTP API.
