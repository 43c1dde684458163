//! Migrations are embedded by a macro, which notices a changed file but not a new one.

fn main() {
    println!("cargo::rerun-if-changed=migrations");
}
