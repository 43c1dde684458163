//! Manifests against the schemas of Kubernetes versions that no server here has.

use std::process::Command;

use anyhow::{Result, ensure};

use super::objects::{EXAMPLE, render_text, run, tools};

/// The oldest that managed offerings still run, and the newest.
const VERSIONS: [&str; 3] = ["1.30", "1.33", "1.37"];

/// What the checker says of `text`.
fn check(text: &str) -> Result<String> {
    let folder = testkit::Folder::new()?;
    let path = folder.join("rendered.yaml");
    std::fs::write(&path, text)?;
    let mut command = Command::new(tools()?.join("kubernetes-validate"));
    command.arg("--strict").arg("--no-warn");
    for version in VERSIONS {
        command.args(["-k", version]);
    }
    run(command.arg(&path))
}

#[test]
fn current_kubernetes_knows_every_field() -> Result<()> {
    for kustomization in ["k8s/base", EXAMPLE] {
        let text = render_text(kustomization)?;
        let said = check(&text)?;
        let (objects, passed) = (text.matches("\napiVersion: ").count() + 1, said.matches(" passed ").count());
        ensure!(passed == objects * VERSIONS.len(), "{kustomization}: {passed} checks of {objects} objects:\n{said}");
    }
    Ok(())
}

#[test]
fn a_misspelt_field_is_noticed() -> Result<()> {
    let text = render_text("k8s/base")?;
    let spoiled = text.replacen("livenessProbe:", "livelinessProbe:", 1);
    ensure!(spoiled != text, "nothing to misspell");
    ensure!(check(&spoiled).is_err(), "the schema check would not notice anything");
    Ok(())
}
