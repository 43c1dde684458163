//! What the Makefile would do with what people give it.

use std::process::Command;

use super::root;

/// The commands that make would run.
fn would_run(arguments: &[&str]) -> String {
    let mut make = Command::new("make");
    make.args(["--no-print-directory", "--just-print"]).args(arguments).current_dir(root());
    let output = make.env_remove("APPROVE").env_remove("LISTEN").env_remove("MAKEFLAGS").output().expect("make");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_demo_approves_by_itself_only_where_somebody_said_yes() {
    for (given, approves) in [(None, false), (Some("no"), false), (Some("0"), false), (Some("true"), false), (Some("yes"), true)]
    {
        let approve = given.map(|given| format!("APPROVE={given}"));
        let arguments: Vec<&str> = ["demo", "CONTEXT=any"].into_iter().chain(approve.as_deref()).collect();
        let commands = would_run(&arguments);
        assert_eq!(commands.contains("--approve"), approves, "{given:?}: {commands}");
    }
}

#[test]
fn the_seeds_that_are_asked_for_are_played() {
    assert!(would_run(&["sim", "SEEDS=7", "SEED=42"]).contains("--seeds 7 --seed 42"));
    assert!(would_run(&["soak", "HOURS=3", "SEED=42"]).contains("--hours 3 --seed 42"));
}

#[test]
fn every_kind_is_fuzzed_unless_some_are_asked_for() {
    assert!(would_run(&["fuzz", "MINUTES=3", "KINDS=webhook slack"]).contains("fuzz/run.sh 3 webhook slack\n"));
    for all in ["fuzz", "soak"] {
        assert!(would_run(&[all]).contains("fuzz/run.sh 1\n"), "{all}");
    }
}

#[test]
fn help_names_every_target_and_every_variable() {
    let makefile = super::read("Makefile");
    let help = Command::new("make").args(["--no-print-directory", "help"]).current_dir(root()).output().expect("make");
    let help = String::from_utf8(help.stdout).unwrap();
    for target in ["up", "demo", "test", "sim", "fuzz", "soak", "lint", "bench"] {
        assert!(help.contains(&format!("make {target} ")), "{target}: {help}");
    }
    let upper = |text: &&str| text.bytes().all(|b| b.is_ascii_uppercase());
    let given = makefile.split("$(if $(").skip(1).filter_map(|rest| rest.split(')').next()).filter(upper);
    let given: Vec<&str> = given.chain(["APPROVE", "TESTS", "SEEDS", "SEED", "HOURS", "MINUTES", "KINDS"]).collect();
    assert!(given.contains(&"LISTEN") && given.contains(&"CONTEXT"), "{given:?}");
    for variable in given {
        assert!(help.contains(&format!("  {variable}=")), "{variable}: {help}");
    }
}
