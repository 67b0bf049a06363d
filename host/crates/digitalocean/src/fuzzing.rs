//! Fuzz targets for API responses.

#![expect(clippy::missing_panics_doc, reason = "a fuzz target reports findings by panicking")]

use doproxy_core::seams::{Account, CloudInstance, Image, Region, Size, SshKey};

use crate::error::{parse_error_body, sanitize};
use crate::wire;

/// Parses a body as every type of response and as an error, and checks for panics.
pub fn api_bodies(body: &[u8]) {
    if let Ok(page) = wire::parse::<wire::Page<wire::Droplet>>(body) {
        let _ = page.meta.has_more(page.items.len(), page.items.len(), crate::digitalocean::PER_PAGE);
        page.items.into_iter().for_each(|droplet| check(&droplet.into()));
    }
    if let Ok(one) = wire::parse::<wire::DropletResponse>(body) {
        check(&one.droplet.into());
    }
    if let Ok(created) = wire::parse::<wire::CreateResponse>(body) {
        created.into_droplets().iter().for_each(check);
    }
    let _ = wire::parse::<wire::AccountResponse>(body).map(|one| Account::from(one.account));
    let _ = wire::parse::<wire::ImageResponse>(body).map(|one| Image::from(one.image));
    let _ = wire::parse::<wire::Page<wire::Size>>(body).map(|page| page.items.into_iter().map(Size::from).count());
    let _ = wire::parse::<wire::Page<wire::Region>>(body).map(|page| page.items.into_iter().map(Region::from).count());
    let _ = wire::parse::<wire::Page<wire::SshKey>>(body).map(|page| page.items.into_iter().map(SshKey::from).count());
    let output = sanitize(&parse_error_body(body).message, &["secret"]);
    assert!(!output.contains("secret") && !output.contains(char::is_control), "{output:?}");
}

fn check(droplet: &CloudInstance) {
    let addresses = droplet.private_addresses.iter().chain(&droplet.public_addresses);
    assert!(addresses.into_iter().all(|address| !address.is_unspecified()), "{droplet:?}");
}

#[cfg(test)]
mod tests {
    use doproxy_test_support::fuzzing;

    use super::*;

    const TARGETS: [fuzzing::Target; 1] = [("api_bodies", api_bodies)];

    #[test]
    fn every_corpus_input_is_handled() {
        fuzzing::run_corpora(&TARGETS);
    }

    #[test]
    fn arbitrary_inputs_are_handled() {
        fuzzing::run_arbitrary_inputs(&TARGETS);
    }
}
