//! posctl.
