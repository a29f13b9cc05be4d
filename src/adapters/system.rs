//! Clock, entropy, lock file.
