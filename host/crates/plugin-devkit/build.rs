//! Generates the C bindings of the plugin contract, which `doproxy plugin new --lang c` writes. They are generated at
//! build time because the contract is part of the program: the text is the same, and the program does not include a
//! generator.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::{env, fs};

use wit_bindgen_core::Files;
use wit_bindgen_core::wit_parser::Resolve;

const CONTRACT: &str = "../../../wit/doproxy-plugin@0.1.0";

/// The WIT world of each kind of plugin.
const WORLDS: [&str; 2] = ["scaling-policy", "user-data-generator"];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed={CONTRACT}");
    println!("cargo::rerun-if-changed=build.rs");
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("OUT_DIR is not set")?).join("bindings");
    fs::create_dir_all(&out)?;
    for world in WORLDS {
        for (name, text) in bindings(world)? {
            fs::write(out.join(name), text)?;
        }
    }
    Ok(())
}

/// A file name and its content.
type File = (String, Vec<u8>);

/// Generates `scaling_policy.h`, `scaling_policy.c` and `scaling_policy_component_type.c`.
fn bindings(world: &str) -> Result<Vec<File>, Box<dyn Error>> {
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_dir(Path::new(CONTRACT))?;
    let id = resolve.select_world(&[package], Some(world))?;
    // The build of a component embeds the world in its module, so the generator's object file is not needed.
    let options = wit_bindgen_c::Opts { no_object_file: true, ..wit_bindgen_c::Opts::default() };
    let mut files = Files::default();
    options.build().generate(&mut resolve, id, &mut files)?;
    let mut written: Vec<_> = files.iter().map(|(name, text)| (name.to_owned(), text.to_vec())).collect();
    // Defines the symbol that the omitted object file would define, since the bindings call it.
    let name = world.replace('-', "_");
    let stub = format!("void __component_type_object_force_link_{name}(void) {{}}\n");
    written.push((format!("{name}_component_type.c"), stub.into_bytes()));
    Ok(written)
}
