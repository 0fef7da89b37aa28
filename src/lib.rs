//! Aura Orchestra.
