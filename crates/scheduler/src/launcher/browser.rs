//! Opening a page in the user's browser.

use std::io::{Error, ErrorKind, Result};
use std::process::{Command, Stdio};

/// What opens an address on desktops: the first that is there.
const OPENERS: [&str; 3] = ["xdg-open", "open", "wslview"];

/// Asks the desktop to show an address, and does not wait for it.
///
/// # Errors
/// Where there is no desktop to ask.
pub fn open(address: &str) -> Result<()> {
    for opener in OPENERS {
        let mut command = Command::new(opener);
        command.arg(address).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        match command.spawn() {
            Ok(_) => return Ok(()),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Err(Error::new(ErrorKind::NotFound, format!("none of {} is installed", OPENERS.join(", "))))
}
