//! Compiles the proto files without protoc and keeps the descriptor set for reflection.

use std::{error::Error, fs, path::PathBuf};

use prost::Message;

const FILES: [&str; 4] = [
    "session.proto",
    "directory.proto",
    "provisioner.proto",
    "operator.proto",
];

#[expect(
    clippy::disallowed_methods,
    reason = "Cargo tells a build script where to write by the environment"
)]
fn main() -> Result<(), Box<dyn Error>> {
    let root = PathBuf::from("../../proto");
    println!("cargo:rerun-if-changed={}", root.display());
    let files = FILES.map(|file| root.join("livepreview/v1").join(file));
    let descriptors = protox::compile(files, [root])?;
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    fs::write(out.join("livepreview.bin"), descriptors.encode_to_vec())?;
    tonic_prost_build::configure().compile_fds(descriptors)?;
    Ok(())
}
