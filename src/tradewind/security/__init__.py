"""Keys and signatures: what a source says is checked against its own key before anything is sequenced."""
