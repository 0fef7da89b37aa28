//! The HTTP door of Aura Orchestra: REST, live stream, dashboard and OpenAPI.
