//! The models Aura Orchestra can employ, and the alerters that tell about them.
