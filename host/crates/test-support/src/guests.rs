//! Handmade policies: a core module in text form, converted into a component.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;

use doproxy_plugin_registry::Reference;
use tempfile::{NamedTempFile, TempDir};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

/// A component in a temporary file with the lifetime of this value.
pub struct GuestFile(NamedTempFile);

impl GuestFile {
    pub fn bytes(bytes: &[u8]) -> Self {
        let mut file = NamedTempFile::new().unwrap();
        file.write_all(bytes).unwrap();
        Self(file)
    }

    /// Creates a component from its text form.
    pub fn text(text: &str) -> Self {
        Self::bytes(&wat::parse_str(text).unwrap())
    }

    pub fn reference(&self) -> Reference {
        Reference::File(self.0.path().to_owned())
    }
}

/// A builder of policies.
pub struct GuestText {
    /// Body of `decide`: instructions that leave the address of the result on the stack.
    decide: String,
    schema: String,
    extra: String,
    /// Additional imports of the world, in WIT.
    imports: &'static str,
    packages: &'static str,
    /// A replacement in the contract: the original text and the new one.
    contract_edit: Option<(&'static str, &'static str)>,
}

/// The address of an all-zero result: no error, hold, and everything else empty.
pub const HOLD: &str = "(i32.const 256)";

impl GuestText {
    pub fn with_decide(decide: &str) -> Self {
        Self {
            decide: decide.to_owned(),
            schema: r#"{"type": "object"}"#.to_owned(),
            extra: String::new(),
            imports: "",
            packages: "",
            contract_edit: None,
        }
    }

    pub fn schema(mut self, schema: &str) -> Self {
        schema.clone_into(&mut self.schema);
        self
    }

    /// Adds functions and data to the exports; memory is free from 2048 to 32768 and above 64 KiB.
    pub fn extra(mut self, extra: &str) -> Self {
        extra.clone_into(&mut self.extra);
        self
    }

    /// Adds an import, as `import NAME;`, and its package.
    pub fn imports(mut self, imports: &'static str, packages: &'static str) -> Self {
        (self.imports, self.packages) = (imports, packages);
        self
    }

    /// Builds against a contract with `other` in place of `ours`.
    pub fn with_contract_edit(mut self, ours: &'static str, other: &'static str) -> Self {
        self.contract_edit = Some((ours, other));
        self
    }

    pub fn write(&self) -> GuestFile {
        GuestFile::bytes(&self.component())
    }

    pub fn component(&self) -> Vec<u8> {
        let mut module = wat::parse_str(self.module()).unwrap();
        let mut resolve = Resolve::default();
        let contract = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../wit/doproxy-plugin@0.1.0");
        let changed = self.contract_edit.map(|(ours, other)| edited_contract(&contract, ours, other));
        resolve.push_dir(changed.as_ref().map_or(&*contract, TempDir::path)).unwrap();
        let world = format!(
            "package test:guest;\nworld guest {{ include doproxy:plugin/scaling-policy@0.1.0; {} }}\n{}",
            self.imports, self.packages
        );
        let package = resolve.push_str("guest.wit", &world).unwrap();
        let world = resolve.select_world(&[package], Some("guest")).unwrap();
        embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).unwrap();
        ComponentEncoder::default().validate(true).module(&module).unwrap().encode().unwrap()
    }

    fn module(&self) -> String {
        let Self { decide, schema, extra, .. } = self;
        // The manifest at 64: four strings as address and length, and an empty list. The strings start at 1024.
        let mut manifest = String::new();
        let mut at = 1024_usize;
        for text in ["hand-made", "1.0.0", "made by hand", schema] {
            for number in [at, text.len()] {
                for byte in u32::try_from(number).unwrap().to_le_bytes() {
                    write!(manifest, "\\{byte:02x}").unwrap();
                }
            }
            at += text.len();
        }
        let strings = format!("hand-made1.0.0made by hand{schema}").replace('\\', "\\5c").replace('"', "\\22");
        format!(
            r#"(module
                (import "doproxy:plugin/log@0.1.0" "write" (func $log (param i32 i32 i32)))
                {extra}
                (memory (export "memory") 2)
                (data (i32.const 64) "{manifest}")
                (data (i32.const 1024) "{strings}")
                (global $free (mut i32) (i32.const 65536))
                (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
                    (global.set $free (i32.and (i32.add (global.get $free) (i32.const 15)) (i32.const -16)))
                    (global.get $free)
                    (global.set $free (i32.add (global.get $free) (local.get 3))))
                (func (export "doproxy:plugin/policy@0.1.0#describe") (result i32) (i32.const 64))
                (func (export "doproxy:plugin/policy@0.1.0#validate") (param i32 i32) (result i32) (i32.const 128))
                (func $decide (export "doproxy:plugin/policy@0.1.0#decide") (param i32) (result i32) {decide}))"#
        )
    }
}

/// Copies the contract and replaces the only occurrence of `ours` with `other`.
fn edited_contract(contract: &Path, ours: &str, other: &str) -> TempDir {
    let copy = tempfile::tempdir().unwrap();
    let mut places = 0;
    for file in contract.read_dir().unwrap() {
        let file = file.unwrap().path();
        let text = std::fs::read_to_string(&file).unwrap();
        places += text.matches(ours).count();
        std::fs::write(copy.path().join(file.file_name().unwrap()), text.replace(ours, other)).unwrap();
    }
    assert_eq!(places, 1, "occurrences of {ours:?}");
    copy
}
