//! Tests that need real parts; see `system/`.
