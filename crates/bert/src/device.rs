//! Devices by name: which this build has, which are present, and how to open one.
//!
//! | name | by | needs |
//! |---|---|---|
//! | `cpu` | feature `flex`, burn-flex | nothing |
//! | `libtorch` | feature `libtorch`, burn-tch, on the processor | PyTorch's libraries |
//! | `cuda`, `cuda:1` | feature `libtorch`, burn-tch | PyTorch's libraries with CUDA, an NVIDIA GPU and its driver |
//! | `wgpu`, `wgpu:1` | feature `wgpu`, burn-wgpu | a driver for Vulkan, Metal or DirectX 12 |
//! | `cuda-native`, `cuda-native:1` | feature `cuda`, burn-cuda | CUDA's toolkit, an NVIDIA GPU and its driver |

use burn::tensor::Device;

/// A device that this build can name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceInfo {
    /// The name that [`open`] takes.
    pub name: String,
    /// What it is, for people.
    pub description: String,
    /// Whether it is there.
    pub presence: Presence,
}

/// Whether a device is on this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// It is.
    Present,
    /// A processor plays it: right for tests, slower than `cpu`, used only when named.
    Software,
    /// It is not.
    Absent,
}

impl Presence {
    /// Returns the word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Present => "present",
            Self::Software => "software",
            Self::Absent => "absent",
        }
    }
}

/// A name opens no device.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeviceError {
    /// This build cannot serve it.
    #[error("device `{name}` is not in this build; it has: {}", known.join(", "))]
    Unknown {
        /// The name.
        name: String,
        /// The names that it has.
        known: Vec<String>,
    },
    /// The build could serve it, the machine does not have it.
    #[error("device `{name}` is not here: {reason}")]
    Absent {
        /// The name.
        name: String,
        /// What is missing.
        reason: String,
    },
}

/// Returns the devices of this build, the preferred one first; an absent one of each kind is listed as well.
#[allow(clippy::vec_init_then_push, reason = "which of these lines there are, features decide")]
pub fn devices() -> Vec<DeviceInfo> {
    let mut devices: Vec<DeviceInfo> = Vec::new();
    #[cfg(feature = "cuda")]
    devices.extend(native_cuda::devices());
    #[cfg(feature = "libtorch")]
    devices.extend(libtorch::gpus());
    #[cfg(feature = "wgpu")]
    devices.extend(wgpu::devices());
    #[cfg(feature = "flex")]
    devices.push(DeviceInfo {
        name: "cpu".to_owned(),
        description: "burn-flex, pure Rust, on the processor".to_owned(),
        presence: Presence::Present,
    });
    #[cfg(feature = "libtorch")]
    devices.push(libtorch::processor());
    devices
}

/// Returns the device of a name, for tensors outside autodiff.
///
/// # Errors
/// [`DeviceError`]
pub fn open(name: &str) -> Result<Device, DeviceError> {
    let (family, index) = match name.split_once(':') {
        Some((family, index)) => (family, index.parse::<usize>().ok()),
        None => (name, Some(0)),
    };
    let numbered = name != family;
    match (family, index) {
        #[cfg(feature = "flex")]
        ("cpu", _) if !numbered => Ok(Device::flex()),
        #[cfg(feature = "libtorch")]
        ("libtorch", _) if !numbered => Ok(libtorch::open_processor()),
        #[cfg(feature = "libtorch")]
        ("cuda", Some(index)) => libtorch::open_gpu(name, index),
        #[cfg(feature = "wgpu")]
        ("wgpu", Some(index)) => wgpu::open(name, index),
        #[cfg(feature = "cuda")]
        ("cuda-native", Some(index)) => native_cuda::open(name, index),
        _ => {
            let _ = (numbered, index);
            let known = devices().into_iter().map(|device| device.name).collect();
            Err(DeviceError::Unknown { name: name.to_owned(), known })
        }
    }
}

/// The device that the tests of this workspace run on: `CONVERGE_TEST_DEVICE`, or the first of `cpu` and `libtorch`
/// that is built in.
///
/// # Panics
/// If it is not there.
#[doc(hidden)]
#[expect(clippy::expect_used, reason = "for tests")]
pub fn of_tests() -> Device {
    open(&name_of_tests()).expect("the device of the tests opens")
}

/// The name of [`of_tests`].
#[doc(hidden)]
pub fn name_of_tests() -> String {
    let named = std::env::var("CONVERGE_TEST_DEVICE").ok().filter(|name| !name.is_empty());
    named.unwrap_or_else(|| if cfg!(feature = "flex") { "cpu" } else { "libtorch" }.to_owned())
}

/// Says why there is no NVIDIA GPU, as far as one can see from outside its libraries.
#[cfg(any(feature = "libtorch", feature = "cuda"))]
fn without_gpu(library: &str) -> String {
    let driver = std::path::Path::new("/dev/nvidiactl").exists();
    match std::env::var("CUDA_VISIBLE_DEVICES") {
        _ if !driver => {
            "there is no NVIDIA GPU, or its driver is not loaded (`nvidia-smi` must list it)".into()
        }
        Ok(visible) => format!("{library} finds no such GPU among CUDA_VISIBLE_DEVICES={visible}"),
        Err(_) => format!(
            "{library} finds no such GPU: it was built without CUDA, or needs a newer driver (`nvidia-smi` names its version)"
        ),
    }
}

#[cfg(feature = "libtorch")]
#[expect(deprecated, reason = "burn means to drop it; it is the CUDA road that builds anywhere")]
mod libtorch {
    use burn::tensor::{Device, DeviceType};

    use super::{DeviceError, DeviceInfo, Presence, without_gpu};

    pub(super) fn processor() -> DeviceInfo {
        DeviceInfo {
            name: "libtorch".to_owned(),
            description: "PyTorch's libraries, on the processor".to_owned(),
            presence: Presence::Present,
        }
    }

    pub(super) fn gpus() -> Vec<DeviceInfo> {
        let info = |name: String, presence| DeviceInfo {
            name,
            description: "PyTorch's libraries, on an NVIDIA GPU".to_owned(),
            presence,
        };
        match count() {
            0 => vec![info("cuda".to_owned(), Presence::Absent)],
            count => (0..count).map(|i| info(format!("cuda:{i}"), Presence::Present)).collect(),
        }
    }

    fn count() -> usize {
        Device::enumerate(DeviceType::LibTorch).into_iter().count()
    }

    pub(super) fn open_processor() -> Device {
        Device::libtorch()
    }

    pub(super) fn open_gpu(name: &str, index: usize) -> Result<Device, DeviceError> {
        if index < count() {
            return Ok(Device::libtorch_cuda(index));
        }
        Err(DeviceError::Absent { name: name.to_owned(), reason: without_gpu("libtorch") })
    }
}

#[cfg(feature = "cuda")]
mod native_cuda {
    use burn::tensor::{Device, DeviceType};

    use super::{DeviceError, DeviceInfo, Presence, without_gpu};

    pub(super) fn devices() -> Vec<DeviceInfo> {
        let info = |name: String, presence| DeviceInfo {
            name,
            description: "burn-cuda, on an NVIDIA GPU".to_owned(),
            presence,
        };
        match count() {
            0 => vec![info("cuda-native".to_owned(), Presence::Absent)],
            count => {
                (0..count).map(|i| info(format!("cuda-native:{i}"), Presence::Present)).collect()
            }
        }
    }

    fn count() -> usize {
        Device::enumerate(DeviceType::Cuda).into_iter().count()
    }

    pub(super) fn open(name: &str, index: usize) -> Result<Device, DeviceError> {
        if index < count() {
            return Ok(Device::cuda(index));
        }
        Err(DeviceError::Absent { name: name.to_owned(), reason: without_gpu("CUDA") })
    }
}

#[cfg(feature = "wgpu")]
mod wgpu {
    use burn::tensor::wgpu::WgpuInitError;
    use burn::tensor::{Device, DeviceKind, DeviceType};

    use super::{DeviceError, DeviceInfo, Presence};

    /// More adapters of one kind than a machine has.
    const KINDS: usize = 16;

    pub(super) fn devices() -> Vec<DeviceInfo> {
        let adapters = adapters();
        if adapters.is_empty() {
            return vec![DeviceInfo {
                name: "wgpu".to_owned(),
                description: "burn-wgpu, on any GPU".to_owned(),
                presence: Presence::Absent,
            }];
        }
        let named = adapters.into_iter().enumerate().map(|(index, kind)| {
            let presence = match kind {
                DeviceKind::Cpu => Presence::Software,
                _ => Presence::Present,
            };
            let what = match kind {
                DeviceKind::DiscreteGpu(_) => "a discrete GPU",
                DeviceKind::IntegratedGpu(_) => "an integrated GPU",
                DeviceKind::VirtualGpu(_) => "a virtual GPU",
                _ => "a processor that plays a GPU",
            };
            DeviceInfo {
                name: format!("wgpu:{index}"),
                description: format!("burn-wgpu, on {what}"),
                presence,
            }
        });
        named.collect()
    }

    /// The adapters of this machine: discrete, integrated, virtual ones, and software last.
    fn adapters() -> Vec<DeviceKind> {
        let kinds = (0..KINDS)
            .map(DeviceKind::DiscreteGpu)
            .chain((0..KINDS).map(DeviceKind::IntegratedGpu))
            .chain((0..KINDS).map(DeviceKind::VirtualGpu))
            .chain([DeviceKind::Cpu]);
        let found: Vec<Device> = Device::enumerate(DeviceType::Wgpu).into_iter().collect();
        kinds.filter(|kind| found.contains(&Device::wgpu(kind.clone()))).collect()
    }

    pub(super) fn open(name: &str, index: usize) -> Result<Device, DeviceError> {
        let absent = |reason| DeviceError::Absent { name: name.to_owned(), reason };
        let adapters = adapters();
        let Some(kind) = adapters.get(index) else {
            return Err(absent(match adapters.len() {
                0 => "no driver for Vulkan, Metal or DirectX 12 offers an adapter (on Debian, \
                      `mesa-vulkan-drivers` serves AMD, Intel and, in software, any processor)"
                    .to_owned(),
                count => format!("there are {count} adapters, counted from wgpu:0"),
            }));
        };
        match Device::wgpu_options().device_kind(kind.clone()).init() {
            Ok(device) => Ok(device),
            // Opened before in this process.
            Err(WgpuInitError::Registration { .. }) => Ok(Device::wgpu(kind.clone())),
            Err(error) => Err(absent(error.to_string())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_listed_device_that_is_there_opens() {
        let devices = devices();
        assert!(!devices.is_empty());
        for device in devices {
            let opened = open(&device.name);
            assert_eq!(
                opened.is_ok(),
                device.presence != Presence::Absent,
                "{device:?}: {opened:?}"
            );
        }
    }

    #[test]
    fn a_name_that_means_nothing_is_refused_with_those_that_do() {
        for name in ["abacus", "cpu:0", "cpu:", "cuda:x", "wgpu:-1", ""] {
            let error = open(name).unwrap_err();
            assert!(matches!(error, DeviceError::Unknown { .. }), "{name}: {error}");
            assert!(error.to_string().contains(&devices()[0].name), "{error}");
        }
    }
}
