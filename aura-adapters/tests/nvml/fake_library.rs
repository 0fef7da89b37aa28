//! A library that tells of GPUs as NVIDIA's does, built by the tests of `NvmlProbe` and loaded by nobody else.
//!
//! Its variants are chosen by `--cfg`: `no_driver` and `mismatch` fail to start, `no_memory` and `no_extras` lack symbols,
//! `one_lost` has lost its second GPU.

#![allow(non_snake_case, unexpected_cfgs, clippy::all)]

use std::{
    ffi::{c_char, c_int, c_uint, c_ulonglong, c_void},
    ptr::null,
};

#[cfg(no_driver)]
const STARTED: c_int = 9;
#[cfg(mismatch)]
const STARTED: c_int = 18;
#[cfg(not(any(no_driver, mismatch)))]
const STARTED: c_int = 0;

const INVALID_ARGUMENT: c_int = 2;
const INSUFFICIENT_SIZE: c_int = 7;
const GPU_IS_LOST: c_int = 15;
const ARGUMENT_VERSION_MISMATCH: c_int = 25;

struct Card {
    name: &'static str,
    uuid: &'static str,
    total: u64,
    reserved: u64,
    used: u64,
    busy: u32,
}

static CARDS: [Card; 2] = [
    Card {
        name: "NVIDIA GeForce GTX 1080 Ti",
        uuid: "GPU-11111111-2222-3333-4444-555555555555",
        total: 11_264 << 20,
        reserved: 86 << 20,
        used: (3000 << 20) + 1,
        busy: 43,
    },
    Card {
        name: "NVIDIA GeForce GTX 1060",
        uuid: "GPU-66666666-7777-8888-9999-000000000000",
        total: 6144 << 20,
        reserved: 0,
        used: 0,
        busy: 0,
    },
];

#[repr(C)]
pub struct Memory {
    version: c_uint,
    total: c_ulonglong,
    reserved: c_ulonglong,
    free: c_ulonglong,
    used: c_ulonglong,
}

#[repr(C)]
pub struct Utilization {
    gpu: c_uint,
    memory: c_uint,
}

/// The cards' handles are their numbers, from 1.
fn card(handle: *mut c_void) -> Option<&'static Card> {
    CARDS.get((handle as usize).checked_sub(1)?)
}

unsafe fn write(text: &str, into: *mut c_char, room: c_uint) -> c_int {
    if text.len() >= room as usize {
        return INSUFFICIENT_SIZE;
    }
    unsafe {
        std::ptr::copy_nonoverlapping(text.as_ptr().cast(), into, text.len());
        *into.add(text.len()) = 0;
    }
    0
}

#[unsafe(no_mangle)]
pub extern "C" fn nvmlInit_v2() -> c_int {
    STARTED
}

#[unsafe(no_mangle)]
pub extern "C" fn nvmlShutdown() -> c_int {
    0
}

#[unsafe(no_mangle)]
pub extern "C" fn nvmlErrorString(_: c_int) -> *const c_char {
    null()
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlSystemGetDriverVersion(into: *mut c_char, room: c_uint) -> c_int {
    unsafe { write("580.95.05", into, room) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetCount_v2(count: *mut c_uint) -> c_int {
    unsafe { *count = CARDS.len() as c_uint };
    0
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetHandleByIndex_v2(index: c_uint, device: *mut *mut c_void) -> c_int {
    if cfg!(one_lost) && index == 1 {
        return GPU_IS_LOST;
    }
    unsafe { *device = (index as usize + 1) as *mut c_void };
    0
}

#[cfg(not(no_memory))]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetMemoryInfo_v2(device: *mut c_void, memory: *mut Memory) -> c_int {
    let Some(card) = card(device) else { return INVALID_ARGUMENT };
    let memory = unsafe { &mut *memory };
    if memory.version != (size_of::<Memory>() as c_uint | 2 << 24) {
        return ARGUMENT_VERSION_MISMATCH;
    }
    (memory.total, memory.reserved, memory.used) = (card.total, card.reserved, card.used);
    memory.free = card.total - card.reserved - card.used;
    0
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetName(device: *mut c_void, into: *mut c_char, room: c_uint) -> c_int {
    card(device).map_or(INVALID_ARGUMENT, |card| unsafe { write(card.name, into, room) })
}

#[cfg(not(no_extras))]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetUUID(device: *mut c_void, into: *mut c_char, room: c_uint) -> c_int {
    card(device).map_or(INVALID_ARGUMENT, |card| unsafe { write(card.uuid, into, room) })
}

#[cfg(not(no_extras))]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetUtilizationRates(device: *mut c_void, rates: *mut Utilization) -> c_int {
    let Some(card) = card(device) else { return INVALID_ARGUMENT };
    unsafe { *rates = Utilization { gpu: card.busy, memory: card.busy / 2 } };
    0
}
