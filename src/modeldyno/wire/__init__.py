"""How AWS speaks: the service model, decoding, validation, encoding, faults."""
