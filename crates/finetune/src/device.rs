//! Devices by name, as [`converge_bert::device`] has them.

use burn::tensor::Device;
use converge_bert::device::{DeviceError, open as open_device};
pub use converge_bert::device::{DeviceInfo, Presence, devices};
use converge_core::failure::FailureClass;
use converge_core::problem::Problem;

use crate::job::FineTuneError;

/// Returns the device of a name, for tensors outside autodiff.
pub(crate) fn open(name: &str) -> Result<Device, FineTuneError> {
    open_device(name).map_err(|error| FineTuneError::config(error.to_string()))
}

/// Says whether tensors of a device are in this process's memory, to be read and written in place.
pub(crate) fn is_processor(device: &Device) -> bool {
    open_device("cpu").is_ok_and(|cpu| device.clone().inner() == cpu)
}

/// Returns what is wrong with the name of a device, if anything is.
pub(crate) fn problem(name: &str) -> Option<Problem> {
    let error = open_device(name).err()?;
    let problem = Problem::new("run.device", error.to_string());
    Some(match error {
        DeviceError::Unknown { .. } => problem,
        DeviceError::Absent { .. } => {
            problem.hint("`converge doctor` lists the devices that are here; \"cpu\" always is")
        }
    })
}

/// Returns a device on which a model is loaded only to see whether that works.
pub(crate) fn for_checking() -> Result<Device, Vec<Problem>> {
    open_device(&name_for_checking())
        .map_err(|error| vec![Problem::new("run.device", error.to_string())])
}

/// Returns the name of that device: a processor where there is one.
pub(crate) fn name_for_checking() -> String {
    let processors = ["cpu", "libtorch"].into_iter().find(|name| open_device(name).is_ok());
    let here = |info: &DeviceInfo| info.presence != Presence::Absent;
    let first = || devices().into_iter().find(here).map(|info| info.name).unwrap_or_default();
    processors.map_or_else(first, str::to_owned)
}

/// What devices say when their memory is used up, in lower case. Burn's operations return no errors: they panic.
const OUT_OF_MEMORY: [&str; 6] = [
    "out of memory",
    "outofmemory",
    "out of device memory",
    "not enough memory",
    "can't allocate",
    "alloc_failed",
];

/// Returns the class of a failure that came as a panic with this message.
pub fn class_of_panic(message: &str) -> FailureClass {
    let message = message.to_lowercase();
    if OUT_OF_MEMORY.iter().any(|words| message.contains(words)) {
        FailureClass::Oom
    } else {
        FailureClass::Panic
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_without_memory_is_no_defect() {
        for message in [
            "called `Result::unwrap()` on an `Err` value: Torch(\"CUDA out of memory. Tried to allocate 2.00 GiB\")",
            "[enforce fail at alloc_cpu.cpp:118] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to",
            "Error: OutOfMemory { requested: 17, backtrace: .. }",
            "An IO error happened\nCaused by:\n  can't allocate buffer of size: 4398046511104",
            "An IO error happened\nCaused by:\n  out of device memory allocating 17 bytes",
            "Can't allocate 17 bytes: every page size the memory tracks still holds live allocations",
            "CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
        ] {
            assert_eq!(class_of_panic(message), FailureClass::Oom, "{message}");
        }
        assert_eq!(class_of_panic("index out of bounds"), FailureClass::Panic);
    }

    /// On the processor of flex a program without memory ends, and says nothing.
    #[test]
    #[cfg(not(feature = "flex"))]
    fn more_memory_than_any_device_has_is_a_failure_of_its_class() {
        let device = converge_bert::device::of_tests();
        let panic = std::panic::catch_unwind(|| {
            let tensor = burn::tensor::Tensor::<1>::ones([1_usize << 40], &device);
            tensor.into_data().num_elements()
        });
        let panic = panic.unwrap_err();
        let message = panic.downcast_ref::<String>().map_or_else(
            || panic.downcast_ref::<&str>().copied().unwrap_or_default(),
            String::as_str,
        );
        assert_eq!(class_of_panic(message), FailureClass::Oom, "{message}");
    }
}
