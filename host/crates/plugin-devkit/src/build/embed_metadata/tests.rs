use doproxy_plugin_registry::{Metadata, read};

use super::*;

#[test]
fn metadata_round_trips() {
    let component = wat::parse_str("(component (core module (memory 1)))").unwrap();
    let about = PackageMetadata {
        name: "calm".to_owned(),
        version: "1.2.3".to_owned(),
        description: None,
        authors: vec!["Ada".to_owned(), "Grace".to_owned()],
        license: Some("MIT".to_owned()),
    };

    let with = with_metadata(&component, &about, Some("abc123"), "0.1.0").unwrap();
    let metadata = read(&with);

    assert_eq!(metadata.version.as_deref(), Some("1.2.3"));
    assert_eq!(metadata.authors.as_deref(), Some("Ada, Grace"));
    assert_eq!(metadata.licenses.as_deref(), Some("MIT"));
    assert_eq!(metadata.revision.as_deref(), Some("abc123"));
    assert!(metadata.producers.contains(&"sdk: doproxy:plugin 0.1.0".to_owned()), "{metadata:?}");
    assert_eq!(read(b"nothing"), Metadata::default());
}
