//! Devices by name.

use burn::tensor::Device;

use crate::job::FineTuneError;

/// A device that this build can name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceInfo {
    /// The name in `[run] device`.
    pub name: String,
    /// What it is, for people.
    pub description: String,
    /// Whether it is present on this machine.
    pub available: bool,
}

/// Returns the devices of this build, the preferred one first.
pub fn devices() -> Vec<DeviceInfo> {
    let mut devices = Vec::new();
    if cfg!(feature = "flex") {
        devices.push(DeviceInfo {
            name: "cpu".to_owned(),
            description: "burn-flex, pure Rust, on the processor".to_owned(),
            available: true,
        });
    }
    devices
}

/// Returns the device of a name, for tensors outside autodiff.
pub(crate) fn open(name: &str) -> Result<Device, FineTuneError> {
    match name {
        #[cfg(feature = "flex")]
        "cpu" => Ok(Device::flex()),
        _ => {
            let known: Vec<_> = devices().into_iter().map(|device| device.name).collect();
            Err(FineTuneError::config(format!(
                "device `{name}` is not in this build; it has: {}",
                known.join(", ")
            )))
        }
    }
}
