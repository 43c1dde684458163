//! The program `paramedic`. All that it does is in the library of this crate, where tests can get at it.

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main()
}
