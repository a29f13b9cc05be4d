//! One business transaction as a consuming step function.
