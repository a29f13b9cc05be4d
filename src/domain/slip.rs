//! What stands on a slip.
