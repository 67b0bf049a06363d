//! Classification of a component by its outermost sections: cheap, and possible before compilation.

use doproxy_core::domain::PluginKind;
use serde::Serialize;
use wasmparser::{Chunk, Parser, Payload};

use crate::contract::{CONTRACT, Version};
use crate::error::LoadError;

/// The interfaces of WASI 0.2 that the host links as stubs; see `wasi`.
const STUBBED_WASI: [&str; 27] = [
    "wasi:cli/environment",
    "wasi:cli/exit",
    "wasi:cli/stderr",
    "wasi:cli/stdin",
    "wasi:cli/stdout",
    "wasi:cli/terminal-input",
    "wasi:cli/terminal-output",
    "wasi:cli/terminal-stderr",
    "wasi:cli/terminal-stdin",
    "wasi:cli/terminal-stdout",
    "wasi:clocks/monotonic-clock",
    "wasi:clocks/wall-clock",
    "wasi:filesystem/preopens",
    "wasi:filesystem/types",
    "wasi:io/error",
    "wasi:io/poll",
    "wasi:io/streams",
    "wasi:random/insecure",
    "wasi:random/insecure-seed",
    "wasi:random/random",
    "wasi:sockets/instance-network",
    "wasi:sockets/ip-name-lookup",
    "wasi:sockets/network",
    "wasi:sockets/tcp",
    "wasi:sockets/tcp-create-socket",
    "wasi:sockets/udp",
    "wasi:sockets/udp-create-socket",
];

/// The host's policy on an import.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ImportPolicy {
    /// Provided as part of the contract.
    Contract,
    /// Provided as a WASI stub without effect.
    EmptyWasi,
    /// Not available to plugins.
    Refused,
}

/// An import, and the host's policy on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Import {
    /// The interface.
    pub name: String,
    /// The host's policy.
    pub verdict: ImportPolicy,
}

/// Returns the imports of a component, even if it is not a plugin; empty if the component cannot be read.
pub(super) fn imports(bytes: &[u8]) -> Vec<Import> {
    let Ok((imports, _)) = import_export_names(bytes) else { return Vec::new() };
    let judged =
        |name: String| Import { verdict: import_policy(&name), name: doproxy_support::sanitize_line(&name, 200) };
    imports.into_iter().map(judged).collect()
}

/// The imports and exports of a plugin component, by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ComponentInterface {
    /// The world that the component implements.
    pub(super) kind: PluginKind,
    /// The contract version that the component targets.
    pub(super) version: Version,
    /// The imported interfaces.
    pub(super) imports: Vec<String>,
    /// The exported interfaces.
    pub(super) exports: Vec<String>,
}

impl ComponentInterface {
    /// Parses the outermost sections of `bytes`, and rejects anything that is not a plugin.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, LoadError> {
        match bytes.get(..8) {
            Some(b"\0asm\x0d\0\x01\0") => {}
            Some(header) if header.starts_with(b"\0asm\x01\0\0\0") => return Err(LoadError::CoreModule),
            Some(header) if header.starts_with(b"\0asm") => {
                return Err(LoadError::Malformed("unknown WebAssembly version".to_owned()));
            }
            _ => return Err(LoadError::NotWasm),
        }
        let (imports, exports) = import_export_names(bytes)?;
        // Check imports first: a forbidden import is the most important information for the user.
        if let Some(foreign) = imports.iter().find(|import| import_policy(import) == ImportPolicy::Refused) {
            return Err(LoadError::DisallowedImport(doproxy_support::sanitize_line(foreign, 200)));
        }
        let (kind, version) = kind_from_exports(&exports)?;
        Ok(Self { kind, version, imports, exports })
    }
}

fn import_export_names(bytes: &[u8]) -> Result<(Vec<String>, Vec<String>), LoadError> {
    let broken = |error: wasmparser::BinaryReaderError| LoadError::Malformed(error.to_string());
    let (mut imports, mut exports) = (Vec::new(), Vec::new());
    let mut parser = Parser::new(0);
    let mut rest = bytes;
    loop {
        let (consumed, payload) = match parser.parse(rest, true).map_err(broken)? {
            Chunk::Parsed { consumed, payload } => (consumed, payload),
            // Unreachable: the parser has all data, and reports missing data as an error.
            Chunk::NeedMoreData(_) => return Ok((imports, exports)),
        };
        let mut next = consumed;
        match payload {
            Payload::ComponentImportSection(section) => {
                for import in section {
                    imports.push(import.map_err(broken)?.name.name.to_owned());
                }
            }
            Payload::ComponentExportSection(section) => {
                for export in section {
                    exports.push(export.map_err(broken)?.name.name.to_owned());
                }
            }
            // Skip nested sections: they may be megabytes, and the compiler validates them.
            Payload::ModuleSection { unchecked_range, .. } | Payload::ComponentSection { unchecked_range, .. } => {
                let length = unchecked_range.end.saturating_sub(unchecked_range.start);
                next = next.saturating_add(length);
            }
            Payload::End(_) => return Ok((imports, exports)),
            _ => {}
        }
        rest = rest.get(next..).ok_or_else(|| LoadError::Malformed("truncated section".to_owned()))?;
    }
}

fn kind_from_exports(exports: &[String]) -> Result<(PluginKind, Version), LoadError> {
    let worlds = [("policy", PluginKind::ScalingPolicy), ("user-data", PluginKind::UserDataGenerator)];
    let ours = exports.iter().filter_map(|name| {
        let (interface, version) = name.strip_prefix("doproxy:plugin/")?.split_once('@')?;
        let (_, kind) = worlds.into_iter().find(|(world, _)| *world == interface)?;
        Some((name, version, kind))
    });
    let (mut found, mut other) = (None, None);
    for (name, version, kind) in ours {
        match Version::from_name(version) {
            None => other = Some(name),
            Some(version) => {
                if found.replace((kind, version)).is_some_and(|(before, _)| before != kind) {
                    return Err(LoadError::BothWorlds);
                }
            }
        }
    }
    if let Some(found) = found {
        return Ok(found);
    }
    Err(match other {
        Some(theirs) => LoadError::UnsupportedVersion {
            interface: doproxy_support::sanitize_line(theirs, 200),
            supported: CONTRACT,
        },
        None => LoadError::UnknownWorld(
            exports.iter().take(5).map(|name| doproxy_support::sanitize_line(name, 200)).collect(),
        ),
    })
}

fn import_policy(name: &str) -> ImportPolicy {
    let Some((interface, version)) = name.split_once('@') else { return ImportPolicy::Refused };
    match interface.strip_prefix("doproxy:plugin/") {
        Some(ours) if Version::from_name(version).is_some_and(|version| version.may_import(ours)) => {
            ImportPolicy::Contract
        }
        None if version.starts_with("0.2.") && STUBBED_WASI.contains(&interface) => ImportPolicy::EmptyWasi,
        _ => ImportPolicy::Refused,
    }
}
