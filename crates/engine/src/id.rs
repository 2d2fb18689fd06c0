//! Derived identities (protocol P1.3.1).

/// `BLAKE3("tradewind/" || namespace || "/v1" || 0x00 || key)`.
pub fn derive(namespace: &str, key: &[u8]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(b"tradewind/").update(namespace.as_bytes()).update(b"/v1\0").update(key);
    *hasher.finalize().as_bytes()
}

/// The account of an owner's public key.
pub fn account_id(owner_key: &[u8; 32]) -> [u8; 32] {
    derive("account", owner_key)
}

/// The market of a creator's account and nonce.
pub fn market_id(creator: &[u8; 32], nonce: u64) -> [u8; 32] {
    let mut key = [0; 40];
    key[..32].copy_from_slice(creator);
    key[32..].copy_from_slice(&nonce.to_le_bytes());
    derive("market", &key)
}

/// The feed of a symbol and kind.
pub fn feed_id(symbol: &[u8; 16], kind: u8) -> [u8; 32] {
    let mut key = [0; 17];
    key[..16].copy_from_slice(symbol);
    key[16] = kind;
    derive("feed", &key)
}

/// The verse of a slug.
pub fn verse_id(slug: &[u8; 64]) -> [u8; 32] {
    let length = slug.iter().position(|&byte| byte == 0).unwrap_or(slug.len());
    derive("verse", &slug[..length])
}

/// The stake lot of an account and its number.
pub fn stake_lot_id(account: &[u8; 32], number: u64) -> [u8; 32] {
    let mut key = [0; 40];
    key[..32].copy_from_slice(account);
    key[32..].copy_from_slice(&number.to_le_bytes());
    derive("stake lot", &key)
}
