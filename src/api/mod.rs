//! The D-Bus objects.
