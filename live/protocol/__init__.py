"""The wire: frames, codes, the codec, and the printers of documentation and client types."""
