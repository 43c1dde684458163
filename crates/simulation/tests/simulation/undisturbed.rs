//! Each scenario as it is written, with nothing else going wrong.

use simulation::faults::UNDISTURBED;
use simulation::run::{Case, Course};
use simulation::trace::Trace;

use crate::scenarios;

#[test]
fn every_scenario_ends_as_it_says() {
    let mut failed = vec![];
    for scenario in scenarios() {
        let name = scenario.name.clone();
        let report = Case { scenario, profile: UNDISTURBED, mutation: None }.play(Course::Seed(0), Trace::on());
        assert_eq!(report.deviations, vec![], "{name}: nothing goes wrong by chance");
        if let Some(broken) = report.broken {
            failed.push(format!("{name}: {} {}\n{}", broken.promise, broken.why, report.trace.lines().join("\n")));
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n\n"));
}
