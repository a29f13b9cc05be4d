//! Message authentication codes that acquirers are known to ask for.
use crate::domain::outcome::words;

words! {
    /// How DE 64 is computed. The word says so where no document or captured message confirms it.
    MacAlgorithm {
        /// UnionPay "ECB": blocks folded by XOR, written as hexadecimal text, encrypted in two steps. DES or 3DES by
        /// the length of the key.
        UnionPay = "unionpay-ecb",
        /// ANSI X9.9: DES in CBC, last block. A key of double length makes it 3DES.
        X9_9 = "x9.9",
        /// ANSI X9.19: DES in CBC under the left half, the last block once more under right and left.
        X9_19 = "x9.19",
        /// The UnionPay form with SM4. Spec: unverified; its second half is by analogy.
        Sm4UnionPay = "sm4-ecb-unconfirmed",
        /// SM4 in CBC, last block. Spec: unverified.
        Sm4Cbc = "sm4-cbc-unconfirmed",
    }
}
