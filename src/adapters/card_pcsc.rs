//! The card thread over PC/SC.
