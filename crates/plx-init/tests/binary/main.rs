//! The built program under both of its names, against real servers and folders.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "tests")]

mod artifacts;
mod doctor;
mod doctor_azure;
mod doctor_gcs;
mod doctor_healthy;
mod doctor_identity;
mod doctor_network;
mod doctor_rights;
mod doctor_s3;
mod doctor_sources;
mod doctor_strange;
mod doctor_volume;
mod failures;
mod git;
mod handlers;
mod lab;
mod output;
mod planted;
mod pods;
mod reference;
mod resume;
mod scripts;
