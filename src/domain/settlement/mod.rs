//! Settlement (结算): the totals of a batch, the bank's verdict on them, the upload of detail, and the close.
